/**
 * How often something may be done, by whoever does it: so many at once, so many a second after
 * that. Whoever is faster waits; nobody waits for others.
 */

/** Those who are remembered; beyond it, those who have all they may have again are forgotten. */
const maxRemembered = 1024

interface Account {
  left: number
  last: number
}

/** One limit, for each of many. */
export class RateLimit<Who> {
  readonly #burst: number
  readonly #perSecond: number
  readonly #now: () => number
  readonly #accounts = new Map<Who, Account>()

  /** `now` in milliseconds. */
  constructor(burst: number, perSecond: number, now: () => number) {
    this.#burst = burst
    this.#perSecond = perSecond
    this.#now = now
  }

  #refilled({ last, left }: Account, now: number): number {
    return Math.min(this.#burst, left + (Math.max(0, now - last) * this.#perSecond) / 1000)
  }

  #forget(now: number): void {
    for (const [who, account] of this.#accounts)
      if (this.#refilled(account, now) >= this.#burst) this.#accounts.delete(who)
  }

  /** Counts once more for `who`: how long to wait before doing it, in milliseconds. */
  take(who: Who): number {
    const now = this.#now()
    if (this.#accounts.size >= maxRemembered) this.#forget(now)
    const account = this.#accounts.get(who) ?? { left: this.#burst, last: now }
    account.left = this.#refilled(account, now) - 1
    account.last = now
    this.#accounts.set(who, account)
    return account.left >= 0 ? 0 : Math.ceil((-account.left * 1000) / this.#perSecond)
  }
}
