/**
 * A disk without room, as a start meets it: how to know it, and what is said where the start cannot
 * do without room. It is no mistake in the configuration. What gives up room is `Reserve`'s business.
 */
import * as Schema from "effect/Schema"

/** What the system says where there is no room, or none left for this user. */
const codes: ReadonlySet<unknown> = new Set(["ENOSPC", "EDQUOT"])

/** SQLite's code for a full disk. */
const fullCode = 13

/** Whether `cause`, as Node's file system or `node:sqlite` threw it, is a full disk. */
export const isDiskFull = (cause: unknown): boolean => {
  const { code, errcode } = cause as { readonly code?: unknown; readonly errcode?: unknown }
  return codes.has(code) || errcode === fullCode
}

/** The kernel cannot start, because a file that it cannot do without has no room. */
export class DiskFull extends Schema.TaggedError<DiskFull>()("DiskFull", {
  /** The file or directory. */
  path: Schema.String,
}) {
  override get message(): string {
    return `${this.path} cannot be written: the disk is full; free a few MiB on it and start again`
  }
}
