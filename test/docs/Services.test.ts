/**
 * The example of a store in docs/services.md does what the text says (promise 1).
 */
import { readFileSync } from "node:fs"
import { stripTypeScriptTypes } from "node:module"

import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { ServiceId, TenantId } from "solo"

import { layer } from "../../plugins/threads/index.ts"
import { serviceStoreOf } from "../../src/kernel/store/ServiceStore.ts"
import { ask, startService } from "../contract/RuntimeClient.ts"
import { layerStores } from "../kernel/Stores.ts"

const text = readFileSync(new URL("../../docs/services.md", import.meta.url), "utf8")

/** The first example below a heading. */
const example = (heading: string): string => {
  const below = text.slice(text.indexOf(`\n### ${heading}\n`))
  return stripTypeScriptTypes(/```ts\n(.*?)```/s.exec(below)![1]!)
}

const name = { tenantId: TenantId.make("acme"), serviceId: ServiceId.make("guests") }

it.live("the store of docs/services.md counts visits, also those at once, and keeps them", () =>
  Effect.gen(function* () {
    const store = yield* serviceStoreOf(name)
    const visit = (instance: Parameters<typeof ask>[0], who: string) =>
      ask(instance, { url: `http://guests/?name=${who}` })
    const first = yield* startService(example("Store"), { store })
    yield* Effect.forEach(["ada", "bob", "ada", "eve"], (who) => visit(first, who), {
      concurrency: "unbounded",
    })
    yield* first.kill
    const second = yield* startService(example("Store"), { store })
    const { text } = yield* visit(second, "zoe")
    assert.deepStrictEqual(JSON.parse(text), {
      visits: 5,
      names: ["ada", "bob", "eve", "zoe"],
      more: false,
    })
  }).pipe(Effect.scoped, Effect.provide(Layer.merge(layer, layerStores()))),
)
