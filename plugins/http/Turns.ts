/**
 * Whose request is begun next: all tenants that wait take turns, and each turn of the event loop
 * begins only so many. However many requests one tenant sends, another's waits for a few of them,
 * not for all.
 */
import * as Effect from "effect/Effect"

type Resume = () => void

/** Hands out turns. */
export interface Turns {
  /** Returns when it is the turn of `key`. Interruption gives the turn up. */
  readonly take: (key: string) => Effect.Effect<void>
}

/** Begins at most `perTurn` requests per turn of the event loop. */
export const makeTurns = (perTurn: number): Turns => {
  // Maps keep the order of insertion: the first key has waited longest for its turn.
  const waiting = new Map<string, Set<Resume>>()
  let begun = 0
  let scheduled = false

  const next = (): Resume | undefined => {
    const [first] = waiting
    if (first === undefined) return undefined
    const [key, queue] = first
    const [resume] = queue
    queue.delete(resume!)
    waiting.delete(key)
    if (queue.size > 0) waiting.set(key, queue)
    return resume
  }

  const turn = (): void => {
    scheduled = false
    begun = 0
    for (let resume = next(); resume !== undefined; resume = next()) {
      begun++
      resume()
      if (begun >= perTurn) break
    }
    schedule()
  }

  const schedule = (): void => {
    if (scheduled || (begun === 0 && waiting.size === 0)) return
    scheduled = true
    setImmediate(turn)
  }

  const wait = (key: string) =>
    Effect.callback<void>((resume) => {
      const go = () => resume(Effect.void)
      const queue = waiting.get(key) ?? new Set<Resume>()
      queue.add(go)
      waiting.set(key, queue)
      schedule()
      return Effect.sync(() => {
        queue.delete(go)
        if (queue.size === 0 && waiting.get(key) === queue) waiting.delete(key)
      })
    })

  return {
    take: (key) =>
      Effect.suspend(() => {
        if (waiting.size > 0 || begun >= perTurn) return wait(key)
        begun++
        schedule()
        return Effect.void
      }),
  }
}
