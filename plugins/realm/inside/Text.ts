/**
 * Texts as UTF-8 for the realm's own frames, whatever the service does to the classes of that name.
 */
import { TextDecoder, TextEncoder } from "@exodus/bytes/encoding-lite.js"

import type { TextCodec } from "../StoreWire.ts"

const encoder = new TextEncoder()
const decoder = new TextDecoder("utf-8", { ignoreBOM: true })
const encode = encoder.encode.bind(encoder)
const decode = decoder.decode.bind(decoder)

/** UTF-8, both ways. */
export const text: TextCodec = { encode: (text) => encode(text), decode: (bytes) => decode(bytes) }
