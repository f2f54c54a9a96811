/**
 * SHA-256 for tests: the digest that production uses, and the function alone.
 */
import { hash } from "node:crypto"

export { layer as layerDigest } from "../../src/main/NodeDigest.ts"

export const sha256 = (text: string): string => hash("sha256", text)
