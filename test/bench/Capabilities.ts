/**
 * How fast tokens are judged, beside a bare SHA-256 and Map lookup in the same run, and how long a
 * start with 100,000 tokens takes, beside reading the same rows with node:sqlite.
 */
import { hash } from "node:crypto"
import { DatabaseSync } from "node:sqlite"

import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"

import { type Need, root } from "../../src/domain/Capability.ts"
import { TenantId } from "../../src/domain/Identifier.ts"
import { CapabilityManager } from "../../src/kernel/capability/CapabilityManager.ts"
import { TokenStore } from "../../src/kernel/capability/TokenStore.ts"
import { capability, layerCapabilities, layerTokens, newFile } from "../kernel/Workbench.ts"
import { type Measurement, median } from "./Measurement.ts"

const checks = 500_000
const rounds = 5
const stored = 100_000
const need: Need = { permission: "read", on: "tenant" }

const open = Effect.fnUntraced(function* (filename: string) {
  const scope = yield* Scope.make()
  const layer = layerCapabilities(filename)
  const context = yield* Layer.buildWithMemoMap(layer, Layer.makeMemoMapUnsafe(), scope)
  return { manager: Context.get(context, CapabilityManager), close: Scope.close(scope, Exit.void) }
})

/** Microseconds per call: the median of some rounds. */
const perCall = (run: () => void): number =>
  median(
    Array.from({ length: rounds }, () => {
      const start = performance.now()
      run()
      return ((performance.now() - start) * 1000) / checks
    }),
  )

const verification = Effect.gen(function* () {
  const { manager, close } = yield* open(newFile())
  const granted = yield* Effect.forEach(
    Array.from({ length: 1000 }),
    () => manager.grant(root, TenantId.make("a"), { permissions: ["read"], ttlSeconds: 3600 }),
    { concurrency: "unbounded" },
  )
  const tokens = granted.map(({ token }) => Redacted.value(token))
  const index = new Map(granted.map((each) => [each.capability.tokenHash as string, each]))
  let found = 0
  const bare = perCall(() => {
    for (let i = 0; i < checks; i++)
      if (index.get(hash("sha256", tokens[i % tokens.length]!)) !== undefined) found++
  })
  const core = perCall(() => {
    for (let i = 0; i < checks; i++)
      if (manager.verifyUnsafe(tokens[i % tokens.length]!, need) !== undefined) found++
  })
  const context = yield* Effect.context<never>()
  const all = Effect.gen(function* () {
    for (let i = 0; i < checks; i++) yield* manager.verify(granted[i % tokens.length]!.token, need)
  })
  const whole = perCall(() => {
    Effect.runSyncWith(context)(all)
  })
  yield* close
  if (found !== checks * rounds * 2) return yield* Effect.die("a token was not found")
  return { bare, core, whole }
})

const restart = Effect.fnUntraced(function* (stored: number) {
  const filename = newFile()
  yield* Effect.flatMap(TokenStore, (store) =>
    Effect.forEach(
      Array.from({ length: stored }, (_, n) =>
        capability(`t${n}`, { tenantId: TenantId.make(`tenant${n % 100}`) }),
      ),
      store.storeToken,
      { concurrency: 1000, discard: true },
    ),
  ).pipe(Effect.scoped, Effect.provide(layerTokens(filename)))
  const rawStart = performance.now()
  const database = new DatabaseSync(filename)
  const rows = database.prepare("SELECT * FROM tokens").all()
  database.close()
  const raw = performance.now() - rawStart
  const start = performance.now()
  const { manager, close } = yield* open(filename)
  const whole = performance.now() - start
  const listed = yield* manager.list(TenantId.make("tenant7"), { limit: 10_000 })
  yield* close
  if (rows.length !== stored || listed.length !== stored / 100)
    return yield* Effect.die("tokens are missing")
  return { raw, whole }
})

/** Milliseconds that a start with so many stored tokens takes, and reading their rows. */
export const startWithTokens = (count: number) => Effect.runPromise(restart(count))

/** Runs the benchmark. */
export const benchCapabilities = async (): Promise<ReadonlyArray<Measurement>> => {
  const { bare, core, whole } = await Effect.runPromise(verification)
  const { raw, whole: started } = await startWithTokens(stored)
  const beside = { baseline: bare, baselineName: "SHA-256 + Map.get" }
  return [
    { name: "verifyUnsafe, one check", unit: "µs", figure: core, ...beside },
    { name: "verify, one check", unit: "µs", figure: whole, ...beside },
    {
      name: `start with ${stored} tokens`,
      unit: "ms",
      figure: started,
      baseline: raw,
      baselineName: "SELECT *, node:sqlite",
    },
  ]
}
