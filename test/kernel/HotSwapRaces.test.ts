/**
 * Hot swaps that meet something else: another request for the same service, the shutdown, a caller
 * that hangs up, storage that fails, a plug that is pulled (promises 1, 2, 3, 9, 10).
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as References from "effect/References"

import { maxSwapsPerTenant } from "../../src/kernel/services/Swaps.ts"
import { cuts } from "./harness/Cuts.ts"
import { makeFaults } from "./harness/FaultyStorage.ts"
import {
  boot,
  build,
  deploy,
  halt,
  kill,
  type Kernel,
  named,
  pass,
  pullPlug,
  rollback,
  running,
  settle,
  statusOf,
  swap,
  typesOf,
} from "./harness/Machine.ts"
import { countOf, reboot } from "./harness/Recovery.ts"

const a = named("acme", "a")

const tagOf = <A, E extends { readonly _tag: string }>(exit: Exit.Exit<A, E>): string => {
  if (Exit.isSuccess(exit)) return "ok"
  const [reason] = exit.cause.reasons
  return reason?._tag === "Fail" ? reason.error._tag : String(reason?._tag)
}

const swapsOf = (kernel: Kernel) =>
  Effect.map(typesOf(kernel), (types) => types.filter((type) => type.startsWith("hot_swap")))

/** One revision runs, it is the one of the registry, and it is what the log brings back. */
const sound = Effect.fnUntraced(function* (kernel: Kernel, what: string) {
  const child = kernel.registry.get(a)
  assert.deepStrictEqual(
    running(kernel),
    child === undefined ? [] : [`acme/a@${child.revision}`],
    what,
  )
  const next = yield* reboot(kernel)
  assert.deepStrictEqual(running(next), running(kernel), `${what}: the log`)
  yield* halt(next)
})

describe("during a hot swap", () => {
  for (const [phase, script, wait] of [
    ["starts", { start: "hang" }, 0],
    ["is asked for its health", { answers: "hang" }, 0],
    ["is in its window", { n: 2 }, 30_000],
  ] as const) {
    const open = Effect.fnUntraced(function* (kernel: Kernel) {
      yield* deploy(kernel, a)
      const limits = { startupTimeoutMs: 60_000 }
      const terms = { limits, ...("answers" in script ? { healthPath: "/" } : {}) }
      const swapping = yield* Effect.forkChild(Effect.exit(swap(kernel, a, script, wait, terms)))
      yield* settle
      return swapping
    })

    it.effect(`a kill does not wait while it ${phase} (promise 2)`, () =>
      Effect.gen(function* () {
        const kernel = yield* boot()
        const swapping = yield* open(kernel)
        yield* kill(kernel, a)
        assert.include(["SwapFailed", "SwapRolledBack"], tagOf(yield* Fiber.join(swapping)))
        assert.deepStrictEqual(running(kernel), [])
        assert.strictEqual(yield* statusOf(kernel, a), "absent")
        assert.strictEqual((yield* typesOf(kernel)).at(-1), "service_killed")
        yield* sound(kernel, phase)
      }),
    )

    it.effect(`the shutdown does not wait while it ${phase} (promise 9)`, () =>
      Effect.gen(function* () {
        const kernel = yield* boot()
        const swapping = yield* open(kernel)
        yield* halt(kernel)
        assert.include(["SwapFailed", "SwapRolledBack"], tagOf(yield* Fiber.join(swapping)))
        assert.deepStrictEqual(kernel.lifecycle.problems(), [])
        const next = yield* boot({ disk: kernel.disk })
        assert.deepStrictEqual(running(next), ["acme/a@1"])
        assert.strictEqual(next.lifecycle.previousEnd, "clean")
        const types = yield* swapsOf(next)
        assert.strictEqual(types.length, 2, `${types.join()}: closed before the last word`)
      }),
    )

    it.effect(`another swap or deployment is refused while it ${phase}`, () =>
      Effect.gen(function* () {
        const kernel = yield* boot()
        yield* open(kernel)
        const other = yield* Effect.exit(swap(kernel, a, { n: 3 }))
        assert.strictEqual(tagOf(other), "SwapInProgress")
        const deployment = yield* Effect.exit(deploy(kernel, a, { n: 3 }))
        assert.strictEqual(tagOf(deployment), "SwapInProgress")
        yield* kill(kernel, a)
      }),
    )

    it.effect(`a pulled plug brings the old revision back while it ${phase} (promise 3)`, () =>
      Effect.gen(function* () {
        const kernel = yield* boot()
        yield* open(kernel)
        let next = yield* reboot(kernel)
        for (let n = 0; n < 3; n++) {
          assert.deepStrictEqual(running(next), ["acme/a@1"])
          assert.deepStrictEqual(
            yield* swapsOf(next),
            ["hot_swap_started", "hot_swap_rolled_back"],
            "closed once",
          )
          next = yield* reboot(next)
        }
        assert.strictEqual((yield* swap(next, a, { n: 2 })).revision, 3)
        yield* kill(kernel, a)
      }),
    )

    it.effect(`a caller that hangs up leaves it to its end while it ${phase}`, () =>
      Effect.gen(function* () {
        const kernel = yield* boot()
        const swapping = yield* open(kernel)
        const hangUp = yield* Effect.forkChild(Fiber.interrupt(swapping))
        yield* pass(66_000, 3000)
        yield* Fiber.join(hangUp)
        assert.deepStrictEqual(running(kernel), [`acme/a@${phase === "is in its window" ? 2 : 1}`])
        yield* sound(kernel, phase)
      }),
    )
  }

  it.effect("the announcement of the shutdown is enough to end it (promise 9)", () =>
    Effect.gen(function* () {
      const kernel = yield* boot()
      yield* deploy(kernel, a)
      const swapping = yield* Effect.forkChild(Effect.exit(swap(kernel, a, { n: 2 }, 30_000)))
      yield* settle
      yield* kernel.lifecycle.shutdown("the test")
      assert.strictEqual(tagOf(yield* Fiber.join(swapping)), "SwapRolledBack")
      assert.deepStrictEqual(running(kernel), ["acme/a@1"])
    }),
  )

  it.effect("only so many of one tenant are open, and others have their own (promise 6)", () =>
    Effect.gen(function* () {
      const kernel = yield* boot()
      const names = Array.from({ length: maxSwapsPerTenant + 1 }, (_, n) => named("acme", `s${n}`))
      const other = named("zeta", "a")
      for (const name of [...names, other]) yield* deploy(kernel, name)
      const open = yield* Effect.forEach(names.slice(1), (name) =>
        Effect.forkChild(swap(kernel, name, { n: 2 }, 1000)),
      )
      yield* settle
      const refused = yield* Effect.exit(swap(kernel, names[0]!, { n: 2 }))
      assert.strictEqual(tagOf(refused), "TooManySwaps")
      assert.strictEqual((yield* swap(kernel, other, { n: 2 })).revision, 2)
      yield* pass(1000)
      for (const fiber of open) assert.strictEqual((yield* Fiber.join(fiber)).revision, 2)
      assert.strictEqual((yield* swap(kernel, names[0]!, { n: 2 })).revision, 2)
    }),
  )

  it.effect("others queue behind what is committed and drains, instead of ending it", () =>
    Effect.gen(function* () {
      const kernel = yield* boot()
      yield* deploy(kernel, a, { answerMs: 500 })
      const request = { method: "GET", url: "http://service/", headers: [], body: null }
      const asking = yield* Effect.forkChild(Effect.scoped(kernel.ingress.request(a, request)))
      yield* settle
      const first = yield* Effect.forkChild(swap(kernel, a, { n: 2 }))
      yield* settle
      assert.deepStrictEqual(running(kernel), ["acme/a@1", "acme/a@2"], "it drains")
      const back = yield* Effect.forkChild(rollback(kernel, a))
      yield* settle
      const third = yield* Effect.exit(swap(kernel, a, { n: 3 }))
      assert.strictEqual(tagOf(third), "SwapInProgress", "one waits already")
      yield* pass(510, 10)
      assert.strictEqual((yield* Fiber.join(asking)).status, 200)
      assert.strictEqual((yield* Fiber.join(first)).revision, 2)
      assert.strictEqual((yield* Fiber.join(back)).revision, 1)
      yield* sound(kernel, "rolled back")
    }),
  )

  it.effect("a replay leaves the window alone, and closes nothing", () =>
    Effect.gen(function* () {
      const kernel = yield* boot()
      yield* deploy(kernel, a)
      const swapping = yield* Effect.forkChild(swap(kernel, a, { n: 2 }, 1000))
      yield* settle
      const replaying = yield* Effect.forkChild(kernel.replayer.replayDeployments)
      yield* pass(1000)
      yield* Fiber.join(swapping)
      yield* Fiber.join(replaying)
      assert.deepStrictEqual(yield* swapsOf(kernel), ["hot_swap_started", "hot_swap_succeeded"])
      yield* sound(kernel, "replayed")
    }),
  )
})

describe("a hot swap during recovery", () => {
  it.effect("wins over the replayed revision, wherever it comes", () =>
    Effect.gen(function* () {
      const first = yield* boot()
      yield* deploy(first, a)
      for (const wait of cuts(60, 3)) {
        const [kernel, start] = yield* build({ disk: pullPlug(first) })
        const starting = yield* Effect.forkChild(start)
        yield* Effect.repeat(Effect.yieldNow, { times: wait })
        const service = yield* swap(kernel, a, { n: 2 })
        yield* Fiber.join(starting)
        assert.strictEqual(service.revision, 2)
        yield* sound(kernel, `after ${wait} turns`)
        yield* halt(kernel)
      }
    }),
  )
})

describe("a swap that only starts the identical spec again", () => {
  for (const [what, end] of [
    ["rollback", rollback],
    ["kill", kill],
  ] as const) {
    it.effect(`is ended by a ${what}, which does not wait for the start`, () =>
      Effect.gen(function* () {
        const kernel = yield* boot()
        const terms = { restart: "temporary" }
        yield* deploy(kernel, a, {}, terms)
        kernel.world.crash(a)
        yield* settle
        kernel.world.overrides.set("acme/a", { start: "hang" })
        const swapping = yield* Effect.forkChild(Effect.exit(swap(kernel, a, {}, 0, terms)))
        yield* settle
        const ending = yield* Effect.forkChild(end(kernel, a))
        yield* settle
        assert.isDefined(ending.pollUnsafe(), "no time has passed")
        assert.strictEqual(tagOf(yield* Fiber.join(swapping)), "SwapFailed")
        const left = what === "kill" ? "absent" : "failed"
        assert.strictEqual(yield* statusOf(kernel, a), left, "as it was, or killed")
        assert.deepStrictEqual(running(kernel), [])
      }),
    )
  }

  it.effect("is no swap to end once it has started: a rollback then is one of its own", () =>
    Effect.gen(function* () {
      const kernel = yield* boot()
      const terms = { restart: "temporary" }
      yield* deploy(kernel, a)
      yield* swap(kernel, a, { n: 2 }, 0, terms)
      kernel.world.crash(a)
      yield* settle
      // What was there before takes its time to end, once the new instance has started.
      kernel.registry.get(a)!.watcher = yield* Effect.forkChild(
        Effect.onInterrupt(Effect.never, () => Effect.sleep(500)),
      )
      const swapping = yield* Effect.forkChild(swap(kernel, a, { n: 2 }, 0, terms))
      yield* settle
      assert.deepStrictEqual(running(kernel), ["acme/a@2"])
      const rolling = yield* Effect.forkChild(rollback(kernel, a))
      yield* pass(500)
      assert.strictEqual((yield* Fiber.join(swapping)).revision, 2)
      assert.strictEqual((yield* Fiber.join(rolling)).revision, 1)
      assert.deepStrictEqual(running(kernel), ["acme/a@1"])
    }),
  )
})

describe("a hot swap of a service that has lost its place", () => {
  it.effect("takes none beyond the limit when another has taken the room meanwhile", () =>
    Effect.gen(function* () {
      const kernel = yield* boot({ settings: { maxServices: 1 } })
      yield* deploy(kernel, a, {}, { restart: "temporary" })
      kernel.world.crash(a)
      yield* settle
      kernel.registry.remove(kernel.registry.get(a)!)
      const swapping = yield* Effect.forkChild(Effect.exit(swap(kernel, a, { startMs: 500 })))
      yield* pass(100)
      yield* deploy(kernel, named("acme", "b"))
      yield* pass(400)
      assert.strictEqual(tagOf(yield* Fiber.join(swapping)), "TooManyServices")
      assert.deepStrictEqual(running(kernel), ["acme/b@1"])
      assert.deepStrictEqual(yield* swapsOf(kernel), ["hot_swap_started", "hot_swap_failed"])
    }),
  )
})

describe("requests for one service at once", () => {
  it.live("leave exactly one revision or none, wherever they meet (promises 1, 2, 10)", () =>
    Effect.gen(function* () {
      const outcomes = new Set<string>()
      const kernel = yield* boot()
      const slowly = Effect.provideService(References.MaxOpsBeforeYield, 8)
      for (let cut = 0; cut < 240; cut += 4) {
        yield* Effect.ignore(kill(kernel, a, true))
        yield* deploy(kernel, a, { n: cut })
        const asked = [
          swap(kernel, a, { n: cut + 0.1 }),
          swap(kernel, a, { n: cut + 0.2 }, 1),
          deploy(kernel, a, { n: cut + 0.3 }),
          rollback(kernel, a),
          ...(cut % 12 === 0 ? [kill(kernel, a)] : []),
        ]
        const exits = yield* Effect.forEach(
          asked,
          (one, index) =>
            Effect.yieldNow.pipe(
              Effect.repeat({ times: (index * cut) % 90 }),
              Effect.andThen(Effect.exit(slowly(one as Effect.Effect<unknown, { _tag: string }>))),
            ),
          { concurrency: "unbounded" },
        )
        for (const exit of exits) outcomes.add(tagOf(exit))
        yield* settle
        if (cut % 20 === 0) yield* sound(kernel, `cut ${cut}: ${exits.map(tagOf).join()}`)
      }
      assert.includeMembers([...outcomes], ["ok", "SwapInProgress", "ServiceConflict"])
      assert.notInclude([...outcomes], "Die")
      yield* halt(kernel)
    }),
  )
})

describe("a hot swap over storage that fails", () => {
  for (const type of ["hot_swap_started", "hot_swap_succeeded"] as const) {
    it.effect(`leaves the old revision when ${type} cannot be logged (promise 1)`, () =>
      Effect.gen(function* () {
        const faults = makeFaults()
        const kernel = yield* boot({ open: faults.open })
        yield* deploy(kernel, a)
        const swapping = yield* Effect.forkChild(Effect.exit(swap(kernel, a, { n: 2 }, 100)))
        if (type === "hot_swap_started") {
          faults.failWhile((sql) => sql.includes("INSERT INTO events"))
          yield* settle
        } else {
          yield* settle
          faults.failWhile((sql) => sql.includes("INSERT INTO events"))
        }
        yield* pass(100)
        assert.strictEqual(tagOf(yield* Fiber.join(swapping)), "StorageError")
        assert.deepStrictEqual(running(kernel), ["acme/a@1"])
        faults.stop()
        yield* sound(kernel, type)
        const next = yield* swap(kernel, a, { n: 3 })
        assert.strictEqual(next.status, "running")
        yield* sound(kernel, "works again")
      }),
    )
  }

  it.effect("is what the log says, whichever step fails, before or after (promises 1, 10)", () =>
    Effect.gen(function* () {
      for (const verdict of ["before", "after"] as const) {
        for (const at of cuts(25).slice(1)) {
          const faults = makeFaults()
          const kernel = yield* boot({ open: faults.open })
          yield* deploy(kernel, a)
          const first = faults.steps()
          faults.decide({ before: (step) => (step === first + at ? verdict : "well") })
          const exit = yield* Effect.exit(swap(kernel, a, { n: 2 }))
          faults.stop()
          const what = `${verdict} step ${at}: ${tagOf(exit)}`
          yield* sound(kernel, what)
          if (Exit.isSuccess(exit)) assert.deepStrictEqual(running(kernel), ["acme/a@2"], what)
          assert.isAtMost(yield* countOf(kernel, "hot_swap_succeeded"), 1, what)
          yield* halt(kernel)
        }
      }
    }),
  )
})
