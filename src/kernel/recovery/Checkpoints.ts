/**
 * Checkpoints: the fold of the log at some event, kept so that a start need not fold everything
 * before it. A checkpoint is only a cache: one that does not fit the log is passed over with a
 * warning, and losing all of them costs time, never truth (docs/decisions/0010).
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Option from "effect/Option"

import type { State } from "../../domain/State.ts"
import type { StorageError } from "../log/Storage.ts"

/** The fold of the log up to and including the event `id`. */
export interface Checkpoint {
  readonly id: number
  /** The hash of that event: what ties the checkpoint to this log and no other. */
  readonly hash: string
  readonly state: State
}

/** A checkpoint as it lies in the table, believed or not. */
export interface StoredCheckpoint {
  readonly id: number
  /** The canonical text of its state. */
  readonly text: string
  /** Why it is not to be believed, or `undefined` if it fits the log. */
  readonly flaw: string | undefined
}

/** Takes and finds checkpoints. */
export class Checkpoints extends Context.Service<
  Checkpoints,
  {
    /** The newest checkpoint that fits the log, if any. */
    readonly latest: Effect.Effect<Option.Option<Checkpoint>, StorageError>
    /** Folds what has come since the last checkpoint and keeps the result. One at a time. */
    readonly take: Effect.Effect<void, StorageError>
    /** Drops every checkpoint and takes one by folding the log from its first event. */
    readonly rebuild: Effect.Effect<void, StorageError>
    /** What is kept in this kernel's format, newest first. */
    readonly stored: Effect.Effect<ReadonlyArray<StoredCheckpoint>, StorageError>
    /** The canonical text of a state, made in steps that leave others their turn. */
    readonly textOf: (state: State) => Effect.Effect<string>
  }
>()("solo/kernel/Checkpoints") {}
