/**
 * What the clients of a campaign know about their services: what each may be, and what a kernel
 * acknowledged and nobody has looked for in the log yet.
 */
import type { Answer } from "../KernelProcess.ts"
import type { Figures } from "./Figures.ts"

/** One revision, and what it answers if it lives. */
interface Revision {
  readonly revision: number
  readonly text: string | null
}

/** What a service is. */
export interface Truth extends Revision {
  /** The highest revision that was ever begun: the next one counts on from it. */
  readonly highest: number
  /** Whether swaps that came to nothing may have used up further numbers. */
  readonly isHighestOpen: boolean
  /** What a rollback goes back to. */
  readonly previous: Revision | null
}

/** Never deployed. */
export const nothing: Truth = {
  revision: 0,
  text: null,
  highest: 0,
  isHighestOpen: false,
  previous: null,
}

/** A service of one client. */
export interface Owned {
  readonly tenant: string
  readonly service: string
  readonly client: number
  /** One truth, or two while a step is in doubt. */
  possible: ReadonlyArray<Truth>
}

/** Something a kernel said is durable. */
interface Acknowledged {
  readonly kind: "deployed" | "swapped" | "killed"
  /** `tenant/service@revision`. */
  readonly revision: string
  readonly artifact: string
}

/** What clients know. */
export interface Memory {
  readonly owned: ReadonlyArray<Owned>
  /** Not yet looked for in the log. */
  acknowledged: Array<Acknowledged>
}

/** A service that answers with a text. */
export const sourceOf = (text: string): string =>
  `export default { fetch: (): Response => new Response(${JSON.stringify(text)}) }`

/** Sources that do not compile, and that do not start. */
export const refusedSources = [
  "export default { fetch: () => {",
  "export default { start() { throw new Error('no') }, fetch: () => new Response('') }",
]

/** `tenant/service`. */
export const nameOf = ({ tenant, service }: Pick<Owned, "service" | "tenant">) =>
  `${tenant}/${service}`

/** Reports an answer that may not be. */
export const surprising = (figures: Figures, what: string, answer: Answer) =>
  figures.lose(1, `${what} was answered ${answer.status}: ${answer.text.slice(0, 300)}`)

/** Remembers what a kernel said is durable. */
export const acknowledge = (
  memory: Memory,
  figures: Figures,
  kind: Acknowledged["kind"],
  owned: Pick<Owned, "service" | "tenant">,
  { revision, artifact }: { readonly revision: number; readonly artifact: string },
) => {
  memory.acknowledged.push({ kind, revision: `${nameOf(owned)}@${revision}`, artifact })
  figures.count(`acknowledged ${kind}`)
}

/** What a service is after its next deployment or swap. */
export const next = (before: Truth, text: string): Truth => ({
  revision: before.highest + 1,
  text,
  highest: before.highest + 1,
  isHighestOpen: before.isHighestOpen,
  previous: before.text === null ? null : { revision: before.revision, text: before.text },
})

/** Whether a service may be this revision after a step that was to make it `after`. */
export const mayBe = (after: Truth, revision: number): boolean =>
  revision === after.revision ||
  (after.isHighestOpen && after.revision === after.highest && revision > after.revision)

/** What a service is after a step that was answered with this revision. */
export const settledAs = (after: Truth, revision: number): Truth =>
  revision > after.highest ? { ...after, revision, highest: revision } : after
