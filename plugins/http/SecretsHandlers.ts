/**
 * What the routes of `SecretsApi` do: hand values to the vault, and say what is in it.
 */
import * as Effect from "effect/Effect"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import * as Schema from "effect/Schema"
import { SecretName, Vault } from "solo"

import { Api } from "./Api.ts"
import { callingTenant } from "./Caller.ts"
import { fromKernel } from "./Failures.ts"
import { cursorAt, defaultLimit, malformedCursor, positionOf } from "./Page.ts"
import { isoTime } from "./TokensHandlers.ts"

const isSecretName = Schema.is(SecretName)

/** The handlers of the group `secrets`. */
export const SecretsHandlers = HttpApiBuilder.group(
  Api,
  "secrets",
  Effect.fnUntraced(function* (handlers) {
    const vault = yield* Vault

    return handlers.handleAll({
      put: Effect.fn("http.secrets.put")(function* ({ params: { name }, payload }) {
        const caller = yield* callingTenant
        yield* Effect.mapError(vault.store(caller, name, payload.value), fromKernel)
        return { name, exists: true }
      }),

      get: Effect.fn("http.secrets.get")(function* ({ params: { name } }) {
        const { tenantId } = yield* callingTenant
        const exists = yield* Effect.mapError(vault.exists(tenantId, name), fromKernel)
        return { name, exists }
      }),

      revoke: Effect.fn("http.secrets.revoke")(function* ({ params: { name } }) {
        const caller = yield* callingTenant
        yield* Effect.mapError(vault.revoke(caller, name), fromKernel)
        return { name, exists: false }
      }),

      list: Effect.fn("http.secrets.list")(function* ({ query }) {
        const { tenantId } = yield* callingTenant
        const after = yield* positionOf("secrets", query.cursor)
        if (after !== undefined && !isSecretName(after)) {
          return yield* malformedCursor(["query", "cursor"])
        }
        const limit = query.limit ?? defaultLimit
        const found = yield* Effect.mapError(
          vault.list(tenantId, { after, limit: limit + 1 }),
          fromKernel,
        )
        const page = found.slice(0, limit)
        return {
          items: page.map(({ name, storedAt }) => ({ name, storedAt: isoTime(storedAt) })),
          next: found.length > limit ? cursorAt("secrets", page.at(-1)!.name) : null,
        }
      }),
    })
  }),
)
