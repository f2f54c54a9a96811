/**
 * Hot swaps and rollbacks of a client's own services. One that got no answer has happened as a
 * whole or not at all (promise 1); one that was refused has changed nothing but may have used up a
 * revision's number.
 */
import type { Answer } from "../KernelProcess.ts"
import type { Turn } from "./Concern.ts"
import type { Figures } from "./Figures.ts"
import {
  acknowledge,
  mayBe,
  type Memory,
  nameOf,
  next,
  type Owned,
  settledAs,
  sourceOf,
  surprising,
  type Truth,
} from "./ServiceMemory.ts"

/** Makes what clients do. */
export const makeSwaps = (memory: Memory, figures: Figures) => {
  /** Answers of a swap or a rollback that leave a service what it was. */
  const isRefusal = (turn: Turn, { json, status }: Answer): boolean => {
    const kind = String(json?.type).replace("urn:solo:problem:", "")
    if (kind === "swap-failed" || kind === "swap-rolled-back") return turn.isEnding()
    return status === 503 && turn.isEnding()
  }

  const carryOver = async (
    turn: Turn,
    own: Owned,
    { after, what, refused }: { after: Truth; what: string; refused: ReadonlyArray<string> },
    request: () => Promise<Answer | undefined>,
  ) => {
    const before = own.possible[0]!
    own.possible = [before, after]
    const answer = await request()
    if (answer === undefined) return figures.count("steps in doubt")
    if (answer.status === 200 && before.text !== null) {
      own.possible = [settledAs(after, answer.json.revision)]
      if (!mayBe(after, answer.json.revision)) surprising(figures, what, answer)
      return acknowledge(memory, figures, "swapped", own, answer.json)
    }
    const kind = String(answer.json?.type).replace("urn:solo:problem:", "")
    own.possible = [kind === "start-failed" ? { ...before, highest: before.highest + 1 } : before]
    if (refused.includes(kind)) return figures.count("refused swaps")
    if (isRefusal(turn, answer)) {
      own.possible = [{ ...before, isHighestOpen: true }]
      return figures.count("refused while stopping")
    }
    surprising(figures, what, answer)
  }

  const windowOf = (turn: Turn) => `rollbackWindowMs=${turn.random.pick([0, 0, 3, 40])}`

  const swap = (turn: Turn, own: Owned, text: string, source = sourceOf(text)) => {
    const before = own.possible[0]!
    const after = text === before.text ? before : next(before, text)
    const isWrong = source !== sourceOf(text)
    const refused = [
      ...(before.text === null ? ["service-not-found"] : []),
      ...(isWrong ? ["source-invalid", "start-failed"] : []),
    ]
    const what = `swap ${nameOf(own)} on ${JSON.stringify(before)}`
    const path = `/v1/services/${own.service}?${windowOf(turn)}`
    const { tenant } = own
    return carryOver(turn, own, { after, what, refused }, () =>
      turn.ask("PUT", path, { tenant, body: { source } }),
    )
  }

  const rollback = (turn: Turn, own: Owned) => {
    const before = own.possible[0]!
    const { previous } = before
    const after =
      previous === null
        ? before
        : { ...before, ...previous, previous: { revision: before.revision, text: before.text } }
    const refused = [
      ...(before.text === null ? ["service-not-found"] : []),
      ...(previous === null ? ["no-previous-revision"] : []),
    ]
    const what = `roll ${nameOf(own)} back on ${JSON.stringify(before)}`
    const path = `/v1/services/${own.service}/rollback?${windowOf(turn)}`
    return carryOver(turn, own, { after, what, refused }, () =>
      turn.ask("POST", path, { tenant: own.tenant }),
    )
  }

  return { swap, rollback }
}
