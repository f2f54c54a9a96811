/**
 * How far the log had come, in a file beside the database. A write-ahead log that is lost or cut
 * off takes the newest commits with it and leaves a sound, older database; only something outside
 * can tell. The mark follows the log about once a second and at the end, so it never runs ahead.
 */
import { createHash } from "node:crypto"
import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs"

import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { SqlClient } from "effect/sql/SqlClient"
import { maxEventId } from "solo"

/** How often the mark follows the log. */
const interval = "1 second"

interface Head {
  readonly lastId: number
  readonly lastHash: string
}

const checkOf = ({ lastHash, lastId }: Head): string =>
  createHash("sha256").update(`${lastId} ${lastHash}`).digest("hex").slice(0, 16)

/** A damaged mark would have the log miss events that never were; the first marks had no check. */
const Mark = Schema.fromJsonString(
  Schema.Struct({
    lastId: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: maxEventId })),
    lastHash: Schema.String.check(Schema.isPattern(/^[0-9a-f]{64}$/)),
    check: Schema.optionalKey(Schema.String),
  }).check(Schema.makeFilter((mark) => mark.check === undefined || mark.check === checkOf(mark))),
)

const decode = Schema.decodeUnknownResult(Mark)
const encode = Schema.encodeSync(Mark)

/** Where the mark of the database `filename` is. */
export const markOf = (filename: string) => `${filename}.mark`

/** What the mark says; nothing if there is none, or none that can be read. */
const read = (mark: string) =>
  Effect.sync((): Head | undefined => {
    try {
      const decoded = existsSync(mark) ? decode(readFileSync(mark, "utf8")) : undefined
      return decoded !== undefined && Result.isSuccess(decoded) ? decoded.success : undefined
    } catch {
      return undefined
    }
  })

// A mark that is lost on power failure, or is a little behind, only sees less.
const write = (mark: string, head: Head) =>
  Effect.try({
    try: () => {
      const text = encode({ ...head, check: checkOf(head) })
      writeFileSync(`${mark}.new`, text, { mode: 0o600 })
      renameSync(`${mark}.new`, mark)
    },
    catch: (cause) => String(cause),
  })

/** The end of the log: where its head says, or its last event where the head is lost or behind. */
const readHead = Effect.gen(function* () {
  const sql = yield* SqlClient
  const [end] = yield* sql<Head>`
    SELECT lastId, lastHash FROM (
      SELECT last_id AS lastId, last_hash AS lastHash FROM log_head WHERE singleton = 1
      UNION ALL
      SELECT * FROM (SELECT id, hash FROM events WHERE id <= ${maxEventId} ORDER BY id DESC LIMIT 1)
    ) WHERE lastId <= ${maxEventId} ORDER BY lastId DESC LIMIT 1`
  return end
})

/**
 * A log that ends before its mark has lost events. Its head is set to the mark: no id is given
 * twice, and the store and the verifier report what is missing.
 */
const compare = Effect.fnUntraced(function* (mark: string) {
  const sql = yield* SqlClient
  const before = yield* read(mark)
  const head = yield* readHead
  if (before === undefined || before.lastId <= (head?.lastId ?? 0)) return
  yield* Effect.logError("the database has lost events that were in it").pipe(
    Effect.annotateLogs({ firstLost: (head?.lastId ?? 0) + 1, lastLost: before.lastId }),
  )
  const row = { singleton: 1, last_id: before.lastId, last_hash: before.lastHash }
  yield* sql`INSERT OR REPLACE INTO log_head ${sql.insert(row)}`
})

/** Compares the log with its mark, and then keeps the mark up to date until the scope closes. */
export const followHighWater = Effect.fnUntraced(function* (filename: string) {
  const mark = markOf(filename)
  const sql = yield* SqlClient
  yield* compare(mark)
  let marked = -1
  let warned = -1
  const follow = Effect.gen(function* () {
    const head = (yield* readHead) ?? { lastId: 0, lastHash: "0".repeat(64) }
    if (head.lastId === marked) return
    const written = yield* Effect.result(write(mark, head))
    if (Result.isSuccess(written)) {
      marked = head.lastId
    } else if (head.lastId !== warned) {
      // It is tried again with every look; saying so once is enough.
      warned = head.lastId
      yield* Effect.logWarning("could not write the high-water mark").pipe(
        Effect.annotateLogs({ reason: written.failure }),
      )
    }
  }).pipe(
    Effect.catch((error) =>
      Effect.logWarning("could not follow the log").pipe(
        Effect.annotateLogs({ reason: error.message }),
      ),
    ),
    Effect.provideService(SqlClient, sql),
  )
  yield* follow
  yield* Effect.addFinalizer(() => follow)
  yield* follow.pipe(Effect.delay(interval), Effect.forever, Effect.forkScoped)
})
