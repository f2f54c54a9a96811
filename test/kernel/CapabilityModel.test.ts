/**
 * Random lives of tokens against a small pure model: grants, attenuations, revocations, expiries,
 * storage that fails and comes back, restarts of the same file, kernels that die without a word.
 * Whatever happens, no token is ever wider than those it came from, and none comes back from the
 * dead (promises 1 and 2).
 */
import { copyFileSync, existsSync } from "node:fs"

import { assert, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/testing/TestClock"

import { type AttenuationRequest, type Permission, root } from "../../src/domain/Capability.ts"
import { ServiceId, TenantId } from "../../src/domain/Identifier.ts"
import { CapabilityManager, type Granted } from "../../src/kernel/capability/CapabilityManager.ts"
import { layerCapabilities, lockOut, newFile } from "./Workbench.ts"

type Manager = CapabilityManager["Service"]

/** How many lives are tried. */
const lives = Number(process.env["TEST_LIVES"] ?? 150)

const tenants = ["a", "b"].map((name) => TenantId.make(name))
const services = ["s", "t"].map((name) => ServiceId.make(name))
const permissions: ReadonlyArray<Permission> = ["read", "deploy", "kill", "grant"]
const needs = permissions.flatMap((permission) => [
  { permission, on: "tenant" as const },
  ...services.map((serviceId) => ({ permission, on: { serviceId } })),
])
type Need = (typeof needs)[number]

/** What the model knows of a token: what was asked for, by whom, and its fate. */
interface Token {
  readonly granted: Granted
  readonly asked: AttenuationRequest
  readonly at: number
  readonly parent: Token | undefined
  /** Revoked, or lost with a kernel that had not stored it: gone for ever. */
  gone: boolean
}

/** The model: a token allows what each of its line was asked to allow, while all of them live. */
const allows = (token: Token, need: Need, now: number): boolean => {
  const { permissions: held, serviceId, ttlSeconds } = token.asked
  return (
    !token.gone &&
    (held === undefined || held.includes(need.permission)) &&
    (serviceId === undefined || (need.on !== "tenant" && need.on.serviceId === serviceId)) &&
    (ttlSeconds === undefined || now < token.at + ttlSeconds * 1000) &&
    (token.parent === undefined || allows(token.parent, need, now))
  )
}

const isAlive = (token: Token, now: number): boolean =>
  !token.gone &&
  (token.asked.ttlSeconds === undefined || now < token.at + token.asked.ttlSeconds * 1000) &&
  (token.parent === undefined || isAlive(token.parent, now))

const serviceOf = (token: Token): ServiceId | undefined =>
  token.asked.serviceId ?? (token.parent === undefined ? undefined : serviceOf(token.parent))

const endOf = (token: Token): number =>
  token.asked.ttlSeconds !== undefined
    ? token.at + token.asked.ttlSeconds * 1000
    : token.parent === undefined
      ? Infinity
      : endOf(token.parent)

const depthOf = (token: Token): number =>
  token.parent === undefined ? 0 : 1 + depthOf(token.parent)

/** Whether `asked` is no wider than `parent` (a request always names its permissions here). */
const fits = (parent: Token, asked: AttenuationRequest, at: number): boolean =>
  asked.permissions!.every((permission) => parent.asked.permissions!.includes(permission)) &&
  (asked.serviceId === undefined || [undefined, asked.serviceId].includes(serviceOf(parent))) &&
  (asked.ttlSeconds === undefined || at + asked.ttlSeconds * 1000 <= endOf(parent)) &&
  depthOf(parent) < 16

const int = (maximum: number) =>
  Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum })))

const step = Arbitrary.all({ kind: int(15), pick: int(1000), terms: int(4095) })
type Step = { readonly kind: number; readonly pick: number; readonly terms: number }

/** A request out of a number: some permissions, perhaps a service, perhaps a time. */
const requestOf = (terms: number): AttenuationRequest & { permissions: Array<Permission> } => {
  const held = permissions.filter((_, bit) => (terms >> bit) & 1)
  const serviceId = services[(terms >> 4) & 3]
  const ttl = (terms >> 6) & 7
  return {
    permissions: held.length === 0 ? ["read"] : held,
    ...(serviceId === undefined ? {} : { serviceId }),
    ...(ttl < 4 ? {} : { ttlSeconds: (ttl - 3) * 10 }),
  }
}

/** One kernel on a file that can be locked, closed, killed and opened again. */
class World {
  readonly tokens: Array<Token> = []
  manager!: Manager
  scope!: Scope.Closeable
  unlock: (() => void) | undefined
  filename: string

  constructor(template: string) {
    this.filename = newFile()
    copyFileSync(template, this.filename)
  }

  readonly open = Effect.gen({ self: this }, function* () {
    this.scope = yield* Scope.make()
    const layer = layerCapabilities(this.filename)
    const context = yield* Layer.buildWithMemoMap(layer, Layer.makeMemoMapUnsafe(), this.scope)
    this.manager = Context.get(context, CapabilityManager)
  })

  readonly release = Effect.sync(() => {
    this.unlock?.()
    this.unlock = undefined
  })

  readonly close = Effect.suspend(() =>
    Effect.andThen(this.release, Scope.close(this.scope, Exit.void)),
  )

  /** After a restart: what was durable lives, what was not may, and what does not is gone. */
  readonly reopened = (durable: ReadonlySet<string>) =>
    Effect.gen({ self: this }, function* () {
      yield* this.open
      const now = yield* Clock.currentTimeMillis
      const here = new Set<string>()
      for (const tenant of tenants)
        for (const { capability } of yield* this.manager.list(tenant, { limit: 1000 }))
          here.add(capability.tokenHash)
      for (const token of this.tokens) {
        const { tokenHash } = token.granted.capability
        const alive = isAlive(token, now)
        if (here.has(tokenHash)) assert.isTrue(alive, "nothing comes back from the dead")
        else if (alive) {
          assert.isFalse(durable.has(tokenHash), "what was durable is there")
          token.gone = true
        }
      }
    })

  readonly durable = Effect.gen({ self: this }, function* () {
    const hashes = new Set<string>()
    for (const tenant of tenants)
      for (const view of yield* this.manager.list(tenant, { limit: 1000 }))
        if (view.durable) hashes.add(view.capability.tokenHash)
    return hashes
  })

  /** The kernel and the model agree about every token and every need. */
  readonly check = Effect.gen({ self: this }, function* () {
    const now = yield* Clock.currentTimeMillis
    for (const token of this.tokens)
      for (const need of needs)
        assert.strictEqual(
          this.manager.verifyUnsafe(Redacted.value(token.granted.token), need) !== undefined,
          allows(token, need, now),
        )
  })
}

const act = Effect.fnUntraced(function* (world: World, { kind, pick, terms }: Step) {
  const { manager, tokens } = world
  const chosen = tokens[pick % Math.max(1, tokens.length)]
  const at = yield* Clock.currentTimeMillis
  const asked = requestOf(terms)
  const locked = world.unlock !== undefined
  const keep = (granted: Granted, parent: Token | undefined) => {
    assert.isTrue(granted.durable || locked || parent !== undefined)
    tokens.push({ granted, asked, at, parent, gone: false })
  }
  if (kind <= 3) {
    const tenant = tenants[pick % tenants.length]!
    return keep(yield* manager.grant(root, tenant, asked), undefined)
  }
  if (kind <= 7 && chosen !== undefined) {
    const bearer = { _tag: "Tenant" as const, capability: chosen.granted.capability }
    const exit = yield* Effect.exit(manager.attenuate(bearer, asked))
    assert.strictEqual(Exit.isSuccess(exit), isAlive(chosen, at) && fits(chosen, asked, at))
    return Exit.isSuccess(exit) ? keep(exit.value, chosen) : undefined
  }
  if (kind <= 9 && chosen !== undefined) {
    const { tenantId, tokenHash } = chosen.granted.capability
    const exit = yield* Effect.exit(manager.revoke(root, tenantId, tokenHash))
    if (Exit.isSuccess(exit)) {
      assert.isTrue(isAlive(chosen, at), "only the living are revoked")
      chosen.gone = true
    } else assert.isTrue(locked || !isAlive(chosen, at), "a revocation fails for a reason")
    return
  }
  if (kind === 10) {
    yield* TestClock.adjust((pick % 5) * 10_000)
    return yield* Effect.ignore(manager.cleanup)
  }
  if (kind === 11 || kind === 13)
    return yield* Effect.sync(() => (world.unlock ??= lockOut(world.filename)))
  if (kind === 12) {
    yield* world.release
    return yield* TestClock.adjust("40 seconds")
  }
  if (kind === 14) {
    const durable = yield* world.durable
    yield* world.close
    return yield* world.reopened(durable)
  }
  if (kind === 15) {
    // What is on disk at this moment, as if the kernel had been killed.
    const durable = yield* world.durable
    const image = newFile()
    for (const suffix of ["", "-wal"])
      if (existsSync(world.filename + suffix)) copyFileSync(world.filename + suffix, image + suffix)
    yield* world.close
    world.filename = image
    return yield* world.reopened(durable)
  }
  return undefined
})

/** A migrated, empty database, so that a run need not make its own. */
const template = newFile()
const prepare = Effect.scoped(Layer.build(layerCapabilities(template)))

it.effect("prepares", () => Effect.asVoid(prepare))

it.effect.prop(
  "kernel and model agree after every step of every life",
  { steps: Arbitrary.array(step, { minLength: 10, maxLength: 40 }) },
  ({ steps }) =>
    Effect.gen(function* () {
      const world = new World(template)
      yield* world.open
      yield* Effect.gen(function* () {
        for (const each of steps) {
          yield* act(world, each)
          yield* world.check
        }
        const durable = yield* world.durable
        yield* world.close
        yield* world.reopened(durable)
        yield* world.check
      }).pipe(Effect.ensuring(world.close))
    }),
  { arbitrary: { runs: lives, size: 40 }, timeout: 60_000 + lives * 300 },
)
