/**
 * The part of the runtime contract that is about `scheduled` (promises 4 and 10).
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import type { Runtime } from "solo"

import { ask, logUntil, startService } from "./RuntimeClient.ts"

const crons = ["*/5 * * * *"]
const event = { cron: crons[0]!, scheduledTime: 1_767_268_800_000 }

/** A service whose `scheduled` has `body` as its body. */
const scheduling = (body: string): string =>
  `let seen = []; export default { fetch() { return Response.json(seen) },
    async scheduled(event, ctx) { ${body} } }`

/** Runs the suite against the driver that `layer` provides. */
export const scheduledContract = (name: string, layer: Layer.Layer<Runtime, unknown>): void => {
  const test = <E>(title: string, body: () => Effect.Effect<void, E, Runtime | Scope.Scope>) =>
    it.live(title, () => Effect.scoped(body()).pipe(Effect.provide(layer)))

  describe(`${name}: scheduled`, () => {
    test("gets the due time and ctx, and is waited for", () =>
      Effect.gen(function* () {
        const instance = yield* startService(
          scheduling(`await new Promise((r) => setTimeout(r, 20))
            seen.push([event.type, event.cron, event.scheduledTime, Object.isFrozen(event),
              event.signal.aborted, ctx.serviceId])`),
          { crons },
        )
        yield* instance.scheduled(event)
        const { text } = yield* ask(instance)
        assert.deepStrictEqual(JSON.parse(text), [
          ["scheduled", event.cron, event.scheduledTime, true, false, "greeter"],
        ])
        assert.strictEqual((yield* instance.stats).inFlight, 0)
      }))

    test("must be there where the spec has crons, and be a function", () =>
      Effect.gen(function* () {
        const missing = yield* Effect.flip(startService("export default { fetch() {} }", { crons }))
        assert.match(missing.message, /has crons, but .* no method scheduled: write/)
        const odd = "export default { fetch() {}, scheduled: 1 }"
        assert.match(
          (yield* Effect.flip(startService(odd))).message,
          /scheduled must be a function/,
        )
        const instance = yield* startService("export default { fetch() {} }")
        const error = yield* Effect.flip(instance.scheduled(event))
        assert.match(error.message, /no method scheduled/)
      }))

    const throwing: Readonly<Record<string, readonly [body: string, says: RegExp]>> = {
      "an error": ["throw new Error('no luck')", /no luck/],
      "a text": ["throw 'no luck'", /no luck/],
      "a trap": ["throw new Proxy({}, { get() { throw 1 } })", /./],
      "a lot": ["throw new Error('y'.repeat(1e6))", /y/],
      "a promise that rejects": ["return Promise.reject(new TypeError('no luck'))", /no luck/],
      "a thenable that throws": ["return { then() { throw new Error('no luck') } }", /no luck/],
    }
    for (const [what, [body, says]] of Object.entries(throwing))
      test(`says what was thrown where that is ${what}, and goes on`, () =>
        Effect.gen(function* () {
          const instance = yield* startService(scheduling(body), { crons })
          for (let turn = 0; turn < 2; turn++) {
            const error = yield* Effect.flip(instance.scheduled(event))
            assert.strictEqual(error._tag, "ServiceThrew")
            assert.match(error.message, says)
            assert.isAtMost(error.message.length, 4096)
          }
          yield* instance.stop
          const { lines } = instance
          assert.match(lines[0]!.message, /^scheduled threw/)
        }))

    test("is told when nobody waits any more, and what it says then is ignored", () =>
      Effect.gen(function* () {
        const instance = yield* startService(
          scheduling(`ctx.log.info("in"); event.signal.addEventListener("abort", () => ctx.log.info("aborted"))
            await new Promise((r) => setTimeout(r, 100)); ctx.log.info("over"); throw new Error("late")`),
          { crons },
        )
        const fiber = yield* Effect.forkChild(instance.scheduled(event))
        yield* logUntil(instance, /in/)
        assert.strictEqual((yield* instance.stats).inFlight, 1)
        yield* Fiber.interrupt(fiber)
        const lines = yield* logUntil(instance, /over/)
        assert.deepStrictEqual(
          lines.map(({ message }) => message),
          ["in", "aborted", "over"],
        )
        assert.strictEqual((yield* ask(instance)).text, "[]")
        assert.strictEqual((yield* instance.stats).inFlight, 0)
      }))

    test("is waited for by stop, and ended by kill", () =>
      Effect.gen(function* () {
        const slow = scheduling(
          "ctx.log.info('in'); await new Promise((r) => setTimeout(r, 100)); ctx.log.info('out')",
        )
        const stopped = yield* startService(slow, { crons })
        const kept = yield* Effect.forkChild(stopped.scheduled(event))
        yield* logUntil(stopped, /in/)
        yield* stopped.stop
        yield* Fiber.join(kept)
        const refusal = yield* Effect.flip(stopped.scheduled(event))
        assert.deepInclude(refusal, { _tag: "NotRunning", undelivered: true })
        const killed = yield* startService(scheduling("ctx.log.info('in'); for (;;);"), { crons })
        const lost = yield* Effect.forkChild(Effect.flip(killed.scheduled(event)))
        yield* logUntil(killed, /in/)
        yield* killed.kill
        assert.strictEqual((yield* Fiber.join(lost))._tag, "NotRunning")
      }))

    test("may run 64 times at once, and survives a service that spoils its world", () =>
      Effect.gen(function* () {
        const hanging = yield* startService(scheduling("await new Promise(() => {})"), { crons })
        for (let n = 0; n < 64; n++) yield* Effect.forkChild(hanging.scheduled(event))
        yield* Effect.sleep(10)
        assert.strictEqual((yield* Effect.flip(hanging.scheduled(event)))._tag, "Overloaded")
        const spoiled = yield* startService(
          scheduling(`Object.freeze = JSON.parse = () => { throw new Error("spoiled") }
            const { prototype } = Map
            prototype.set = prototype.get = prototype.delete = () => { throw new Error("spoiled") }`),
          { crons },
        )
        yield* spoiled.scheduled(event)
        yield* spoiled.scheduled(event)
      }))
  })
}
