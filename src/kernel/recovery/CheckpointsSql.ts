/**
 * Checkpoints in a table of their own. Each is written in one short transaction on the one
 * connection that writes, between two batches of the log, and carries a checksum; the fold behind
 * it happens outside, in steps.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Semaphore from "effect/Semaphore"
import { SqlClient } from "effect/sql/SqlClient"
import * as Stream from "effect/Stream"

import { checkpointFormat, decodeState, encodeFact, factsInOrder } from "../../domain/Checkpoint.ts"
import { genesis } from "../../domain/HashChain.ts"
import { empty, evolve, factTypes, type ServiceFact, type State } from "../../domain/State.ts"
import { checkpointShare, KernelConfig } from "../KernelConfig.ts"
import { Lifecycle } from "../Lifecycle.ts"
import { Digest } from "../log/Digest.ts"
import { EventStore } from "../log/EventStore.ts"
import { makeFailed } from "../log/Storage.ts"
import { type Checkpoint, Checkpoints, type StoredCheckpoint } from "./Checkpoints.ts"

/** Checkpoints kept: the second is for the day the first is damaged. */
const kept = 2

/** Facts turned into text before others get their turn. */
const factsPerStep = 64

/** How often the background looks whether enough events have come, in milliseconds. */
const pollMs = 1000

const CheckpointRow = Schema.Struct({
  last_id: Schema.Int,
  last_hash: Schema.String,
  format: Schema.String,
  state: Schema.String,
  checksum: Schema.String,
  /** The hash that the log has at `last_id`, `null` if there is no such event. */
  logged: Schema.NullOr(Schema.String),
})
type CheckpointRow = typeof CheckpointRow.Type

const isCheckpointRow = Schema.is(CheckpointRow)

const beginning: Checkpoint = { id: 0, hash: genesis, state: empty }

/** Facts never change, so neither does their text. */
const makeTextOf = () => {
  const lines = new WeakMap<ServiceFact, string>()
  return Effect.fnUntraced(function* (state: State) {
    const text: Array<string> = []
    for (const fact of factsInOrder(state)) {
      let line = lines.get(fact)
      if (line === undefined) {
        line = encodeFact(fact)
        lines.set(fact, line)
        if (text.length % factsPerStep === 0) yield* Effect.yieldNow
      }
      text.push(line)
    }
    return text.join("\n")
  })
}

const flawOf = (sha256: (text: string) => string, row: CheckpointRow): string | undefined => {
  if (!isCheckpointRow(row)) return "its row cannot be read"
  if (row.format !== checkpointFormat) return `it has the format ${row.format}`
  if (row.checksum !== checksumOf(sha256, row)) return "it is damaged: its checksum is wrong"
  if (row.logged === null) return `the log has no event ${row.last_id}`
  if (row.logged !== row.last_hash) return `event ${row.last_id} of the log has another hash`
  return undefined
}

const checksumOf = (
  sha256: (text: string) => string,
  row: Pick<CheckpointRow, "last_id" | "last_hash" | "format" | "state">,
) => sha256(JSON.stringify([row.last_id, row.last_hash, row.format, row.state]))

const makeTable = Effect.gen(function* () {
  const sql = yield* SqlClient
  const failed = yield* makeFailed
  const { sha256 } = yield* Digest

  const read = sql<CheckpointRow>`
    SELECT checkpoints.*, events.hash AS logged
    FROM checkpoints LEFT JOIN events ON events.id = checkpoints.last_id
    ORDER BY last_id DESC`.pipe(Effect.mapError(failed("read checkpoints")))

  const hashOf = (id: number) =>
    sql<{ readonly hash: string }>`SELECT hash FROM events WHERE id = ${id}`.pipe(
      Effect.map((rows) => rows[0]?.hash),
      Effect.mapError(failed("read the end of the log")),
    )

  const write = (id: number, hash: string, state: string) => {
    const row = { last_id: id, last_hash: hash, format: checkpointFormat, state }
    return sql
      .withTransaction(
        Effect.andThen(
          sql`INSERT OR REPLACE INTO checkpoints ${sql.insert({ ...row, checksum: checksumOf(sha256, row) })}`,
          // One from beyond the end of the log is damage, and must not take the place of a good one.
          sql`DELETE FROM checkpoints WHERE last_id NOT IN (
            SELECT last_id FROM checkpoints WHERE last_id <= ${id} ORDER BY last_id DESC LIMIT ${kept})`,
        ),
      )
      .pipe(Effect.asVoid, Effect.mapError(failed("write a checkpoint")))
  }

  const clear = sql`DELETE FROM checkpoints`.pipe(
    Effect.asVoid,
    Effect.mapError(failed("drop checkpoints")),
  )

  return {
    /** What is kept, with the reason why any of it is not to be believed. */
    read: Effect.map(read, (rows) =>
      rows.map((row) => ({ row, flaw: flawOf(sha256, row) }) as const),
    ),
    hashOf,
    write,
    clear,
  }
})

const make = Effect.gen(function* () {
  const store = yield* EventStore
  const table = yield* makeTable
  const textOf = makeTextOf()
  const oneAtATime = yield* Semaphore.make(1)
  // The newest checkpoint, kept folded: the next one goes on from here.
  let newest: Checkpoint | undefined

  const find = Effect.gen(function* () {
    for (const { row, flaw } of yield* table.read) {
      const state = flaw === undefined ? decodeState(row.state) : Result.fail(flaw)
      if (Result.isSuccess(state)) {
        return { id: row.last_id, hash: row.last_hash, state: state.success }
      }
      yield* Effect.logWarning("passed over a checkpoint").pipe(
        Effect.annotateLogs({ eventId: row.last_id, reason: state.failure }),
      )
    }
    return undefined
  })

  const take = Effect.gen(function* () {
    const from = (newest ??= (yield* find) ?? beginning)
    const id = yield* store.lastId
    if (id <= from.id) return
    const hash = yield* table.hashOf(id)
    // The newest events are missing: there is nothing to tie a checkpoint to until more come.
    if (hash === undefined) return
    const state = yield* store
      .stream({ types: factTypes, sinceId: from.id, untilId: id })
      .pipe(Stream.runFold(() => from.state, evolve))
    yield* table.write(id, hash, yield* textOf(state))
    newest = { id, hash, state }
    yield* Effect.logDebug("took a checkpoint").pipe(Effect.annotateLogs({ eventId: id }))
  })

  const latest = Effect.map(find, (checkpoint) => {
    newest ??= checkpoint ?? beginning
    return Option.fromUndefinedOr(checkpoint)
  })

  const rebuild = Effect.andThen(
    table.clear,
    Effect.suspend(() => {
      newest = beginning
      return take
    }),
  )

  return {
    /** How many events the newest checkpoint is behind; 0 until one was looked for. */
    behind: Effect.map(store.lastId, (lastId) => (newest === undefined ? 0 : lastId - newest.id)),
    port: Checkpoints.of({
      latest: oneAtATime.withPermit(latest),
      take: oneAtATime.withPermit(take).pipe(Effect.withSpan("Checkpoints.take")),
      rebuild: oneAtATime.withPermit(rebuild).pipe(Effect.withSpan("Checkpoints.rebuild")),
      stored: Effect.map(table.read, (rows) =>
        rows
          .filter(({ row }) => row.format === checkpointFormat)
          .map(({ row, flaw }): StoredCheckpoint => ({ id: row.last_id, text: row.state, flaw })),
      ),
      textOf,
    }),
  }
})

/**
 * Checkpoints, taken in the background whenever `checkpointEvery` events have come, and before the
 * last word of a clean run. A checkpoint that cannot be taken is a warning and nothing more.
 */
export const layerCheckpoints = Layer.effect(
  Checkpoints,
  Effect.gen(function* () {
    const { checkpointEvery, shutdownTimeoutMs } = yield* KernelConfig
    const lifecycle = yield* Lifecycle
    const { behind, port } = yield* make
    const takeOrWarn = Effect.catchCause(port.take, (cause) =>
      Effect.logWarning("could not take a checkpoint", cause),
    )
    lifecycle.onFlush(
      "checkpoint",
      Effect.asVoid(Effect.timeoutOption(takeOrWarn, shutdownTimeoutMs * checkpointShare)),
    )
    yield* Effect.sleep(pollMs).pipe(
      Effect.andThen(behind),
      Effect.flatMap((events) => (events >= checkpointEvery ? takeOrWarn : Effect.void)),
      Effect.forever,
      Effect.forkScoped,
    )
    return port
  }),
)
