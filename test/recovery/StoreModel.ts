/**
 * What services' stores and tenants' secrets must hold after any sequence of requests: a pure
 * model. What happens to a service changes nothing of what it stored.
 */
import * as Schema from "effect/Schema"

import { SecretName } from "../../src/domain/Secret.ts"
import { after, know, type Outcome, type Possible, witnessed } from "./Possible.ts"

const tenant = Schema.Literals(["t1", "t2"])
const service = Schema.Literals(["a", "b"])
/** The one secret that each tenant may have. */
export const secretName = SecretName.make("secret")

const key = Schema.Literals(["x", "y", "z"])
const value = Schema.Literals([1, 2])

/** Writes to a store, all or nothing; `null` deletes. */
export const Write = Schema.Struct({
  do: Schema.Literal("write"),
  tenant,
  service,
  writes: Schema.Array(Schema.Struct({ key, value: Schema.NullOr(value) })).check(
    Schema.isMinLength(1),
    Schema.isMaxLength(3),
  ),
  /** The key that must not be there before. */
  unless: Schema.NullOr(key),
})
/** Removes all that a service stored. */
export const Clear = Schema.Struct({ do: Schema.Literal("clear"), tenant, service })
/** Gives a tenant's secret a value, or revokes it. */
export const Secret = Schema.Struct({
  do: Schema.Literal("secret"),
  tenant,
  value: Schema.NullOr(value),
})

/** Something asked of a store or of the vault. */
export type StoreRequest = typeof Write.Type | typeof Clear.Type | typeof Secret.Type

/** What a store holds, as JSON text: its entries in the order of their keys. */
export const entriesText = (entries: Iterable<readonly [string, unknown]>): string =>
  JSON.stringify([...entries].toSorted(([left], [right]) => (left < right ? -1 : 1)))

/** What one store or one secret holds; `null` where there is no such thing. */
export type Held = string | null

/** What is known of stores, by `tenant/service`, and of secrets, by `tenant secret`. */
export type Stores = Possible<Held>

/** What a store or a secret may hold. */
export const heldIn = (stores: Stores, subject: string): ReadonlyArray<Held> =>
  stores.situations.get(subject) ?? [null]

const subjectOf = (request: StoreRequest): string =>
  request.do === "secret"
    ? `${request.tenant} ${secretName}`
    : `${request.tenant}/${request.service}`

const written = (request: typeof Write.Type, now: Held): Outcome<Held> => {
  const entries = new Map<string, number>(now === null ? [] : JSON.parse(now))
  if (request.unless !== null && entries.has(request.unless)) {
    return { answer: "Conflict", after: now }
  }
  for (const one of request.writes) {
    if (one.value === null) entries.delete(one.key)
    else entries.set(one.key, one.value)
  }
  return { answer: "Done", after: entriesText(entries) }
}

const outcomeOf = (request: StoreRequest, now: Held): Outcome<Held> => {
  if (request.do === "write") return written(request, now)
  if (request.do === "secret" && request.value !== null) {
    return { answer: "Done", after: `${request.value}` }
  }
  if (now === null) return { answer: "NotFound", after: now }
  // A store that was cleared is there, and empty.
  return { answer: "Done", after: request.do === "clear" ? entriesText([]) : null }
}

/** What is known of stores and secrets after `request` was answered. */
export const storesAfter = (
  stores: Stores,
  request: StoreRequest,
  answer: { readonly _tag: string },
  because: string,
): Stores => {
  const subject = subjectOf(request)
  const before = heldIn(stores, subject)
  const next = after(before, (now) => outcomeOf(request, now), answer._tag)
  return know(stores, subject, before, next, because)
}

/** What the log must have of a request that was carried out: batches are no events. */
export const eventOf = (request: StoreRequest): ReadonlyArray<string> => {
  if (request.do === "write") return []
  if (request.do === "clear") return [`store_cleared ${subjectOf(request)}`]
  const type = request.value === null ? "secret_revoked" : "secret_stored"
  return [`${type} ${request.tenant}/${secretName}`]
}

/** What is known once it was seen what they hold. */
export const storesSeen = (stores: Stores, held: ReadonlyMap<string, Held>): Stores =>
  witnessed(stores, (subject, one) => one === (held.get(subject) ?? null))
