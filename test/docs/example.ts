/**
 * A process of its own for the test of the documentation: loads the plugin named by its first
 * argument with the real loader, builds it with the configuration in its second, appends three
 * events and prints what the plugin's service says, then whether it shares the kernel's modules.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as PubSub from "effect/PubSub"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"

import { draft, type Event, type EventDraft } from "../../src/domain/Event.ts"
import * as surface from "../../src/index.ts"
import { build } from "../../src/kernel/plugin/PluginGraph.ts"
import { load } from "../../src/main/PluginLoader.ts"

const [path = "", config = "{}"] = process.argv.slice(2)

/** A log in memory, as far as the example uses it. */
const makeLog = Effect.gen(function* () {
  const live = yield* PubSub.unbounded<Event>()
  let id = 0
  const store: Partial<surface.EventStore["Service"]> = {
    lastId: Effect.sync(() => id),
    subscribe: ({ types } = {}) =>
      Stream.filter(Stream.fromPubSub(live), ({ type }) => types?.includes(type) ?? true),
  }
  const append = (event: EventDraft) =>
    PubSub.publish(live, { ...event, id: ++id, time: "", version: 1, hash: "" } as Event)
  return { append, store: surface.EventStore.of(store as surface.EventStore["Service"]) }
})

const Section = Schema.fromJsonString(Schema.Unknown)

const program = Effect.gen(function* () {
  const { append, store } = yield* makeLog
  const plugin = yield* load(path, "/", "/")
  const section = yield* Schema.decodeEffect(Section)(config)
  const given = Context.make(surface.EventStore, store) as Context.Context<never>
  const graph = yield* build([{ plugin, source: path, optional: false, config: section }], given)
  const Counts = Context.Service<
    { readonly of: (type: string) => Effect.Effect<number> },
    { readonly of: (type: string) => Effect.Effect<number> }
  >("event-counts/EventCounts")
  const counts = Context.getUnsafe(graph.context, Counts)
  yield* Effect.yieldNow
  yield* append(draft("system_shutdown_complete", { durationMs: 1 }))
  yield* append(draft("recovery_started", { services: 0 }))
  yield* append(draft("system_shutdown_complete", { durationMs: 2 }))
  yield* Effect.repeat(Effect.yieldNow, { times: 100 })
  const seen = [
    yield* counts.of("system_shutdown_complete"),
    yield* counts.of("recovery_started"),
    plugin.needs[0] === surface.EventStore,
  ]
  return seen.join(" ")
}).pipe(
  Effect.scoped,
  Effect.catch((error) => Effect.succeed(String(error.message))),
)

process.stdout.write(`${await Effect.runPromise(program)}\n`)
