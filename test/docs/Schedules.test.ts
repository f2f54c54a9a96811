/**
 * The service under "Schedules" in docs/services.md, run as it stands there.
 */
import { readFileSync } from "node:fs"

import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Compiler } from "solo"

import { layer as threads } from "../../plugins/threads/index.ts"
import { layer as typescript } from "../../plugins/typescript/index.ts"
import { ask, logUntil, startService } from "../contract/RuntimeClient.ts"

it.live("docs/services.md shows a service with a schedule that runs", () =>
  Effect.gen(function* () {
    const text = readFileSync(new URL("../../docs/services.md", import.meta.url), "utf8")
    const [, source] = /## Schedules[^]*?```ts\n([^]*?)```/.exec(text)!
    const { compile } = yield* Compiler
    const crons = ["*/5 * * * *"]
    const instance = yield* startService(yield* compile(source!, "typescript"), { crons })
    yield* instance.scheduled({ cron: crons[0]!, scheduledTime: 300_000 })
    assert.strictEqual((yield* ask(instance)).text, "1")
    const [line] = yield* logUntil(instance, /due/)
    assert.deepStrictEqual(line!.fields, { cron: crons[0], at: "1970-01-01T00:05:00.000Z" })
  }).pipe(Effect.scoped, Effect.provide(Layer.merge(threads, typescript))),
)
