/**
 * Calls of the service's `scheduled`: one per due time, each with an event of its own, until it has
 * ended or nobody waits for it any more.
 */
import { Outbound } from "../Frame.ts"
import { AbortController } from "./Events.ts"
import { describe, describeStack } from "./Failure.ts"
import { send } from "./Host.ts"

// Taken before the service can replace them.
const { parse } = JSON
const { freeze } = Object
const { delete: remove, get: find, set: put } = Map.prototype
const { apply } = Reflect

const calls = new Map<number, AbortController>()

/** Calls `handler` for the due time in `text`, and says how it ended. */
export const runScheduled = async (
  id: number,
  text: string,
  handler: (event: unknown) => unknown,
): Promise<void> => {
  const controller = new AbortController()
  apply(put, calls, [id, controller])
  try {
    const [cron, scheduledTime] = parse(text) as [string, number]
    await handler(freeze({ type: "scheduled", cron, scheduledTime, signal: controller.signal }))
    send(Outbound.scheduledEnd, id, "")
  } catch (error) {
    if (!controller.signal.aborted) send(Outbound.log, 3, `scheduled threw ${describeStack(error)}`)
    send(Outbound.scheduledBroken, id, describe(error))
  }
  apply(remove, calls, [id])
}

/** Nobody waits for this call any more. */
export const abortScheduled = (id: number): void => {
  const controller = apply(find, calls, [id]) as AbortController | undefined
  apply(remove, calls, [id])
  controller?.abort()
}
