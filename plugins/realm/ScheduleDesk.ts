/**
 * The kernel's side of `scheduled`: hands due times to an instance, no more at once than it takes,
 * and waits for what became of them. When something is due is the kernel's to decide.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import { NotRunning, Overloaded, type RequestError, type ScheduledEvent, ServiceThrew } from "solo"

import { type Frame, Inbound, Outbound, encode, maxPendingScheduled } from "./Frame.ts"
import { textOf } from "./LogDesk.ts"

const textOfEvent = ({ cron, scheduledTime }: ScheduledEvent): Uint8Array =>
  new TextEncoder().encode(JSON.stringify([cron, scheduledTime]))

/** The due times that one instance works on. */
export class ScheduleDesk {
  readonly #send: (frame: Uint8Array) => void
  readonly #settled: () => void
  readonly #calls = new Map<number, Deferred.Deferred<void, RequestError>>()

  /** `settled` is told whenever one is over. */
  constructor(send: (frame: Uint8Array) => void, settled: () => void) {
    this.#send = send
    this.#settled = settled
  }

  /** How many are under way. */
  get size(): number {
    return this.#calls.size
  }

  /** Calls the service's `scheduled`, as `id`; interruption aborts it there. */
  call(id: number, event: ScheduledEvent): Effect.Effect<void, RequestError> {
    return Effect.suspend((): Effect.Effect<void, RequestError> => {
      if (this.#calls.size >= maxPendingScheduled)
        return Effect.fail(
          new Overloaded({
            message: `the service works on ${maxPendingScheduled} due times at once and takes no more`,
          }),
        )
      const call = Deferred.makeUnsafe<void, RequestError>()
      this.#calls.set(id, call)
      this.#send(encode(Inbound.scheduled, id, textOfEvent(event)))
      return Effect.onInterrupt(Deferred.await(call), () =>
        Effect.sync(() => {
          this.#send(encode(Inbound.abort, id))
          this.#settle(id, Effect.interrupt)
        }),
      )
    })
  }

  /** Takes a frame that says what became of one. */
  accept(frame: Frame): void {
    this.#settle(
      frame.id,
      frame.type === Outbound.scheduledEnd
        ? Effect.void
        : Effect.fail(new ServiceThrew({ message: textOf(frame) })),
    )
  }

  #settle(id: number, outcome: Effect.Effect<void, RequestError>): void {
    const call = this.#calls.get(id)
    if (call === undefined) return
    this.#calls.delete(id)
    Deferred.doneUnsafe(call, outcome)
    this.#settled()
  }

  /** The instance is gone. */
  close(reason: string): void {
    for (const call of this.#calls.values())
      Deferred.doneUnsafe(call, Effect.fail(new NotRunning({ message: reason })))
    this.#calls.clear()
  }
}
