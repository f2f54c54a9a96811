/**
 * Who takes much of the processor waits for who takes little: the niceness that the system shows
 * of real boxes, before and after.
 */
import { readFileSync, readdirSync } from "node:fs"
import { getPriority } from "node:os"

import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import type { Instance } from "solo"

import { childrenOf, innermost } from "../../../plugins/boxes/Figures.ts"
import { ask, fetching, startService } from "../../contract/RuntimeClient.ts"
import { sharedBoxes } from "./Shared.ts"

const driver = sharedBoxes({ pool: 0 })
const greedy = `let busy = false
setInterval(() => { const end = Date.now() + 40; while (busy && Date.now() < end); }, 5)
${fetching("busy = request.url.endsWith('/begin'); return new Response('hello')")}`

/** The processes that the spawner of this one has started. */
const boxesNow = () => childrenOf(process.pid).flatMap(childrenOf)

/** The box whose service it is: no other is there when it starts. */
const pidOf = (before: ReadonlyArray<number>): number =>
  innermost(boxesNow().find((pid) => !before.includes(pid))!)

const startKnown = Effect.fnUntraced(function* (code: string) {
  const before = boxesNow()
  const instance = yield* startService(code)
  return { instance, pid: pidOf(before) }
})

/** The niceness of every thread, and of the group of its session where there is one. */
const nicenessOf = (pid: number): ReadonlyArray<number> => {
  const threads = readdirSync(`/proc/${pid}/task`).map((thread) => getPriority(Number(thread)))
  try {
    const group = /nice (-?\d+)/.exec(readFileSync(`/proc/${pid}/autogroup`, "utf8"))
    return group === null ? threads : [...threads, Number(group[1])]
  } catch {
    return threads
  }
}

/** The scheduling policy of every thread: 3 is `SCHED_BATCH`, which never pushes anybody aside. */
const policiesOf = (pid: number): ReadonlySet<number> =>
  new Set(
    readdirSync(`/proc/${pid}/task`).map((thread) => {
      const stat = readFileSync(`/proc/${pid}/task/${thread}/stat`, "latin1")
      return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[38])
    }),
  )

const until = (pid: number, holds: (niceness: ReadonlyArray<number>) => boolean) =>
  Effect.repeat(
    Effect.sync(() => nicenessOf(pid)),
    { until: holds, schedule: Schedule.spaced(50) },
  )

const tell = (instance: Instance, what: string) => ask(instance, { url: `http://box/${what}` })

describe.skipIf(process.platform !== "linux")("priority", () => {
  it.live("the greedy wait for the modest until they are modest again", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const modest = yield* startKnown(fetching("return new Response('hello')"))
        const { instance, pid } = yield* startKnown(greedy)
        const own = getPriority()
        yield* tell(instance, "begin")
        yield* until(pid, (all) => all.every((niceness) => niceness === 19))
        assert.deepStrictEqual(policiesOf(pid), new Set([3]))
        assert.notInclude(nicenessOf(modest.pid), 19)
        assert.deepStrictEqual(policiesOf(modest.pid), new Set([0]))
        yield* tell(instance, "stop")
        if (process.getuid?.() === 0) {
          yield* until(pid, (all) => all.every((niceness) => niceness === own))
          assert.deepStrictEqual(policiesOf(pid), new Set([0]))
        }
      }),
    ).pipe(Effect.provide(driver)),
  )

  it.live("one that crashed at once boots behind everybody, for a while", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const first = yield* startKnown(
          "setTimeout(() => { throw 0 }, 1); export default { fetch() {} }",
        )
        yield* first.instance.exit
        const before = boxesNow()
        yield* Effect.forkScoped(
          startService("export default { start: () => new Promise(() => {}), fetch() {} }"),
        )
        yield* Effect.repeat(
          Effect.sync(() => boxesNow().some((pid) => !before.includes(pid))),
          { until: (isThere) => isThere, schedule: Schedule.spaced(10) },
        )
        const own = getPriority()
        yield* until(pidOf(before), (all) => all.some((niceness) => niceness === 19))
        if (process.getuid?.() === 0)
          yield* until(pidOf(before), (all) => all.every((niceness) => niceness === own))
      }),
    ).pipe(Effect.provide(driver)),
  )
})
