/**
 * The capability manager over an index in memory: mints tokens, has them written and removed by
 * the token writer, judged by the token judge, and clears away what has expired.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import * as Schedule from "effect/Schedule"

import {
  attenuate,
  type Bearer,
  actorOf,
  grantByRoot,
  grantFrom,
  isExpired,
} from "../../domain/Capability.ts"
import { draft } from "../../domain/Event.ts"
import type { TenantId } from "../../domain/Identifier.ts"
import { EventStore } from "../log/EventStore.ts"
import { note } from "../log/Note.ts"
import {
  CapabilityManager,
  Forbidden,
  InvalidToken,
  RootNotAttenuable,
  TokenNotFound,
  TooDeep,
  TooManyTokens,
} from "./CapabilityManager.ts"
import { makeForwardClock } from "./ForwardClock.ts"
import { RootToken } from "./RootToken.ts"
import { makeTokenIndex, type TokenEntry, type TokenIndex } from "./TokenIndex.ts"
import { makeTokenJudge } from "./TokenJudge.ts"
import { makeTokenMint, type Terms } from "./TokenMint.ts"
import { TokenStore } from "./TokenStore.ts"
import { makeTokenWriter, type TokenWriter } from "./TokenWriter.ts"

/** Attenuations in a row at most. */
const maxAttenuations = 16

/** Events looked at for the time the log has seen. */
const newestEvents = 1000

/** A clock this far behind the newest event is worth a warning, in milliseconds. */
const clockTolerance = 60_000

/** What an operator may choose. */
export interface CapabilityOptions {
  /** How often expired tokens are removed, in milliseconds. */
  readonly cleanupIntervalMs: number
  /** Tokens one tenant may have at once. */
  readonly maxTokensPerTenant: number
}

/** What holds unless an operator says otherwise. */
export const defaultCapabilityOptions: CapabilityOptions = {
  cleanupIntervalMs: 3_600_000,
  maxTokensPerTenant: 20_000,
}

const restored = Metric.counter("solo_tokens_restored_total", {
  description: "Tokens restored at start-up",
  incremental: true,
})
const cleaned = Metric.counter("solo_tokens_cleaned_total", {
  description: "Expired tokens removed from disk",
  incremental: true,
})
const revoked = Metric.counter("solo_tokens_revoked_total", {
  description: "Tokens revoked, descendants included",
  incremental: true,
})

/**
 * Time as the log has seen it: the latest of the newest events is the floor. The very newest may
 * be older than others, if the machine's clock was set back before it.
 */
const makeClock = Effect.fnUntraced(function* () {
  const events = yield* EventStore
  const clock = yield* Clock.Clock
  const lastId = yield* events.lastId
  const newest = yield* events.filter({ sinceId: lastId - newestEvents, limit: newestEvents })
  const times = newest.map(({ time }) => Date.parse(time))
  // One that is damaged tells no time.
  const floor = Math.max(0, ...times.filter(Number.isFinite))
  const behind = floor - clock.currentTimeMillisUnsafe()
  if (behind > clockTolerance)
    yield* Effect.logWarning(
      "the machine's clock is behind the log; tokens expire by the log",
    ).pipe(Effect.annotateLogs({ behindMs: behind }))
  return makeForwardClock(clock, floor)
})

const restore = Effect.fnUntraced(function* (index: TokenIndex, now: number) {
  const store = yield* TokenStore
  const { tokens, expired, unreadable } = yield* store.restoreAllTokens(now)
  for (const capability of tokens) index.add(capability, true)
  yield* Metric.update(restored, tokens.length)
  yield* Effect.logInfo("restored tokens").pipe(
    Effect.annotateLogs({ restored: tokens.length, expired, unreadable }),
  )
})

/**
 * Removes what has expired: at once, so that it cannot come back should the clock be set back, then
 * now and then on its own, and on request.
 */
const makeCleanup = Effect.fnUntraced(function* (
  index: TokenIndex,
  clock: Clock.Clock,
  writer: TokenWriter,
  intervalMs: number,
) {
  const store = yield* TokenStore

  const forgetExpired = (tenantId?: TenantId) => {
    // A Map may lose entries while it is walked.
    for (const entry of index.entries(tenantId))
      if (isExpired(entry.capability, clock.currentTimeMillisUnsafe()))
        writer.drop(index.remove(entry))
  }

  const cleanup = Effect.gen(function* () {
    forgetExpired()
    const removed = yield* store.cleanupExpired(clock.currentTimeMillisUnsafe())
    yield* Metric.update(cleaned, removed)
    if (removed > 0)
      yield* Effect.logInfo("removed expired tokens").pipe(Effect.annotateLogs({ removed }))
    return removed
  })

  const tryCleanup = Effect.catch(cleanup, (error) =>
    Effect.logWarning("could not remove expired tokens").pipe(
      Effect.annotateLogs({ reason: error.message }),
      Effect.as(0),
    ),
  )
  yield* tryCleanup
  yield* tryCleanup.pipe(
    Effect.schedule(Schedule.spaced(Duration.millis(intervalMs))),
    Effect.forkScoped,
  )
  return { forgetExpired, cleanup }
})

const makeRotateRoot = Effect.gen(function* () {
  const events = yield* EventStore
  const rootToken = yield* RootToken
  return Effect.fn("CapabilityManager.rotateRoot")(function* (bearer: Bearer) {
    if (bearer._tag !== "Root")
      return yield* new Forbidden({ reason: "permission", permission: "root" })
    const token = yield* rootToken.rotate
    yield* Effect.provideService(note(draft("root_token_rotated", {})), EventStore, events)
    return token
  })
})

const make = Effect.fnUntraced(function* (options: CapabilityOptions) {
  const index = makeTokenIndex()
  const clock = yield* makeClock()
  yield* restore(index, clock.currentTimeMillisUnsafe())
  const { judge, flush } = yield* makeTokenJudge(index, clock)
  const writer = yield* makeTokenWriter(index)
  const mint = yield* makeTokenMint(clock)
  const cleaner = yield* makeCleanup(index, clock, writer, options.cleanupIntervalMs)

  const rotateRoot = yield* makeRotateRoot

  const isLive = ({ capability }: TokenEntry) =>
    !isExpired(capability, clock.currentTimeMillisUnsafe())

  const admit = (tenantId: TenantId) =>
    Effect.suspend(() => {
      const { maxTokensPerTenant: maximum } = options
      if (index.count(tenantId) >= maximum) cleaner.forgetExpired(tenantId)
      return index.count(tenantId) >= maximum
        ? Effect.fail(new TooManyTokens({ maximum }))
        : Effect.void
    })

  const issue = Effect.fnUntraced(function* (tenantId: TenantId, terms: Terms) {
    const { token, capability } = yield* mint(terms)
    yield* admit(tenantId)
    const entry = yield* writer.add(capability)
    return { token, capability, durable: entry.durable }
  })

  return CapabilityManager.of({
    ...judge,

    grant: Effect.fn("CapabilityManager.grant")(function* (granter, tenantId, request) {
      if (granter._tag === "Root")
        return yield* issue(tenantId, (minting) => grantByRoot(tenantId, request, minting))
      yield* judge.authorize(granter, { permission: "grant", on: "own", tenantId })
      return yield* issue(tenantId, (minting) => grantFrom(granter.capability, request, minting))
    }),

    attenuate: Effect.fn("CapabilityManager.attenuate")(function* (bearer, request) {
      if (bearer._tag === "Root") return yield* new RootNotAttenuable()
      const parent = index.find(bearer.capability.tokenHash)
      if (parent === undefined) return yield* new InvalidToken({ reason: "unknown" })
      if (!isLive(parent)) return yield* new InvalidToken({ reason: "expired" })
      if (parent.depth >= maxAttenuations) return yield* new TooDeep({ maximum: maxAttenuations })
      return yield* issue(parent.capability.tenantId, (minting) =>
        attenuate(parent.capability, request, minting),
      )
    }),

    revoke: Effect.fn("CapabilityManager.revoke")(function* (bearer, tenantId, tokenHash) {
      const entry = index.find(tokenHash)
      if (entry === undefined || entry.capability.tenantId !== tenantId || !isLive(entry))
        return yield* new TokenNotFound({ tokenHash })
      const removed = yield* writer.remove(entry, actorOf(bearer))
      yield* Metric.update(revoked, removed.length)
      return removed.length
    }),

    list: Effect.fn("CapabilityManager.list")((tenantId, { after, limit }) =>
      Effect.sync(() =>
        index
          .page(tenantId, after, limit, isLive)
          .map(({ capability, durable }) => ({ capability, durable })),
      ),
    ),

    tenants: Effect.sync(() => [...index.tenants()]),
    now: clock.currentTimeMillis,
    rotateRoot,
    cleanup: cleaner.cleanup,
    flush: Effect.andThen(flush, writer.flush),
  })
})

/** The capability manager on a token store. */
export const layerCapabilityManager = (options: CapabilityOptions = defaultCapabilityOptions) =>
  Layer.effect(CapabilityManager, make(options))
