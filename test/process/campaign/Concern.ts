/**
 * One thing a campaign cares about: what clients do to it, what they remember, and how it is
 * examined after a restart. A new concern is a file of its own and a line in `Concerns`.
 */
import type { Answer, Call } from "../KernelProcess.ts"
import type { Audit } from "./Audit.ts"
import type { Figures } from "./Figures.ts"
import type { Random } from "./Random.ts"

/** A kernel as one client sees it. */
export interface Conversation {
  readonly url: string
  readonly token: string
  /** Sends a request; `undefined` when no whole answer came, so nobody knows what happened. */
  readonly ask: (method: string, path: string, call?: Call) => Promise<Answer | undefined>
  /** Whether the kernel was ready before this moment. */
  readonly isReady: () => boolean
  /** Whether the kernel may have been told to end before this moment. */
  readonly isEnding: () => boolean
  /** Aborted when the kernel is gone. */
  readonly gone: AbortSignal
}

/** One client's turn. */
export interface Turn extends Conversation {
  /** The number of the client: it alone touches what it owns. */
  readonly client: number
  readonly random: Random
}

/** Something a client does. It records what was acknowledged in its concern. */
export interface Operation {
  readonly name: string
  readonly weight: number
  readonly run: (turn: Turn) => Promise<void>
}

/** One thing a campaign cares about. */
export interface Concern {
  readonly name: string
  readonly operations: ReadonlyArray<Operation>
  /** Runs beside the clients for as long as the kernel lives. */
  readonly attend?: (conversation: Conversation) => Promise<void>
  /** Compares what is remembered with the log that was found. */
  readonly inspect?: (audit: Audit) => void
  /** Compares what is remembered with a kernel that is ready and left alone. */
  readonly examine?: (conversation: Conversation, audit: Audit) => Promise<void>
  /**
   * What is known at this instant, to be examined in a kernel on a crash image taken later: the
   * same concern on a copy of its memory. `isWhole` is false for an image with a torn end.
   */
  readonly snapshot: (isWhole: boolean) => Concern
}

/** Makes a concern that remembers nothing yet. */
export type MakeConcern = (figures: Figures, clients: number) => Concern
