/**
 * Carries requests out on a kernel and tells what they came to. It checks nothing.
 */
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"

import { root } from "../../src/domain/Capability.ts"
import { TenantId } from "../../src/domain/Identifier.ts"
import type { Granted as Given } from "../../src/kernel/capability/CapabilityManager.ts"
import {
  callerOf,
  deploy,
  type Kernel,
  kill,
  named,
  rollback,
  swap,
} from "../kernel/harness/Machine.ts"
import { jsonValue } from "../kernel/Stores.ts"
import type { Answer, Model, Request } from "./Model.ts"
import type { ServiceRequest } from "./ServiceModel.ts"
import { listed } from "./Sight.ts"
import { secretName, type StoreRequest } from "./StoreModel.ts"
import { targetOf, type TokenRequest } from "./TokenModel.ts"

const done: Answer = { _tag: "Done" }
const notFound: Answer = { _tag: "NotFound" }

const changed = ({ revision }: { readonly revision: number }, created = true): Answer => ({
  _tag: "Changed",
  created,
  revision,
})

const granted = ({ capability, durable, token }: Given): Answer => ({
  _tag: "Granted",
  durable,
  token: { ...listed(capability), secret: Redacted.value(token) },
})

const answerOf = (error: { readonly _tag: string }): Answer => {
  switch (error._tag) {
    case "ServiceConflict":
    case "StoreConflict":
      return { _tag: "Conflict" }
    case "ServiceNotFound":
    case "StoreNotFound":
    case "SecretNotFound":
    case "TokenNotFound":
    case "InvalidToken":
      return notFound
    case "NoPreviousRevision":
      return { _tag: "NoPrevious" }
    default:
      return { _tag: "Refused" }
  }
}

const changeService = (kernel: Kernel, request: ServiceRequest) => {
  const name = named(request.tenant, request.service)
  switch (request.do) {
    case "deploy":
      return Effect.map(deploy(kernel, name, { n: request.n }), ({ created, service }) =>
        changed(service, created),
      )
    case "swap":
      return Effect.map(swap(kernel, name, { n: request.n }), (to) => changed(to))
    case "rollback":
      return Effect.map(rollback(kernel, name), (to) => changed(to))
    case "kill":
      return Effect.map(kill(kernel, name), (last) => changed(last))
  }
}

const changeStore = ({ stores, vault }: Kernel, request: StoreRequest) => {
  const caller = callerOf(request.tenant)
  switch (request.do) {
    case "write": {
      const writes = request.writes.map(({ key, value }) => ({
        key,
        value: value === null ? null : jsonValue(value),
      }))
      const conditions = request.unless === null ? [] : [{ key: request.unless, version: null }]
      const name = named(request.tenant, request.service)
      return Effect.as(stores.write(name, { writes, conditions }), done)
    }
    case "clear":
      return Effect.as(stores.clear(caller, named(request.tenant, request.service)), done)
    case "secret":
      return request.value === null
        ? Effect.as(vault.revoke(caller, secretName), done)
        : Effect.as(vault.store(caller, secretName, Redacted.make(`${request.value}`)), done)
  }
}

const changeTokens = ({ capabilities }: Kernel, request: TokenRequest, model: Model) => {
  const target = targetOf(model.tokens, request)
  if (request.do === "grant") {
    const permissions = ["read", "deploy"] as const
    const tenantId = TenantId.make(request.tenant)
    return Effect.map(capabilities.grant(root, tenantId, { permissions }), granted)
  }
  if (target === undefined) return Effect.succeed(notFound)
  const { capability } = target
  return request.do === "attenuate"
    ? Effect.map(
        capabilities.attenuate({ _tag: "Tenant", capability }, { permissions: ["read"] }),
        granted,
      )
    : Effect.as(
        capabilities.revoke(root, TenantId.make(request.tenant), capability.tokenHash),
        done,
      )
}

const carryOut = (kernel: Kernel, request: Request, model: Model) => {
  switch (request.do) {
    case "deploy":
    case "kill":
    case "swap":
    case "rollback":
      return changeService(kernel, request)
    case "write":
    case "clear":
    case "secret":
      return changeStore(kernel, request)
    case "grant":
    case "attenuate":
    case "revoke":
      return changeTokens(kernel, request, model)
  }
}

/** Makes a request; which token it is about, if it is about any, the model tells. */
export const ask = (kernel: Kernel, request: Request, model: Model): Effect.Effect<Answer> =>
  carryOut(kernel, request, model).pipe(
    Effect.catch((error: { readonly _tag: string }) => Effect.succeed(answerOf(error))),
  )
