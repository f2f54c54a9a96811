/**
 * The section of the configuration that boxes have, with its defaults and bounds.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { bounded } from "solo"

import { demands } from "./Walls.ts"

const Sandbox = Schema.Struct({
  /** The least that must stand around services; with less the kernel refuses to start. */
  require: Schema.Literals(demands).pipe(
    Schema.withDecodingDefaultKey(Effect.succeed("none" as const)),
  ),
  /** The strongest box to try: `bubblewrap`, `sealed` (Landlock and seccomp), or `none`. */
  strongest: Schema.Literals(["bubblewrap", "sealed", "none"]).pipe(
    Schema.withDecodingDefaultKey(Effect.succeed("bubblewrap" as const)),
  ),
})

/** The settings. */
export const BoxSettings = Schema.Struct({
  sandbox: Sandbox.pipe(Schema.withDecodingDefaultKey(Effect.succeed({}))),
  /** Empty boxes kept warm. */
  pool: bounded(0, 64, 2),
  /** How long a service's event loop may stand still, in milliseconds. */
  stallMs: bounded(100, 600_000, 5000),
  /** What `limits.cpuPercent` is averaged over, in milliseconds. */
  cpuWindowMs: bounded(1000, 600_000, 10_000),
  /** Memory a service may use outside its heap, such as buffers, in MiB. */
  outsideHeapMb: bounded(16, 65_536, 96),
  /** Bytes one response may have, in MiB. */
  responseMb: bounded(1, 65_536, 1024),
})
/** @see {@link BoxSettings} */
export type BoxSettings = typeof BoxSettings.Type
