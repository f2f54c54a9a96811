/**
 * The port to SHA-256. It is synchronous, unlike `effect/crypto/Digest`, because the log's chain
 * is hashed once per event inside the one writer, where a trip to a thread pool per link would
 * cost more than the hash.
 */
import * as Context from "effect/Context"

/** SHA-256 of texts and bytes. */
export class Digest extends Context.Service<
  Digest,
  {
    /** SHA-256 of bytes, or of a text in UTF-8, as lowercase hex. */
    readonly sha256: (data: string | Uint8Array) => string
  }
>()("solo/kernel/log/Digest") {}
