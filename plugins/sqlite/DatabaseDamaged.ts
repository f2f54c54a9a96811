/**
 * The one way the storage refuses to start because of damage: it says what is damaged and what a
 * person can do. docs/damage.md lists the cases.
 */
import * as Schema from "effect/Schema"

/** The database cannot be used as it is; nothing was changed. */
export class DatabaseDamaged extends Schema.TaggedError<DatabaseDamaged>()("DatabaseDamaged", {
  /** The damaged file. */
  filename: Schema.String,
  /** What is wrong with it. */
  damage: Schema.String,
  /** What to do. */
  advice: Schema.String,
}) {
  override get message(): string {
    return `${this.filename} ${this.damage}; ${this.advice}`
  }
}

/** What helps with most damage. */
export const restoreAdvice =
  "restore the last good backup with: node dist/main.js restore <backup> (docs/damage.md)"
