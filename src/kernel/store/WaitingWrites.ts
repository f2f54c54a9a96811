/**
 * Writes that wait for their transaction: bounded, and taken in turns. However much one tenant
 * writes, the next of another is in the next transaction.
 */
import type { TenantId } from "../../domain/Identifier.ts"

/** Bytes that may wait at once, of all tenants. */
const maxWaitingBytes = 64 * 1024 * 1024

/** What a write counts at least, so that tiny ones cannot fill memory. */
const minBytes = 1024

/** Writes that share one transaction at most, and their bytes: others want to write as well. */
const maxTaken = 256
const maxTakenBytes = 4 * 1024 * 1024

/** What waits. */
interface Waiting {
  readonly name: { readonly tenantId: TenantId }
  readonly bytes: number
}

const costOf = ({ bytes }: Waiting): number => Math.max(minBytes, bytes)

interface Line<A> {
  readonly items: Set<A>
  cost: number
}

/** Writes in the order of their turns. */
export class WaitingWrites<A extends Waiting> {
  // A map keeps the order of insertion: the first tenant has waited longest for its turn.
  readonly #lines = new Map<TenantId, Line<A>>()
  #cost = 0

  /** What waits, in bytes. */
  get bytes(): number {
    return this.#cost
  }

  /**
   * Takes a write in; false where there is no room. Nobody gets more room than is still free, so
   * one tenant alone has half of it, and a newcomer always finds some.
   */
  offer(item: A): boolean {
    const { tenantId } = item.name
    const cost = costOf(item)
    const line = this.#lines.get(tenantId) ?? { items: new Set<A>(), cost: 0 }
    if (line.cost + cost > maxWaitingBytes - this.#cost) return false
    line.items.add(item)
    line.cost += cost
    this.#cost += cost
    this.#lines.set(tenantId, line)
    return true
  }

  /** Takes a write out that has had no turn yet; whether it was there. */
  remove(item: A): boolean {
    const { tenantId } = item.name
    const line = this.#lines.get(tenantId)
    if (line === undefined || !line.items.delete(item)) return false
    line.cost -= costOf(item)
    this.#cost -= costOf(item)
    if (line.items.size === 0) this.#lines.delete(tenantId)
    return true
  }

  /** Takes what goes into the next transaction. Tenants take turns, each in its own order. */
  take(): ReadonlyArray<A> {
    const taken: Array<A> = []
    let bytes = 0
    while (taken.length < maxTaken && bytes < maxTakenBytes) {
      const [first] = this.#lines
      if (first === undefined) break
      const [tenantId, line] = first
      const [item] = line.items
      this.remove(item!)
      taken.push(item!)
      bytes += item!.bytes
      if (line.items.size === 0) continue
      this.#lines.delete(tenantId)
      this.#lines.set(tenantId, line)
    }
    return taken
  }
}
