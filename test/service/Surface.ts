/**
 * What a service finds at run time, told by a service itself: the names on the global object, the
 * members of each class and object there, and those of `ctx`.
 */
import * as Effect from "effect/Effect"

import { layer as threads } from "../../plugins/threads/index.ts"
import { ask, startService } from "../contract/RuntimeClient.ts"

const code = `
const namesOf = (value) => {
  const names = new Set()
  for (let at = value; at !== null && at !== Object.prototype && at !== Function.prototype; at = Object.getPrototypeOf(at))
    for (const key of Reflect.ownKeys(at)) if (typeof key === "string") names.add(key)
  return [...names]
}
const statics = (value) => namesOf(value).filter((name) => !["length", "name", "prototype", "arguments", "caller"].includes(name))
const classOf = (value, sample) => ({
  statics: typeof value === "function" ? statics(value) : [],
  members: typeof value === "function"
    ? namesOf(sample ?? value.prototype ?? null).filter((name) => name !== "constructor")
    : typeof value === "object" && value !== null ? namesOf(value).filter((name) => name !== "constructor") : [],
})
// What keeps some of its members on itself.
const samples = {
  Event: new Event("x"), AbortSignal: new AbortController().signal, TextDecoder: new TextDecoder(), TextEncoder: new TextEncoder(),
  TextDecoderStream: new TextDecoderStream(), TextEncoderStream: new TextEncoderStream(),
}
let due = []
export default { scheduled(event) { due = Object.keys(event) }, fetch(request, ctx) {
  const globals = Object.fromEntries(Object.getOwnPropertyNames(globalThis).map((name) => [name, classOf(globalThis[name], samples[name])]))
  const inner = (value) => typeof value === "object" && value !== null && Object.getPrototypeOf(value) === Object.prototype
    ? Object.fromEntries(Object.entries(value).map(([name, one]) => [name, inner(one)])) : null
  return Response.json({ globals, subtle: classOf(crypto.subtle).members, due, ctx: inner(ctx) })
} }`

/** The members of one global. */
interface Members {
  readonly statics: ReadonlyArray<string>
  readonly members: ReadonlyArray<string>
}

/** Nested names; `null` for what is no plain object. */
export type Names = { readonly [name: string]: Names | null }

/** What a service finds. */
export interface Surface {
  readonly globals: Readonly<Record<string, Members>>
  readonly subtle: ReadonlyArray<string>
  /** Members of the event that `scheduled` gets. */
  readonly due: ReadonlyArray<string>
  readonly ctx: Names
}

/** Asks a service what it finds. */
export const askSurface = Effect.gen(function* () {
  const instance = yield* startService(code)
  yield* instance.scheduled({ cron: "* * * * *", scheduledTime: 0 })
  return JSON.parse((yield* ask(instance)).text) as Surface
}).pipe(Effect.scoped, Effect.provide(threads))
