/**
 * The kernel's own settings, with their defaults and bounds.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

import { bounded } from "../domain/Bounds.ts"

/** The settings; durations are milliseconds. */
export const KernelSettings = Schema.Struct({
  /** How long recovery may take as a whole; what has not come back by then is reported as failed. */
  recoveryTimeoutMs: bounded(1, 86_400_000, 120_000),
  /** Services that recovery starts at the same time. */
  recoveryConcurrency: bounded(1, 1024, 8),
  /** How long the whole shutdown may take; services get the share `servicesShare` of it. */
  shutdownTimeoutMs: bounded(1, 3_600_000, 10_000),
  /** Services the kernel runs at most, and one tenant. */
  maxServices: bounded(1, 100_000, 2000),
  maxServicesPerTenant: bounded(1, 100_000, 500),
  /** Entries and bytes the store of one service holds at most, and bytes all of one tenant. */
  storeMaxKeys: bounded(1, 1_000_000_000, 100_000),
  storeMaxBytes: bounded(1024, 2 ** 40, 64 * 1024 * 1024),
  storeMaxTenantBytes: bounded(1024, 2 ** 40, 1024 * 1024 * 1024),
  /** How often expired tokens are removed from memory and disk. */
  tokenCleanupIntervalMs: bounded(1, 86_400_000, 3_600_000),
  /** Events after which a checkpoint is taken: what a start folds at most, roughly. */
  checkpointEvery: bounded(1, 10_000_000, 10_000),
  /** Whether the verification after recovery repairs what it finds. */
  autoFix: Schema.Boolean.pipe(Schema.withDecodingDefaultKey(Effect.succeed(false))),
  /** How often the kernel verifies itself, and how often it then reads the whole log again. */
  verificationIntervalMs: bounded(1000, 604_800_000, 3_600_000),
  fullVerificationIntervalMs: bounded(1000, 2_592_000_000, 86_400_000),
})
/** @see {@link KernelSettings} */
export type KernelSettings = typeof KernelSettings.Type

// What a shutdown does one after the other: together less than the whole, so that a request that
// hangs, a service that will not stop and a slow disk may all use up their parts and it still ends
// with its last word.

/** The part of the shutdown's time in which a gateway may wait for requests in flight. */
export const drainShare = 0.2

/** The part of the shutdown's time that stopping the services may take. */
export const servicesShare = 0.5

/** The part of the shutdown's time that one flush may take. */
export const flushShare = 0.2

/** The part of the shutdown's time that the last checkpoint may take: less than a flush may. */
export const checkpointShare = 0.1

/** The kernel's settings. */
export class KernelConfig extends Context.Service<KernelConfig, KernelSettings>()(
  "solo/kernel/KernelConfig",
) {}
