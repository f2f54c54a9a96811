/**
 * The kernel's SHA-256 on `node:crypto`.
 */
import { hash } from "node:crypto"

import * as Layer from "effect/Layer"

import { Digest } from "../kernel/log/Digest.ts"

/** Provides {@link Digest}. */
export const layer = Layer.succeed(Digest, { sha256: (data) => hash("sha256", data) })
