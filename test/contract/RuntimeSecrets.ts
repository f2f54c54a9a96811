/**
 * The part of the runtime contract that is about `ctx.secrets` (promises 4, 6 and 10).
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Latch from "effect/Latch"
import type * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import type { Program, Runtime } from "solo"

import { ask, fetching, logUntil, startService } from "./RuntimeClient.ts"

const largest = "😀é\0\u{feff}\n".repeat(5461)

const vault: Readonly<Record<string, string>> = { key: "s3cret", largest }

const readSecret: Program["readSecret"] = (name) => {
  if (name === "broken") return Effect.die(new Error("a value"))
  const value = vault[name]
  return value === undefined
    ? Effect.fail({ message: `there is no secret ${name}` })
    : Effect.succeed(Redacted.make(value))
}

/** Answers with what became of every call of `get`. */
const tell = (names: string): string =>
  fetching(`const told = await Promise.allSettled(${names}.map((name) => ctx.secrets.get(name)))
    return Response.json(told.map(({ value, reason }) => reason === undefined ? value :
      Object.getPrototypeOf(reason) === Error.prototype ? [reason.message] : "no plain error"))`)

/** Runs the suite against the driver that `layer` provides. */
export const secretsContract = (name: string, layer: Layer.Layer<Runtime, unknown>): void => {
  const test = <E>(title: string, body: () => Effect.Effect<void, E, Runtime | Scope.Scope>) =>
    it.live(title, () => Effect.scoped(body()).pipe(Effect.provide(layer)))

  const told = Effect.fnUntraced(function* (names: string) {
    const instance = yield* startService(tell(names), { readSecret })
    const { text } = yield* ask(instance)
    yield* instance.stop
    return { told: JSON.parse(text), lines: instance.lines }
  })

  describe(`${name}: secrets`, () => {
    test("get resolves to the text, or rejects and says why", () =>
      Effect.gen(function* () {
        const { told: answers, lines } = yield* told("['key', 'none', 'broken', 'key']")
        assert.deepStrictEqual(answers, [
          "s3cret",
          ["there is no secret none"],
          ["the secret broken cannot be read now"],
          "s3cret",
        ])
        assert.deepStrictEqual(lines, [])
      }))

    test("the largest secret arrives whole", () =>
      Effect.gen(function* () {
        const { told: answers } = yield* told("['largest']")
        assert.isTrue(answers[0] === largest)
      }))

    test("get works while the service starts, and nothing can be changed about it", () =>
      Effect.gen(function* () {
        const instance = yield* startService(
          `let key; export default {
            async start(ctx) { key = await ctx.secrets.get("key") },
            fetch(request, ctx) { return Response.json([key, Object.keys(ctx.secrets),
              Object.isFrozen(ctx.secrets), Object.isFrozen(ctx.secrets.get)]) } }`,
          { readSecret },
        )
        const { text } = yield* ask(instance)
        assert.deepStrictEqual(JSON.parse(text), ["s3cret", ["get"], true, true])
      }))

    test("hostile names are refused or not found, and no code of theirs runs", () =>
      Effect.gen(function* () {
        const trap = "{ toString() { throw new Error('ran') }, valueOf() { return 'key' } }"
        const { told: answers } = yield* told(
          `[7, undefined, null, ${trap}, new Proxy({}, {}), ['key'], Symbol('key'), new String('key'),
            '', 'x'.repeat(129), 'x'.repeat(1e6), 'key\\0', '\\0', '\\ud800', '\\ufeffkey', '__proto__/', '../key']`,
        )
        const noString = ["the name of a secret is a string"]
        const badLength = ["the name of a secret has 1 to 128 characters"]
        assert.deepStrictEqual(answers, [
          ...Array.from({ length: 8 }, () => noString),
          badLength,
          badLength,
          badLength,
          ...["key\0", "\0", "\u{fffd}", "\u{feff}key", "__proto__/", "../key"].map((odd) => [
            `there is no secret ${odd}`,
          ]),
        ])
      }))

    test("of a hundred at once 64 are answered, and after them others", () =>
      Effect.gen(function* () {
        const gate = yield* Latch.make(false)
        const instance = yield* startService(
          fetching(`const all = Array.from({ length: 100 }, () => ctx.secrets.get("key"))
            await Promise.allSettled(all.slice(64))
            ctx.log.info("refused")
            const told = await Promise.allSettled([...all, Promise.all(all.slice(0, 64)).then(() => ctx.secrets.get("key"))])
            const kept = told.filter(({ value }) => value === "s3cret").length
            return Response.json([kept, [...new Set(told.map(({ reason }) => reason?.message))]])`),
          { readSecret: (name) => Effect.andThen(gate.await, readSecret(name)) },
        )
        const fiber = yield* Effect.forkChild(ask(instance))
        yield* logUntil(instance, /refused/)
        yield* gate.open
        assert.deepStrictEqual(JSON.parse((yield* Fiber.join(fiber)).text), [
          65,
          [null, "at most 64 secrets may be waited for at once"],
        ])
      }))

    test("what is waited for is refused when the service stops", () =>
      Effect.gen(function* () {
        const instance = yield* startService(
          `let waiting; export default { fetch() {},
            start(ctx) { waiting = ctx.secrets.get("key").catch((error) => ctx.log.info(error.message)) },
            async stop() { await waiting } }`,
          { readSecret: () => Effect.never },
        )
        yield* instance.stop
        assert.deepStrictEqual(yield* instance.exit, { _tag: "Stopped" })
        const { lines } = instance
        assert.deepStrictEqual(
          lines.map(({ message }) => message),
          ["the service is stopping"],
        )
      }))
  })
}
