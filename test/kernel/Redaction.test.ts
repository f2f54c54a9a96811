/**
 * A service that throws what it was given tells nobody but its own log: no event, status or answer
 * holds the value of a secret (promise 8).
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Redacted from "effect/Redacted"

import { SecretName } from "../../src/domain/Secret.ts"
import { Redaction } from "../../src/kernel/services/Redaction.ts"
import {
  boot,
  callerOf,
  deploy,
  type Kernel,
  named,
  pass,
  settle,
  swap,
} from "./harness/Machine.ts"
import { reboot } from "./harness/Recovery.ts"
import type { Script } from "./harness/ScriptedRuntime.ts"
import { begin, everyMinute, minute } from "./Schedules.ts"

const value = "s3cret, as it was given"
const a = named("acme", "a")
const get = { method: "GET", url: "http://service/", headers: [], body: null }
const terms = { secrets: ["key"] }
const telling = (script: Script): Script => ({ ...script, tells: "key" })

const bootWithSecret = Effect.gen(function* () {
  const kernel = yield* boot()
  yield* kernel.vault.store(callerOf("acme"), SecretName.make("key"), Redacted.make(value))
  return kernel
})

const reasonsOf = (kernel: Kernel) =>
  Effect.map(kernel.store.filter({}), (events) =>
    events.flatMap(({ payload, type }) =>
      "reason" in payload && payload.reason.includes("scripted")
        ? [`${type}: ${payload.reason}`]
        : [],
    ),
  )

const assertSilent = Effect.fnUntraced(function* (kernel: Kernel) {
  assert.notInclude(JSON.stringify(yield* kernel.store.filter({})), value)
  const { lastError } = yield* kernel.deployer.status(a.tenantId, a.serviceId)
  assert.notInclude(lastError ?? "", value)
})

describe("a secret that a service throws", () => {
  it.effect("at its start is in neither the refusal nor its event", () =>
    Effect.gen(function* () {
      const kernel = yield* bootWithSecret
      const error = yield* Effect.flip(deploy(kernel, a, telling({ start: "fail" }), terms))
      assert.strictEqual(error.message, "scripted <secret> to fail")
      assert.deepStrictEqual(yield* reasonsOf(kernel), [
        "service_deployment_failed: scripted <secret> to fail",
      ])
    }),
  )

  it.effect("when it crashes is in no event, and not in its status", () =>
    Effect.gen(function* () {
      const kernel = yield* bootWithSecret
      const script = telling({ crashAfterMs: 1000 })
      yield* deploy(kernel, a, script, { ...terms, limits: { maxRestarts: 1 } })
      // A secret is decrypted outside the event loop, however much time the test lets pass.
      const reasons = yield* Effect.repeat(Effect.andThen(pass(100), reasonsOf(kernel)), {
        until: ({ length }) => length >= 3,
        times: 10_000,
      })
      assert.deepStrictEqual(reasons, [
        "service_crashed: scripted <secret>",
        "service_crashed: scripted <secret>",
        "service_gave_up: scripted <secret>",
      ])
      yield* assertSilent(kernel)
    }),
  )

  it.effect("when it recovers or is swapped is in no event", () =>
    Effect.gen(function* () {
      const first = yield* bootWithSecret
      yield* deploy(first, a, {}, terms)
      const kernel = yield* reboot(first, { a: telling({ start: "fail" }) })
      kernel.world.overrides.clear()
      yield* pass(1000, 100)
      const unhealthy = { ...terms, healthPath: "/" }
      yield* Effect.flip(swap(kernel, a, telling({ answers: "throw" }), 0, unhealthy))
      const swapping = yield* Effect.forkChild(
        Effect.flip(swap(kernel, a, telling({ crashAfterMs: 100 }), 1000, terms)),
      )
      yield* pass(1000, 100)
      assert.include((yield* Fiber.join(swapping)).message, "scripted <secret>")
      const types = (yield* reasonsOf(kernel)).map((text) => text.split(":")[0])
      for (const type of ["service_recovery_failed", "hot_swap_failed", "hot_swap_rolled_back"]) {
        assert.include(types, type)
      }
      yield* assertSilent(kernel)
    }),
  )

  it.effect("at a due time or on a request is in neither event nor answer", () =>
    Effect.gen(function* () {
      yield* begin
      const kernel = yield* bootWithSecret
      const script = telling({ answers: "throw", scheduled: "throw" })
      yield* deploy(kernel, a, script, { ...terms, ...everyMinute })
      yield* pass(minute, 15_000)
      const error = yield* Effect.flip(Effect.scoped(kernel.ingress.request(a, get)))
      assert.strictEqual(error.message, "scripted <secret>")
      yield* settle
      assert.deepStrictEqual(yield* reasonsOf(kernel), ["schedule_failed: scripted <secret>"])
    }),
  )
})

describe("Redaction", () => {
  it("finds values within each other, without white space around them, and cut short", () => {
    const redaction = new Redaction()
    redaction.add("password")
    redaction.add(`\nmy password is long\n`)
    redaction.add(`-----${"x".repeat(65_000)}`)
    assert.strictEqual(redaction.text("a my password is long b"), "a <secret> b")
    assert.strictEqual(redaction.text("password, password"), "<secret>, <secret>")
    assert.strictEqual(redaction.text("threw my passwor"), "threw <secret>")
    assert.strictEqual(redaction.text(`threw -----${"x".repeat(4000)}`), "threw <secret>")
  })

  it("leaves short values alone, and takes out tokens", () => {
    const redaction = new Redaction()
    redaction.add("error")
    const token = `solo_${"a".repeat(43)}`
    assert.strictEqual(redaction.text(`an error with ${token}`), "an error with <token>")
  })

  it("remembers the newest 256 values", () => {
    const redaction = new Redaction()
    for (let n = 1000; n <= 1256; n++) redaction.add(`value ${n} of it`)
    assert.strictEqual(redaction.text("value 1000 of it"), "value 1000 of it")
    assert.strictEqual(redaction.text("value 1001 of it"), "<secret>")
  })
})
