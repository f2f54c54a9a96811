/**
 * What a service gets of the kernel beside its own code, and nothing else: the reach of its `ctx`.
 * Every grant is looked at again when it is used; a driver only carries the question.
 */
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"

import { serviceStoreOf } from "../store/ServiceStore.ts"
import { type RetrieveError, type SecretAccessDenied, Vault } from "../vault/Vault.ts"
import { Outbound } from "./Outbound.ts"
import { Redaction } from "./Redaction.ts"
import type { ChildSpec } from "./Registry.ts"
import type { Program } from "./Runtime.ts"
import { ServiceLogs } from "./ServiceLogs.ts"

/** What a service is told when it does not get a secret. */
const refusalOf = (name: string, { _tag }: SecretAccessDenied | RetrieveError): string => {
  if (_tag === "SecretAccessDenied") return `this service's spec does not name the secret ${name}`
  if (_tag === "SecretNotFound") return `there is no secret ${name}`
  return `the secret ${name} cannot be read now`
}

/**
 * What a driver needs to start `child`, whose source compiled to `code`, and what keeps the secrets
 * that it hands out from being told.
 */
export const programOf = Effect.fnUntraced(function* (child: ChildSpec, code: string) {
  const vault = yield* Vault
  const outbound = yield* Outbound
  const logs = yield* ServiceLogs
  const { name, revision } = child
  const { crons, limits, env, secrets } = child.spec
  const redaction = new Redaction()
  const program: Program = {
    name,
    revision,
    code,
    limits,
    env,
    crons,
    log: yield* logs.open(name),
    readSecret: (secret) =>
      vault.read(name, secrets, secret).pipe(
        Effect.tap((value) => Effect.sync(() => redaction.add(Redacted.value(value)))),
        Effect.mapError((error) => ({ message: refusalOf(secret, error) })),
      ),
    store: yield* serviceStoreOf(name),
    fetch: outbound.open(child),
  }
  return { program, redaction }
})
