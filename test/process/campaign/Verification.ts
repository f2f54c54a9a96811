/**
 * What the kernel says about itself: after every restart its recovery report counts what the log
 * says should run, and a full verification finds nothing; at work a verification finds nothing
 * either (promises 4, 7 and 10).
 */
import type { Answer } from "../KernelProcess.ts"
import type { Audit } from "./Audit.ts"
import type { Concern, Conversation, MakeConcern } from "./Concern.ts"
import type { Figures } from "./Figures.ts"

const judge = (figures: Figures, what: string, answer: Answer | undefined): void => {
  figures.count("verifications")
  if (answer?.status === 200 && answer.json.status === "ok") {
    if (answer.json.inconsistencyCount === 0 && answer.json.inconsistencies.length === 0) return
  }
  figures.lose(7, `${what} was answered ${answer?.status}: ${answer?.text.slice(0, 2000)}`)
}

const examine = async (figures: Figures, { ask }: Conversation, audit: Audit): Promise<void> => {
  const recovery = await ask("GET", "/v1/recovery")
  const { count, recovered, skipped, failed } = recovery?.json ?? {}
  const expected = [...audit.facts.values()].filter(({ artifact }) => artifact !== null).length
  figures.count("recovery reports")
  if (count !== expected || failed !== 0 || recovered + skipped !== count) {
    const figuresOf = JSON.stringify({ count, recovered, skipped, failed })
    figures.lose(4, `the recovery report says ${figuresOf}, the log ${expected} services`)
  }
  judge(figures, "the verification after recovery", await ask("GET", "/v1/verification"))
  judge(figures, "a full verification", await ask("POST", "/v1/verification?full=true"))
}

/** The kernel's reports on itself. */
export const makeVerification: MakeConcern = (figures): Concern => ({
  name: "verification",
  operations: [
    {
      name: "verify",
      weight: 0.5,
      run: async (turn) => {
        const answer = await turn.ask("POST", "/v1/verification")
        if (answer === undefined || turn.isEnding()) return
        judge(figures, "a verification at work", answer)
      },
    },
  ],
  examine: (conversation, audit) => examine(figures, conversation, audit),
  snapshot: () => makeVerification(figures, 0),
})
