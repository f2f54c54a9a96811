/**
 * Source texts, each stored once under its SHA-256. It never deletes: an old log may need any of
 * them again.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"

import { Digest } from "./Digest.ts"
import { makeFailed, type StorageError } from "./Storage.ts"

/** The log names an artifact that is not there, or whose text is no longer what was deployed. */
export class ArtifactDamaged extends Schema.TaggedError<ArtifactDamaged>()("ArtifactDamaged", {
  artifact: Schema.String,
  damage: Schema.Literals(["missing", "changed"]),
}) {
  override get message(): string {
    return this.damage === "missing"
      ? `artifact ${this.artifact} is missing; deploy the service again`
      : `artifact ${this.artifact} does not match its hash; deploy the service again`
  }
}

/** Keeps source texts. */
export class ArtifactStore extends Context.Service<
  ArtifactStore,
  {
    /** The artifact id of a source text: its SHA-256 in hex. */
    readonly idOf: (source: string) => string
    /** Keeps `source`; meant to be attached to the append of the event that names it. */
    readonly keep: (artifact: string, source: string) => Effect.Effect<void, SqlError>
    /** The source text, checked against its hash. */
    readonly load: (artifact: string) => Effect.Effect<string, ArtifactDamaged | StorageError>
  }
>()("solo/kernel/log/ArtifactStore") {
  static readonly layer = Layer.effect(
    ArtifactStore,
    Effect.gen(function* () {
      const sql = yield* SqlClient
      const failed = yield* makeFailed
      const { sha256 } = yield* Digest
      return ArtifactStore.of({
        idOf: sha256,
        keep: (artifact, source) =>
          Effect.asVoid(
            sql`INSERT INTO artifacts ${sql.insert({ hash: artifact, source })} ON CONFLICT DO NOTHING`,
          ),
        load: Effect.fn("ArtifactStore.load")(function* (artifact) {
          const rows = yield* Effect.mapError(
            sql<{ readonly source: string }>`SELECT source FROM artifacts WHERE hash = ${artifact}`,
            failed("read an artifact"),
          )
          const source = rows[0]?.source
          if (source === undefined)
            return yield* new ArtifactDamaged({ artifact, damage: "missing" })
          if (sha256(source) !== artifact) {
            return yield* new ArtifactDamaged({ artifact, damage: "changed" })
          }
          return source
        }),
      })
    }),
  )
}
