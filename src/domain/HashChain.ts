/**
 * The chain that makes the log tamper-evident: every event's hash covers the event and the hash
 * before it (promise 5). It owns what is hashed; the hash function itself comes from outside.
 */

/** Hash before the first event. */
export const genesis = "0".repeat(64)

/** SHA-256 of a UTF-8 text, as lowercase hex. */
export type Sha256Hex = (text: string) => string

/** The columns a link covers, exactly as they are stored. */
export interface Link {
  readonly id: number
  readonly time: string
  readonly tenantId: string | null
  readonly serviceId: string | null
  readonly type: string
  readonly version: number
  readonly actor: string | null
  readonly causationId: number | null
  /** The payload's JSON text as stored, so that no re-encoding can change the hash. */
  readonly payload: string
}

/** The hash of `link` when `previous` is the hash of the event before it. */
export const linkHash = (sha256: Sha256Hex, previous: string, link: Link): string =>
  sha256(
    JSON.stringify([
      previous,
      link.id,
      link.time,
      link.tenantId,
      link.serviceId,
      link.type,
      link.version,
      link.actor,
      link.causationId,
      link.payload,
    ]),
  )
