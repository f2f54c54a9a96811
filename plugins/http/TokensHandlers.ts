/**
 * What the routes of `TokensApi` do: ask the capability manager, and show tokens by their hashes.
 */
import * as Effect from "effect/Effect"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { type Capability, CapabilityManager, type Granted, Permission, TokenHash } from "solo"

import { Api } from "./Api.ts"
import { Caller, callingTenant } from "./Caller.ts"
import { fromKernel } from "./Failures.ts"
import { cursorAt, defaultLimit, malformedCursor, positionOf } from "./Page.ts"

const isTokenHash = Schema.is(TokenHash)

/** A moment in ISO 8601. */
export const isoTime = (epochMs: number): string => new Date(epochMs).toISOString()

const isoTimeOrNull = (epochMs: number | null): string | null =>
  epochMs === null ? null : isoTime(epochMs)

const view = (capability: Capability, durable: boolean) => ({
  ...capability,
  grantedAt: isoTime(capability.grantedAt),
  expiresAt: isoTimeOrNull(capability.expiresAt),
  durable,
})

/** The one answer of the gateway that holds a token. */
const granted = ({ capability, durable, token }: Granted) => ({
  token: Redacted.value(token),
  ...view(capability, durable),
})

/** The handlers of the group `tokens`. */
export const TokensHandlers = HttpApiBuilder.group(
  Api,
  "tokens",
  Effect.fnUntraced(function* (handlers) {
    const capabilities = yield* CapabilityManager

    return handlers.handleAll({
      grant: Effect.fn("http.tokens.grant")(function* ({ payload }) {
        const { tenantId } = yield* callingTenant
        const { bearer } = yield* Caller
        const made = yield* Effect.mapError(
          capabilities.grant(bearer, tenantId, payload),
          fromKernel,
        )
        return granted(made)
      }),

      attenuate: Effect.fn("http.tokens.attenuate")(function* ({ payload }) {
        const { bearer } = yield* Caller
        return granted(yield* Effect.mapError(capabilities.attenuate(bearer, payload), fromKernel))
      }),

      verify: () =>
        Effect.map(Caller, ({ bearer, serviceId, tenantId }) => ({
          valid: true as const,
          tenantId,
          serviceId,
          permissions: bearer._tag === "Root" ? Permission.literals : bearer.capability.permissions,
          expiresAt: bearer._tag === "Root" ? null : isoTimeOrNull(bearer.capability.expiresAt),
        })),

      list: Effect.fn("http.tokens.list")(function* ({ query }) {
        const { tenantId } = yield* callingTenant
        const after = yield* positionOf("tokens", query.cursor)
        if (after !== undefined && !isTokenHash(after)) {
          return yield* malformedCursor(["query", "cursor"])
        }
        const limit = query.limit ?? defaultLimit
        const found = yield* capabilities.list(tenantId, { after, limit: limit + 1 })
        const page = found.slice(0, limit)
        return {
          items: page.map(({ capability, durable }) => view(capability, durable)),
          next: found.length > limit ? cursorAt("tokens", page.at(-1)!.capability.tokenHash) : null,
        }
      }),

      revoke: Effect.fn("http.tokens.revoke")(function* ({ params: { tokenHash } }) {
        const { tenantId } = yield* callingTenant
        const { bearer } = yield* Caller
        const revoked = yield* Effect.mapError(
          capabilities.revoke(bearer, tenantId, tokenHash),
          fromKernel,
        )
        return { tokenHash, revoked }
      }),
    })
  }),
)
