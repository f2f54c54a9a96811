/**
 * Deploy, kill, status and list against real storage and scripted services: promises 1, 2, 6, 10.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as References from "effect/References"

import { TenantId } from "../../src/domain/Identifier.ts"
import { maxSourceBytes } from "../../src/domain/ServiceSpec.ts"
import { cuts } from "./harness/Cuts.ts"
import { makeFaults } from "./harness/FaultyStorage.ts"
import {
  boot,
  callerOf,
  deploy,
  halt,
  kill,
  named,
  pass,
  running,
  settle,
  specOf,
  statusOf,
  typesOf,
} from "./harness/Machine.ts"

const a = named("acme", "a")
const b = named("acme", "b")

const factsOf = (types: ReadonlyArray<string>) =>
  types.filter((type) => type.startsWith("service_"))

describe("Deployer", () => {
  it.effect("starts, records, then answers", () =>
    Effect.gen(function* () {
      const kernel = yield* boot()
      const { service, created } = yield* deploy(kernel, a)
      assert.isTrue(created)
      assert.strictEqual(service.status, "running")
      assert.strictEqual(service.revision, 1)
      const [event] = yield* kernel.store.filter({ types: ["service_deployed"] })
      assert.strictEqual(event!.time, service.deployedAt)
      assert.strictEqual(event!.actor, "token-of-the-test")
      assert.strictEqual(yield* statusOf(kernel, a), "running")
    }),
  )

  it.effect("leaves a running identical spec alone (no second event)", () =>
    Effect.gen(function* () {
      const kernel = yield* boot()
      yield* deploy(kernel, a)
      const again = yield* deploy(kernel, a)
      assert.isFalse(again.created)
      assert.strictEqual(again.service.revision, 1)
      assert.deepStrictEqual(factsOf(yield* typesOf(kernel)), ["service_deployed"])
      assert.deepStrictEqual(running(kernel), ["acme/a@1"])
    }),
  )

  it.effect("refuses another spec under a running id", () =>
    Effect.gen(function* () {
      const kernel = yield* boot()
      yield* deploy(kernel, a)
      const error = yield* Effect.flip(deploy(kernel, a, { n: 2 }))
      assert.strictEqual(error._tag, "ServiceConflict")
      assert.deepStrictEqual(running(kernel), ["acme/a@1"])
    }),
  )

  it.effect("counts revisions on over a kill", () =>
    Effect.gen(function* () {
      const kernel = yield* boot()
      yield* deploy(kernel, a)
      yield* kill(kernel, a)
      assert.strictEqual(yield* statusOf(kernel, a), "absent")
      assert.deepStrictEqual(running(kernel), [])
      const { service } = yield* deploy(kernel, a)
      assert.strictEqual(service.revision, 2)
    }),
  )

  it.effect("the same id of two tenants are two services (promise 6)", () =>
    Effect.gen(function* () {
      const kernel = yield* boot()
      const other = named("zeta", "a")
      yield* deploy(kernel, a)
      yield* deploy(kernel, other, { n: 2 })
      yield* kill(kernel, a)
      assert.deepStrictEqual(running(kernel), ["zeta/a@1"])
      const listed = yield* kernel.deployer.list(TenantId.make("acme"), { limit: 10 })
      assert.deepStrictEqual(listed, [])
      const error = yield* Effect.flip(kill(kernel, a))
      assert.strictEqual(error._tag, "ServiceNotFound")
    }),
  )

  it.effect("lists in order of ids, by status, in pages", () =>
    Effect.gen(function* () {
      const kernel = yield* boot()
      for (const id of ["c", "a", "B", "d"]) yield* deploy(kernel, named("acme", id))
      const tenant = TenantId.make("acme")
      const ids = (options: Parameters<typeof kernel.deployer.list>[1]) =>
        Effect.map(kernel.deployer.list(tenant, options), (services) =>
          services.map((service) => service.serviceId as string),
        )
      assert.deepStrictEqual(yield* ids({ limit: 10 }), ["B", "a", "c", "d"])
      assert.deepStrictEqual(yield* ids({ limit: 2, after: a.serviceId }), ["c", "d"])
      assert.deepStrictEqual(yield* ids({ limit: 2, status: "failed" }), [])
    }),
  )

  for (const [what, script, tag] of [
    ["does not compile", { compile: "fail" }, "CompileFailed"],
    ["throws in start", { start: "fail" }, "StartFailed"],
    ["breaks the driver", { start: "die" }, "StartFailed"],
  ] as const) {
    it.effect(`refuses a service that ${what}, logs that, and changes nothing`, () =>
      Effect.gen(function* () {
        const kernel = yield* boot()
        const error = yield* Effect.flip(deploy(kernel, a, script))
        assert.strictEqual(error._tag, tag)
        assert.deepStrictEqual(factsOf(yield* typesOf(kernel)), ["service_deployment_failed"])
        assert.strictEqual(yield* statusOf(kernel, a), "absent")
        assert.isTrue(Exit.isFailure(yield* Effect.exit(kernel.logs.read(a))), "its log is gone")
        assert.deepStrictEqual(running(kernel), [])
        assert.strictEqual((yield* deploy(kernel, a)).service.revision, 1)
      }),
    )
  }

  for (const start of ["hang", "stuck"] as const) {
    it.effect(`refuses a service whose start never ends (${start})`, () =>
      Effect.gen(function* () {
        const kernel = yield* boot()
        const limits = { startupTimeoutMs: 1000 }
        const fiber = yield* Effect.forkChild(Effect.flip(deploy(kernel, a, { start }, { limits })))
        yield* pass(4000, 1000)
        const error = yield* Fiber.join(fiber)
        assert.strictEqual(error._tag, "StartTimedOut")
        assert.strictEqual(yield* statusOf(kernel, a), "absent")
        assert.deepStrictEqual(factsOf(yield* typesOf(kernel)), ["service_deployment_failed"])
      }),
    )
  }

  it.effect("refuses a source over the size limit, in bytes", () =>
    Effect.gen(function* () {
      const kernel = yield* boot()
      const source = "é".repeat(maxSourceBytes / 2 + 1)
      const spec = { ...specOf("a"), source }
      const error = yield* Effect.flip(kernel.deployer.deploy(callerOf("acme"), spec))
      assert.strictEqual(error._tag, "SourceTooLarge")
    }),
  )

  it.effect("bounds services per tenant and kernel; a replacement needs no room", () =>
    Effect.gen(function* () {
      const kernel = yield* boot({ settings: { maxServices: 3, maxServicesPerTenant: 2 } })
      yield* deploy(kernel, a)
      yield* deploy(kernel, b, {}, { restart: "temporary" })
      const tenant = yield* Effect.flip(deploy(kernel, named("acme", "c")))
      assert.deepInclude(tenant, { _tag: "TooManyServices", scope: "tenant" })
      yield* deploy(kernel, named("zeta", "a"))
      const whole = yield* Effect.flip(deploy(kernel, named("eta", "a")))
      assert.deepInclude(whole, { _tag: "TooManyServices", scope: "kernel" })
      kernel.world.crash(b)
      yield* settle
      assert.strictEqual((yield* deploy(kernel, b, { n: 2 })).service.revision, 2)
      yield* kill(kernel, a)
      yield* deploy(kernel, named("acme", "c"))
    }),
  )

  it.effect("stops a service again whose fact cannot be logged (promise 1)", () =>
    Effect.gen(function* () {
      const faults = makeFaults()
      const kernel = yield* boot({ open: faults.open })
      faults.failWhile((sql) => sql.includes("INSERT INTO events"))
      const error = yield* Effect.flip(deploy(kernel, a))
      assert.strictEqual(error._tag, "StorageError")
      assert.deepStrictEqual(running(kernel), [])
      assert.strictEqual(yield* statusOf(kernel, a), "absent")
      faults.stop()
      assert.strictEqual((yield* deploy(kernel, a)).service.revision, 1)
      assert.deepStrictEqual(factsOf(yield* typesOf(kernel)), ["service_deployed"])
    }),
  )

  it.effect("a kill that cannot be logged leaves the service running", () =>
    Effect.gen(function* () {
      const faults = makeFaults()
      const kernel = yield* boot({ open: faults.open })
      yield* deploy(kernel, a)
      faults.failWhile((sql) => sql.includes("INSERT INTO events"))
      assert.strictEqual((yield* Effect.flip(kill(kernel, a)))._tag, "StorageError")
      assert.strictEqual(yield* statusOf(kernel, a), "running")
      faults.stop()
      yield* kill(kernel, a)
      assert.deepStrictEqual(running(kernel), [])
    }),
  )

  it.effect("serialises what is done to one service, not what is done to others", () =>
    Effect.gen(function* () {
      const kernel = yield* boot()
      const limits = { shutdownTimeoutMs: 1000 }
      yield* deploy(kernel, a, { stop: "hang" }, { limits })
      const killing = yield* Effect.forkChild(kill(kernel, a))
      yield* settle
      const again = yield* Effect.forkChild(deploy(kernel, a))
      yield* settle
      yield* deploy(kernel, b)
      assert.deepStrictEqual(running(kernel), ["acme/a@1", "acme/b@1"], "b did not wait for a")
      yield* pass(1000)
      yield* Fiber.join(killing)
      yield* Fiber.join(again)
      assert.deepStrictEqual(running(kernel), ["acme/a@2", "acme/b@1"])
      assert.deepStrictEqual(factsOf(yield* typesOf(kernel)), [
        "service_deployed",
        "service_killed",
        "service_deployed",
        "service_deployed",
      ])
    }),
  )

  it.effect("of 20 identical deployments at once one is made, of 20 others none", () =>
    Effect.gen(function* () {
      const kernel = yield* boot()
      const same = yield* Effect.all(
        Array.from({ length: 20 }, () => deploy(kernel, a)),
        { concurrency: "unbounded" },
      )
      assert.strictEqual(same.filter(({ created }) => created).length, 1)
      const others = yield* Effect.forEach(
        Array.from({ length: 20 }, (_, n) => n),
        (n) => Effect.exit(deploy(kernel, a, { n })),
        { concurrency: "unbounded" },
      )
      assert.isTrue(others.every((exit) => Exit.isFailure(exit)))
      assert.deepStrictEqual(factsOf(yield* typesOf(kernel)), ["service_deployed"])
    }),
  )

  it.effect("a forced kill does not ask; another one does, within the time of the spec", () =>
    Effect.gen(function* () {
      const kernel = yield* boot()
      yield* deploy(kernel, a)
      yield* kill(kernel, a, true)
      assert.notInclude(kernel.world.history, "stop acme/a@1")
      const limits = { shutdownTimeoutMs: 300 }
      for (const stop of ["hang", "stuck"] as const) {
        yield* deploy(kernel, b, { stop }, { limits })
        const killing = yield* Effect.forkChild(kill(kernel, b))
        yield* pass(299)
        assert.strictEqual(running(kernel).length, 1, "it still has time")
        yield* pass(1)
        yield* Fiber.join(killing)
        assert.deepStrictEqual(running(kernel), [])
      }
    }),
  )

  it.effect("a driver that never ends an instance holds up nobody", () =>
    Effect.gen(function* () {
      const kernel = yield* boot()
      yield* deploy(kernel, a, { kill: "stuck", stop: "stuck", release: "stuck" })
      const killing = yield* Effect.forkChild(kill(kernel, a))
      yield* pass(20_000, 500)
      yield* Fiber.join(killing)
      assert.strictEqual(yield* statusOf(kernel, a), "absent")
    }),
  )

  it.effect("takes no changes once the kernel is stopping", () =>
    Effect.gen(function* () {
      const kernel = yield* boot()
      yield* deploy(kernel, a)
      yield* kernel.lifecycle.shutdown("test")
      assert.strictEqual((yield* Effect.flip(deploy(kernel, b)))._tag, "KernelStopping")
      assert.strictEqual((yield* Effect.flip(kill(kernel, a)))._tag, "KernelStopping")
    }),
  )
})

describe("a caller that hangs up", () => {
  // Yields to the scheduler all the time, so that the interruption can hit in the middle of anything.
  const slowly = Effect.provideService(References.MaxOpsBeforeYield, 4)
  const turns = (count: number) => Effect.repeat(Effect.yieldNow, { times: count })

  const sound = Effect.fnUntraced(function* (kernel: Effect.Success<ReturnType<typeof boot>>) {
    const status = yield* statusOf(kernel, a)
    const facts = factsOf(yield* typesOf(kernel)).filter((type) => type !== "service_crashed")
    const last = facts.at(-1)
    const up = running(kernel)
    assert.strictEqual(up.length, status === "running" ? 1 : 0, `no orphan while ${status}`)
    assert.strictEqual(status === "running", last === "service_deployed", `${status} is a fact`)
    return status
  })

  it.live("leaves a deployment done or undone, never half, wherever it is cut (promise 10)", () =>
    Effect.gen(function* () {
      const outcomes = new Set<string>()
      const kernel = yield* boot()
      for (const cut of cuts(420, 3)) {
        const fiber = yield* Effect.forkChild(slowly(deploy(kernel, a)))
        yield* turns(cut)
        yield* Fiber.interrupt(fiber)
        yield* settle
        const status = yield* sound(kernel)
        outcomes.add(status)
        if (status === "running") yield* kill(kernel, a, true)
      }
      assert.deepStrictEqual([...outcomes].sort(), ["absent", "running"])
      yield* halt(kernel)
    }),
  )

  it.live("leaves a kill done or undone, never half, wherever it is cut (promise 2)", () =>
    Effect.gen(function* () {
      const outcomes = new Set<string>()
      const kernel = yield* boot()
      for (const cut of cuts(300, 3)) {
        yield* deploy(kernel, a)
        const fiber = yield* Effect.forkChild(slowly(kill(kernel, a)))
        yield* turns(cut)
        yield* Fiber.interrupt(fiber)
        yield* settle
        outcomes.add(yield* sound(kernel))
      }
      assert.deepStrictEqual([...outcomes].sort(), ["absent", "running"])
      yield* halt(kernel)
    }),
  )

  it.effect("still gets its service killed while `stop` takes its time", () =>
    Effect.gen(function* () {
      const kernel = yield* boot()
      yield* deploy(kernel, a, { stop: "hang" }, { limits: { shutdownTimeoutMs: 500 } })
      const killing = yield* Effect.forkChild(kill(kernel, a))
      yield* settle
      const hangUp = yield* Effect.forkChild(Fiber.interrupt(killing))
      yield* pass(500)
      yield* Fiber.join(hangUp)
      assert.deepStrictEqual(running(kernel), [])
      assert.strictEqual(yield* statusOf(kernel, a), "absent")
    }),
  )

  it.effect("frees the lock of a service that hangs in its start", () =>
    Effect.gen(function* () {
      const kernel = yield* boot()
      const hanging = yield* Effect.forkChild(deploy(kernel, a, { start: "hang" }))
      yield* settle
      yield* Fiber.interrupt(hanging)
      assert.strictEqual((yield* deploy(kernel, a)).service.status, "running")
    }),
  )
})
