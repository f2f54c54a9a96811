/**
 * What is seen of a kernel from outside: which services run, what stores and secrets hold, which
 * tokens are good, and where.
 */
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"

import type { Capability } from "../../src/domain/Capability.ts"
import { serviceKey, TenantId } from "../../src/domain/Identifier.ts"
import { callerOf, type Kernel, named } from "../kernel/harness/Machine.ts"
import { plainOf } from "../kernel/Stores.ts"
import type { Want } from "./ServiceModel.ts"
import { entriesText, type Held, secretName } from "./StoreModel.ts"
import type { Listed, Tokens } from "./TokenModel.ts"

/** What is seen. */
export interface Sight {
  /** Which sources run, by service key. */
  readonly running: ReadonlyMap<string, Want>
  /** What stores and secrets hold. */
  readonly held: ReadonlyMap<string, Held>
  /** All tokens. */
  readonly tokens: ReadonlyArray<Listed>
  /** The tenants in which a token is accepted, for each whose secret is known. */
  readonly accepted: ReadonlyMap<string, ReadonlyArray<string>>
}

const tenants = ["t1", "t2"]
const services = ["a", "b"]

/** Which sources run, by service key. */
const sourcesOf = (kernel: Kernel): ReadonlyMap<string, Want> =>
  new Map([...kernel.world.living].map((living) => [living.key, living.code.includes("2") ? 2 : 1]))

/** A token as the model knows it. */
export const listed = (capability: Capability): Listed => ({
  tenant: capability.tenantId,
  hash: capability.tokenHash,
  parent: capability.parent,
  capability,
})

const heldBy = Effect.fnUntraced(function* ({ stores, vault }: Kernel) {
  const held = new Map<string, Held>()
  for (const tenant of tenants) {
    for (const service of services) {
      const name = named(tenant, service)
      const { exists, keys } = yield* stores.figures(name)
      const { entries } = yield* stores.list(name, { prefix: "", after: null, limit: 100 })
      const text = entriesText(entries.map(({ key, value }) => [key, plainOf(value)]))
      const told = keys === entries.length ? text : `${text}, said to be ${keys}`
      if (exists) held.set(serviceKey(name), told)
    }
    const secret = yield* vault.retrieve(callerOf(tenant), secretName).pipe(
      Effect.map(Redacted.value),
      Effect.catchTag("SecretNotFound", () => Effect.succeed(null)),
    )
    held.set(`${tenant} ${secretName}`, secret)
  }
  return held
})

const tokensOf = Effect.fnUntraced(function* ({ capabilities }: Kernel) {
  const all: Array<Listed> = []
  for (const tenant of yield* capabilities.tenants) {
    const views = yield* capabilities.list(tenant, { limit: 1000 })
    all.push(...views.map(({ capability }) => listed(capability)))
  }
  return all
})

const acceptedBy = ({ capabilities }: Kernel, { known }: Tokens) =>
  new Map(
    known.map((token) => [
      token.hash,
      tenants.filter((tenant) => {
        const need = { permission: "read", on: "tenant", tenantId: TenantId.make(tenant) } as const
        return "secret" in token && capabilities.verifyUnsafe(token.secret, need) !== undefined
      }),
    ]),
  )

/** Looks at a kernel; secrets of tokens are the model's. */
export const look = (kernel: Kernel, tokens: Tokens) =>
  Effect.gen(function* () {
    return {
      running: sourcesOf(kernel),
      held: yield* heldBy(kernel),
      tokens: yield* tokensOf(kernel),
      accepted: acceptedBy(kernel, tokens),
    } satisfies Sight
  })
