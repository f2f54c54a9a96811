/**
 * Judges the tokens that requests present: by the index in memory, without I/O. It counts every
 * judgement and has denials recorded; it changes no token.
 */
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import * as Redacted from "effect/Redacted"

import {
  type Bearer,
  type Capability,
  denial,
  isExpired,
  type Need,
  type Permission,
  root,
} from "../../domain/Capability.ts"
import { draft } from "../../domain/Event.ts"
import { Digest } from "../log/Digest.ts"
import { makeRecorder } from "../log/Recorder.ts"
import {
  type CapabilityManager,
  Forbidden,
  InvalidToken,
  type RateExceeded,
} from "./CapabilityManager.ts"
import { RootToken } from "./RootToken.ts"
import type { TokenEntry, TokenIndex } from "./TokenIndex.ts"
import { countPresentation } from "./TokenRate.ts"

/** Denials recorded per tenant and minute; tokens that nobody granted share one such number. */
const maxDenialsRecorded = 30

/** The group of denials of tokens that nobody granted. No tenant has this name. */
const unknownTokens = ""

/** Longest text looked at as a token; a longer one is none. */
const maxTokenLength = 4096

type Judge = Pick<
  CapabilityManager["Service"],
  "authenticate" | "authorize" | "verify" | "verifyUnsafe"
>

const outcomes = [
  "accepted",
  "unknown",
  "expired",
  "tenant",
  "permission",
  "service",
  "rate",
] as const

type Outcome = (typeof outcomes)[number]

/** Shows plain numbers as the counters `solo_token_checks_total`: a check is too quick for more. */
const makeTally = Effect.fnUntraced(function* () {
  const tally = Object.fromEntries(outcomes.map((outcome) => [outcome, 0])) as Record<
    Outcome,
    number
  >
  const context = yield* Effect.context<never>()
  for (const outcome of outcomes) {
    const counter = Metric.counter("solo_token_checks_total", {
      description: "Tokens judged, by outcome",
      attributes: { outcome },
      incremental: true,
    })
    yield* Effect.acquireRelease(
      Effect.sync(() =>
        Metric.registerUnsafe(counter, context, {
          get: () => ({ count: tally[outcome], incremental: true }),
          update: (by: number) => void (tally[outcome] += by),
          modify: (by: number) => void (tally[outcome] += by),
        }),
      ),
      (registration) => Effect.sync(() => registration.remove()),
    )
  }
  return tally
})

/** Counts a denial and has it recorded. */
const makeDeny = Effect.fnUntraced(function* (tally: Record<Outcome, number>) {
  const recorder = yield* makeRecorder(maxDenialsRecorded)
  const deny = (
    outcome: Outcome,
    capability: Capability | undefined,
    permission: Permission | null = null,
  ): void => {
    tally[outcome]++
    const tokenHash = capability?.tokenHash ?? null
    const origin =
      capability === undefined ? {} : { tenantId: capability.tenantId, actor: tokenHash }
    recorder.record(capability?.tenantId ?? unknownTokens, (unrecorded) =>
      draft("capability_denied", { tokenHash, reason: outcome, permission, unrecorded }, origin),
    )
  }
  return { deny, flush: recorder.flush }
})

/** Makes the judging half of the manager; `flush` writes the denials that wait. */
export const makeTokenJudge = Effect.fnUntraced(function* (index: TokenIndex, clock: Clock.Clock) {
  const { sha256 } = yield* Digest
  const rootToken = yield* RootToken
  const tally = yield* makeTally()
  const { deny, flush } = yield* makeDeny(tally)

  const lookUp = (token: string): TokenEntry | undefined =>
    token.length > maxTokenLength ? undefined : index.find(sha256(token))

  const identify = (token: string): Effect.Effect<Bearer, InvalidToken | RateExceeded> => {
    const digest = token.length > maxTokenLength ? undefined : sha256(token)
    const entry = digest === undefined ? undefined : index.find(digest)
    if (entry === undefined) {
      if (digest !== undefined && rootToken.verify(digest)) return Effect.succeed(root)
      deny("unknown", undefined)
      return Effect.fail(new InvalidToken({ reason: "unknown" }))
    }
    const { capability } = entry
    if (isExpired(capability, clock.currentTimeMillisUnsafe())) {
      deny("expired", capability)
      return Effect.fail(new InvalidToken({ reason: "expired" }))
    }
    const bearer: Bearer = { _tag: "Tenant", capability }
    // Rates only narrow: where a token has no limit, its ancestors have none.
    if (capability.rateLimit === null) return Effect.succeed(bearer)
    return countPresentation(entry, clock).pipe(
      Effect.tapError(() => Effect.sync(() => deny("rate", capability))),
      Effect.as(bearer),
    )
  }

  const authenticate: Judge["authenticate"] = (token) =>
    Effect.suspend(() => identify(Redacted.value(token)))

  const refusalOf = (bearer: Bearer, need: Need): InvalidToken | Forbidden | undefined => {
    if (bearer._tag === "Root") return undefined
    const { capability } = bearer
    // It may have been revoked since it was presented.
    const gone = index.find(capability.tokenHash) === undefined
    const reason = gone ? "unknown" : denial(capability, need, clock.currentTimeMillisUnsafe())
    if (reason === undefined) return undefined
    deny(reason, capability, need.permission)
    return reason === "unknown" || reason === "expired"
      ? new InvalidToken({ reason })
      : new Forbidden({ reason, permission: need.permission })
  }

  const authorize: Judge["authorize"] = (bearer, need) =>
    Effect.suspend((): Effect.Effect<void, InvalidToken | Forbidden> => {
      const refusal = refusalOf(bearer, need)
      if (refusal !== undefined) return Effect.fail(refusal)
      tally.accepted++
      return Effect.void
    })

  const verifyUnsafe: Judge["verifyUnsafe"] = (token, need) => {
    const capability = lookUp(token)?.capability
    if (capability === undefined) return undefined
    const reason = denial(capability, need, clock.currentTimeMillisUnsafe())
    return reason === undefined ? capability : undefined
  }

  const verify: Judge["verify"] = (token, need) =>
    Effect.tap(authenticate(token), (bearer) => authorize(bearer, need))

  const judge: Judge = { authenticate, authorize, verify, verifyUnsafe }
  return { judge, flush }
})
