/**
 * Starts that are under way when something else comes: a kill, a newer deployment, a swap, a
 * rollback, the shutdown. Nobody waits for them, and nothing that was acknowledged is lost
 * (promises 1, 2, 3, 9, 10).
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as References from "effect/References"

import { cuts } from "./harness/Cuts.ts"
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
import { outcomes, reboot, reportOf } from "./harness/Recovery.ts"
import { makeWorld, type Script } from "./harness/ScriptedRuntime.ts"

const a = named("acme", "a")

const terms = { limits: { startupTimeoutMs: 300_000 } }

// Yields to the scheduler all the time, so that others can come in the middle of anything.
const slowly = Effect.provideService(References.MaxOpsBeforeYield, 8)

/** What tenants asked for and what came of it, in order. */
const storyOf = (kernel: Kernel) =>
  Effect.map(typesOf(kernel), (types) =>
    types.filter((type) => /^(service_(deploy|kill)|hot_swap)/.test(type)),
  )

/** What an effect comes to without any time passing. */
const atOnce = Effect.fnUntraced(function* <A, E, R>(effect: Effect.Effect<A, E, R>, what = "it") {
  const fiber = yield* Effect.forkChild(Effect.exit(effect))
  yield* Effect.repeat(settle, { times: 3 })
  assert.isDefined(fiber.pollUnsafe(), `${what} does not wait`)
  return yield* Fiber.join(fiber)
})

const failureOf = <A, E>(exit: Exit.Exit<A, E>): E => {
  assert.isTrue(Exit.isFailure(exit))
  const [reason] = Exit.isFailure(exit) ? exit.cause.reasons : []
  assert.strictEqual(reason?._tag, "Fail")
  return (reason as { readonly error: E }).error
}

/** A service whose deployment waits for its start. */
const starting = Effect.fnUntraced(function* (kernel: Kernel, script: Script = { start: "hang" }) {
  const fiber = yield* Effect.forkChild(Effect.exit(deploy(kernel, a, script, terms)))
  yield* settle
  assert.strictEqual(yield* statusOf(kernel, a), "starting")
  return fiber
})

/** What ran, and what the log brings back: the same. */
const sound = Effect.fnUntraced(function* (kernel: Kernel, expected: ReadonlyArray<string>) {
  assert.deepStrictEqual(running(kernel), expected)
  const next = yield* reboot(kernel)
  assert.deepStrictEqual(running(next), expected, "the log")
  yield* halt(next)
})

describe("a deployment that is starting", () => {
  for (const force of [false, true]) {
    it.effect(`is ended by a kill (force: ${force}), which finds nothing acknowledged`, () =>
      Effect.gen(function* () {
        const kernel = yield* boot()
        const deploying = yield* starting(kernel)
        const killed = yield* atOnce(kill(kernel, a, force))
        assert.strictEqual(failureOf(killed)._tag, "ServiceNotFound")
        const failure = failureOf(yield* Fiber.join(deploying))
        assert.strictEqual(failure._tag, "DeploymentEnded")
        assert.include(failure.message, "the service is being killed")
        assert.strictEqual(yield* statusOf(kernel, a), "absent")
        assert.deepStrictEqual(yield* storyOf(kernel), ["service_deployment_failed"])
        const [event] = yield* kernel.store.filter({ types: ["service_deployment_failed"] })
        assert.deepInclude(event!.payload, { reason: failure.message })
        yield* sound(kernel, [])
      }),
    )
  }

  it.effect("is ended by a kill together with what it would have replaced (promise 2)", () =>
    Effect.gen(function* () {
      const kernel = yield* boot()
      yield* deploy(kernel, a, {}, { restart: "temporary" })
      kernel.world.crash(a)
      yield* settle
      const deploying = yield* starting(kernel)
      const killed = yield* atOnce(kill(kernel, a))
      assert.isTrue(Exit.isSuccess(killed))
      assert.strictEqual(failureOf(yield* Fiber.join(deploying))._tag, "DeploymentEnded")
      assert.deepStrictEqual(yield* storyOf(kernel), [
        "service_deployed",
        "service_deployment_failed",
        "service_killed",
      ])
      yield* sound(kernel, [])
    }),
  )

  it.effect("is superseded by a deployment of another spec", () =>
    Effect.gen(function* () {
      const kernel = yield* boot()
      const deploying = yield* starting(kernel)
      const exit = yield* atOnce(deploy(kernel, a, { n: 2 }))
      assert.deepInclude(Exit.getSuccess(exit), { _tag: "Some" })
      const failure = failureOf(yield* Fiber.join(deploying))
      assert.strictEqual(failure._tag, "DeploymentEnded")
      assert.include(failure.message, "a newer deployment takes its place")
      assert.deepStrictEqual(yield* storyOf(kernel), [
        "service_deployment_failed",
        "service_deployed",
      ])
      yield* sound(kernel, ["acme/a@1"])
      const other = yield* Effect.exit(deploy(kernel, a, { n: 3 }))
      assert.strictEqual(failureOf(other)._tag, "ServiceConflict", "it runs now")
    }),
  )

  it.effect("is waited for by a deployment of the identical spec", () =>
    Effect.gen(function* () {
      const kernel = yield* boot()
      const deploying = yield* starting(kernel, { startMs: 500 })
      const same = yield* Effect.forkChild(deploy(kernel, a, { startMs: 500 }, terms))
      yield* pass(500)
      assert.isTrue(Exit.isSuccess(yield* Fiber.join(deploying)))
      assert.isFalse((yield* Fiber.join(same)).created)
      assert.deepStrictEqual(yield* storyOf(kernel), ["service_deployed"])
      yield* kill(kernel, a)
    }),
  )

  it.effect("is not ended by what does not compile", () =>
    Effect.gen(function* () {
      const kernel = yield* boot()
      const deploying = yield* starting(kernel, { startMs: 500 })
      for (const act of [deploy, swap]) {
        const wrong = yield* atOnce<unknown, { readonly _tag: string }, never>(
          act(kernel, a, { compile: "fail" }),
        )
        assert.strictEqual(failureOf(wrong)._tag, "CompileFailed")
      }
      yield* pass(500)
      assert.isTrue(Exit.isSuccess(yield* Fiber.join(deploying)))
      assert.deepStrictEqual(running(kernel), ["acme/a@1"])
    }),
  )

  it.effect("is superseded by a swap, which then is the first deployment", () =>
    Effect.gen(function* () {
      const kernel = yield* boot()
      const deploying = yield* starting(kernel)
      const exit = yield* atOnce(swap(kernel, a, { n: 2 }))
      assert.isTrue(Exit.isSuccess(exit))
      assert.strictEqual(failureOf(yield* Fiber.join(deploying))._tag, "DeploymentEnded")
      assert.deepStrictEqual(yield* storyOf(kernel), [
        "service_deployment_failed",
        "service_deployed",
      ])
      yield* sound(kernel, ["acme/a@1"])
      yield* kill(kernel, a)
      const none = yield* Effect.exit(swap(kernel, a, { n: 3 }))
      assert.strictEqual(failureOf(none)._tag, "ServiceNotFound", "nothing was under way")
    }),
  )

  it.effect("is ended by a rollback, which goes no further back", () =>
    Effect.gen(function* () {
      const kernel = yield* boot()
      yield* deploy(kernel, a)
      yield* swap(kernel, a, { n: 2 }, 0, { restart: "temporary" })
      kernel.world.crash(a)
      yield* settle
      const deploying = yield* starting(kernel)
      const waiting = yield* Effect.forkChild(
        Effect.exit(deploy(kernel, a, { start: "hang" }, terms)),
      )
      yield* settle
      const exit = yield* atOnce(rollback(kernel, a))
      assert.deepStrictEqual(
        Exit.isSuccess(exit) ? [exit.value.revision, exit.value.status] : exit,
        [2, "failed"],
      )
      for (const fiber of [deploying, waiting]) {
        assert.strictEqual(failureOf(yield* Fiber.join(fiber))._tag, "DeploymentEnded")
      }
      assert.deepStrictEqual(running(kernel), [])
      const again = yield* atOnce(rollback(kernel, a))
      assert.isTrue(Exit.isSuccess(again))
      yield* sound(kernel, ["acme/a@1"])
    }),
  )

  it.effect("ends with all that wait behind it before a kill, and not with what comes later", () =>
    Effect.gen(function* () {
      const kernel = yield* boot()
      const first = yield* starting(kernel)
      const second = yield* Effect.forkChild(
        Effect.exit(deploy(kernel, a, { start: "hang" }, terms)),
      )
      yield* settle
      const killing = yield* Effect.forkChild(Effect.exit(kill(kernel, a)))
      const later = yield* Effect.forkChild(Effect.exit(deploy(kernel, a, { n: 2 })))
      yield* Effect.repeat(settle, { times: 3 })
      for (const fiber of [first, second]) {
        assert.strictEqual(failureOf(yield* Fiber.join(fiber))._tag, "DeploymentEnded")
      }
      assert.strictEqual(failureOf(yield* Fiber.join(killing))._tag, "ServiceNotFound")
      assert.isTrue(Exit.isSuccess(yield* Fiber.join(later)))
      yield* sound(kernel, ["acme/a@1"])
    }),
  )

  for (const how of ["announcement of the shutdown", "shutdown"] as const) {
    it.effect(`is ended by the ${how}, which is a clean one (promise 9)`, () =>
      Effect.gen(function* () {
        const kernel = yield* boot()
        const deploying = yield* starting(kernel)
        const waiting = yield* Effect.forkChild(
          Effect.exit(deploy(kernel, a, { start: "hang" }, terms)),
        )
        yield* settle
        yield* atOnce(how === "shutdown" ? halt(kernel) : kernel.lifecycle.shutdown("the test"))
        for (const fiber of [deploying, waiting]) {
          assert.strictEqual(failureOf(yield* Fiber.join(fiber))._tag, "KernelStopping")
        }
        yield* halt(kernel)
        assert.deepStrictEqual(kernel.lifecycle.problems(), [])
        const next = yield* boot({ disk: kernel.disk })
        assert.strictEqual(next.lifecycle.previousEnd, "clean")
        assert.deepStrictEqual(yield* storyOf(next), ["service_deployment_failed"])
        assert.strictEqual(yield* statusOf(next, a), "absent")
      }),
    )
  }

  it.effect("does not begin once the kernel is stopping, though it was compiled before", () =>
    Effect.gen(function* () {
      const kernel = yield* boot()
      const script = { compileMs: 100, start: "hang" } as const
      const deploying = yield* Effect.forkChild(Effect.exit(deploy(kernel, a, script, terms)))
      yield* pass(50)
      yield* kernel.lifecycle.shutdown("the test")
      yield* pass(50)
      assert.strictEqual(failureOf(yield* Fiber.join(deploying))._tag, "KernelStopping")
    }),
  )
})

describe("requests for a service that hangs in its start", () => {
  it.live("are all over after a kill, wherever they meet, and leave nothing (promises 2, 10)", () =>
    Effect.gen(function* () {
      const answers = new Set<string>()
      const kernel = yield* boot()
      for (const cut of cuts(120, 4)) {
        const hang = { start: "hang" } as const
        const asked: ReadonlyArray<Effect.Effect<unknown, { readonly _tag: string }>> = [
          deploy(kernel, a, { ...hang, n: 1 }, terms),
          deploy(kernel, a, { n: cut, startMs: 1 }),
          swap(kernel, a, { ...hang, n: 2 }, 0, terms),
          rollback(kernel, a),
          ...(cut % 8 === 0 ? [kill(kernel, a)] : []),
          deploy(kernel, a, { ...hang, n: 3 }, terms),
        ]
        const fibers = yield* Effect.forEach(asked, (one, index) =>
          Effect.yieldNow.pipe(
            Effect.repeat({ times: (index * cut) % 90 }),
            Effect.andThen(Effect.result(slowly(one))),
            Effect.forkChild,
          ),
        )
        yield* Effect.repeat(settle, { times: 3 })
        yield* Effect.ignore(kill(kernel, a))
        for (const fiber of fibers) {
          const result = yield* Fiber.join(fiber)
          answers.add(result._tag === "Failure" ? result.failure._tag : "ok")
        }
        yield* Effect.ignore(kill(kernel, a, true))
        assert.deepStrictEqual(running(kernel), [], `cut ${cut}`)
        assert.strictEqual(yield* statusOf(kernel, a), "absent", `cut ${cut}`)
        if (cut % 20 === 0) yield* sound(kernel, [])
      }
      assert.includeMembers([...answers], ["ok", "DeploymentEnded", "SwapFailed"])
      yield* halt(kernel)
    }),
  )
})

describe("a recovery that is starting a service", () => {
  /** A kernel whose recovery waits for the start of `a`. */
  const recovering = Effect.fnUntraced(function* (script: Script, restart = "permanent") {
    const first = yield* boot()
    const deploying = yield* Effect.forkChild(deploy(first, a, script, { ...terms, restart }))
    yield* pass(500)
    yield* Fiber.join(deploying)
    const [kernel, start] = yield* build({ disk: pullPlug(first) })
    yield* Effect.addFinalizer(() => halt(kernel))
    const starting = yield* Effect.forkChild(start)
    yield* Effect.repeat(settle, { times: 3 })
    assert.strictEqual(yield* statusOf(kernel, a), "starting")
    return [kernel, starting] as const
  })

  it.effect("leaves a service dead that is killed meanwhile (promise 2)", () =>
    Effect.gen(function* () {
      const [kernel, starting] = yield* recovering({ startMs: 500 })
      assert.isTrue(Exit.isSuccess(yield* atOnce(kill(kernel, a, true))))
      yield* Fiber.join(starting)
      assert.deepStrictEqual(outcomes(yield* reportOf(kernel)), { a: "skipped" })
      yield* pass(500)
      assert.strictEqual(yield* statusOf(kernel, a), "absent")
      assert.strictEqual((yield* storyOf(kernel)).at(-1), "service_killed")
      yield* sound(kernel, [])
    }),
  )

  for (const [what, replace] of [
    ["deployment", deploy],
    ["swap", swap],
  ] as const) {
    it.effect(`leaves its place to a ${what}`, () =>
      Effect.gen(function* () {
        const [kernel, starting] = yield* recovering({ startMs: 500 })
        assert.isTrue(
          Exit.isSuccess(yield* atOnce<unknown, unknown, never>(replace(kernel, a, { n: 2 }))),
        )
        yield* Fiber.join(starting)
        assert.deepStrictEqual(outcomes(yield* reportOf(kernel)), { a: "skipped" })
        yield* pass(500)
        yield* sound(kernel, ["acme/a@2"])
      }),
    )

    it.effect(`still brings it back when a ${what} comes to nothing (promise 1)`, () =>
      Effect.gen(function* () {
        const [kernel, starting] = yield* recovering({ startMs: 500 }, "temporary")
        const failed = yield* atOnce<unknown, { readonly _tag: string }, never>(
          replace(kernel, a, { start: "fail" }),
        )
        assert.strictEqual(failureOf(failed)._tag, "StartFailed")
        yield* Fiber.join(starting)
        assert.strictEqual(yield* statusOf(kernel, a), "starting")
        yield* pass(500)
        assert.strictEqual(yield* statusOf(kernel, a), "running")
        assert.deepStrictEqual(running(kernel), ["acme/a@1"])
        kernel.world.crash(a)
        yield* settle
        assert.strictEqual(yield* statusOf(kernel, a), "failed", "it is watched")
      }),
    )
  }

  it.effect("still brings it back when a swap is rolled back (promise 1)", () =>
    Effect.gen(function* () {
      const [kernel, starting] = yield* recovering({ startMs: 500 })
      const swapping = yield* Effect.forkChild(
        Effect.exit(swap(kernel, a, { crashAfterMs: 100 }, 1000)),
      )
      yield* pass(100)
      assert.strictEqual(failureOf(yield* Fiber.join(swapping))._tag, "SwapRolledBack")
      yield* Fiber.join(starting)
      assert.strictEqual(yield* statusOf(kernel, a), "starting")
      yield* pass(400)
      assert.strictEqual(yield* statusOf(kernel, a), "running")
      assert.deepStrictEqual(running(kernel), ["acme/a@1"])
    }),
  )

  it.effect("leaves its place to the revision before when it is rolled back", () =>
    Effect.gen(function* () {
      const first = yield* boot()
      yield* deploy(first, a)
      yield* swap(first, a, { n: 2 }, 0, terms)
      const world = makeWorld()
      const [kernel, start] = yield* build({ disk: pullPlug(first), world })
      yield* Effect.addFinalizer(() => halt(kernel))
      world.overrides.set("acme/a", { start: "hang" })
      const starting = yield* Effect.forkChild(start)
      yield* Effect.repeat(settle, { times: 3 })
      assert.strictEqual(yield* statusOf(kernel, a), "starting")
      world.overrides.clear()
      assert.isTrue(Exit.isSuccess(yield* atOnce(rollback(kernel, a))))
      yield* Fiber.join(starting)
      yield* sound(kernel, ["acme/a@1"])
    }),
  )

  it.effect("leaves a start that then fails to the restart policy", () =>
    Effect.gen(function* () {
      const [kernel, starting] = yield* recovering({ startMs: 500 })
      kernel.world.overrides.set("acme/a", { start: "fail" })
      const failed = yield* atOnce(swap(kernel, a, { n: 2 }))
      assert.strictEqual(failureOf(failed)._tag, "StartFailed")
      yield* Fiber.join(starting)
      assert.strictEqual(yield* statusOf(kernel, a), "restarting")
      kernel.world.overrides.clear()
      yield* pass(600, 100)
      assert.deepStrictEqual(running(kernel), ["acme/a@1"])
    }),
  )

  it.effect("is ended by the shutdown, which is a clean one, and is wanted still (promise 9)", () =>
    Effect.gen(function* () {
      const [kernel, starting] = yield* recovering({ startMs: 500 })
      yield* atOnce(kernel.lifecycle.shutdown("the test"))
      assert.isDefined(starting.pollUnsafe(), "recovery is over")
      yield* halt(kernel)
      assert.deepStrictEqual(kernel.lifecycle.problems(), [])
      assert.deepStrictEqual(running(kernel), [])
      const world = makeWorld()
      world.overrides.set("acme/a", {})
      const back = yield* boot({ disk: kernel.disk, world })
      assert.strictEqual(back.lifecycle.previousEnd, "clean")
      assert.deepStrictEqual(running(back), ["acme/a@1"])
    }),
  )
})
