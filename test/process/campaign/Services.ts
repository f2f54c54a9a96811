/**
 * Services that clients deploy, swap, kill, deploy again and call. Each client owns some and knows what
 * each of them must be; a step that was not answered leaves two possibilities, never a third
 * (promises 1, 2, 3, 10). Some services are fought over: of those the log alone tells.
 */
import { type Audit, sha256 } from "./Audit.ts"
import type { Concern, Conversation, MakeConcern, Operation, Turn } from "./Concern.ts"
import type { Figures } from "./Figures.ts"
import {
  acknowledge,
  mayBe,
  type Memory,
  nameOf,
  next,
  nothing,
  type Owned,
  refusedSources,
  settledAs,
  sourceOf,
  surprising,
  type Truth,
} from "./ServiceMemory.ts"
import { makeSwaps } from "./ServiceSwaps.ts"

/** Services per client. */
const ownServices = 2

/** Services that all clients share. */
const contended = ["ring-0", "ring-1"] as const

const sharedTenant = "shared"

const makeActs = (memory: Memory, figures: Figures) => {
  const settled = (turn: Turn) =>
    memory.owned.filter((own) => own.client === turn.client && own.possible.length === 1)

  const deploy = async (turn: Turn, own: Owned, text: string, source = sourceOf(text)) => {
    const before = own.possible[0]!
    const after = next(before, text)
    const wasReady = turn.isReady()
    own.possible = [before, after]
    const answer = await turn.ask("POST", "/v1/services", {
      tenant: own.tenant,
      body: { serviceId: own.service, source },
    })
    const what = `deploy ${nameOf(own)} on ${JSON.stringify(before)}`
    if (answer === undefined) return figures.count("steps in doubt")
    if (answer.status === 201) {
      own.possible = [settledAs(after, answer.json.revision)]
      if (!mayBe(after, answer.json.revision)) surprising(figures, what, answer)
      if (before.text !== null && wasReady) surprising(figures, what, answer)
      acknowledge(memory, figures, "deployed", own, answer.json)
      return
    }
    own.possible = [before]
    const same = before.text === text && answer.json?.revision === before.revision
    if (answer.status === 200 ? same : answer.status === 409 && before.text !== null) return
    if (answer.status === 422 && source !== sourceOf(text)) return figures.count("refused sources")
    if (answer.status === 503 && turn.isEnding()) return figures.count("refused while stopping")
    surprising(figures, what, answer)
  }

  const kill = async (turn: Turn, own: Owned) => {
    const before = own.possible[0]!
    const after: Truth = { ...before, text: null, previous: null }
    const query = turn.random.chance(0.3) ? "?force=true" : ""
    own.possible = [before, after]
    const answer = await turn.ask("DELETE", `/v1/services/${own.service}${query}`, {
      tenant: own.tenant,
    })
    const what = `kill ${nameOf(own)} on ${JSON.stringify(before)}`
    if (answer === undefined) return figures.count("steps in doubt")
    if (answer.status === 200 && before.text !== null) {
      own.possible = [after]
      if (answer.json.revision !== before.revision) surprising(figures, what, answer)
      return acknowledge(memory, figures, "killed", own, answer.json)
    }
    own.possible = [before]
    if (answer.status === 404 && before.text === null) return
    if (answer.status === 503 && turn.isEnding()) return figures.count("refused while stopping")
    surprising(figures, what, answer)
  }

  const freshText = (turn: Turn, own: Owned) => `${nameOf(own)} ${turn.random.between(1, 1e9)}`
  return { settled, deploy, kill, freshText }
}

const on =
  (act: (turn: Turn, own: Owned) => Promise<void>, settled: (turn: Turn) => ReadonlyArray<Owned>) =>
  async (turn: Turn) => {
    const candidates = settled(turn)
    // Whatever is in doubt is left alone until the examination.
    if (candidates.length === 0) await new Promise((resolve) => setTimeout(resolve, 5))
    else await act(turn, turn.random.pick(candidates))
  }

const makeContend = (memory: Memory, figures: Figures): Operation => ({
  name: "contend",
  weight: 2,
  run: async (turn) => {
    const own = { tenant: sharedTenant, service: turn.random.pick(contended) }
    const source = sourceOf(`${turn.client} ${turn.random.between(1, 3)}`)
    const { tenant, service } = own
    const path = `/v1/services/${service}`
    const act = turn.random.pick(["deployed", "swapped", "rolled back", "killed"] as const)
    const answer = await {
      deployed: () =>
        turn.ask("POST", "/v1/services", { tenant, body: { serviceId: service, source } }),
      swapped: () => turn.ask("PUT", `${path}?rollbackWindowMs=5`, { tenant, body: { source } }),
      "rolled back": () => turn.ask("POST", `${path}/rollback?rollbackWindowMs=0`, { tenant }),
      killed: () => turn.ask("DELETE", path, { tenant }),
    }[act]()
    if (answer === undefined) return figures.count("steps in doubt")
    if (answer.status === (act === "deployed" ? 201 : 200)) {
      const kind = act === "rolled back" ? "swapped" : act
      return acknowledge(memory, figures, kind, own, answer.json)
    }
    if ([200, 409, 404].includes(answer.status)) return
    if (answer.status === 503 && turn.isEnding()) return
    surprising(figures, `${nameOf(own)} ${act}`, answer)
  },
})

const makeOperations = (memory: Memory, figures: Figures): ReadonlyArray<Operation> => {
  const { settled, deploy, kill, freshText } = makeActs(memory, figures)
  const { swap, rollback } = makeSwaps(memory, figures)
  return [
    {
      name: "deploy",
      weight: 5,
      run: on((turn, own) => {
        const { text } = own.possible[0]!
        const again = text !== null && turn.random.chance(0.3)
        if (turn.random.chance(0.06)) {
          return deploy(turn, own, freshText(turn, own), turn.random.pick(refusedSources))
        }
        return deploy(turn, own, again ? text : freshText(turn, own))
      }, settled),
    },
    { name: "kill", weight: 3, run: on(kill, settled) },
    {
      name: "swap",
      weight: 5,
      run: on((turn, own) => {
        const { text } = own.possible[0]!
        const again = text !== null && turn.random.chance(0.1)
        if (!again && turn.random.chance(0.06)) {
          return swap(turn, own, freshText(turn, own), turn.random.pick(refusedSources))
        }
        return swap(turn, own, again ? text : freshText(turn, own))
      }, settled),
    },
    { name: "rollback", weight: 2, run: on(rollback, settled) },
    {
      name: "redeploy",
      weight: 3,
      run: on(async (turn, own) => {
        await kill(turn, own)
        if (own.possible.length === 1) await deploy(turn, own, freshText(turn, own))
      }, settled),
    },
    {
      name: "call",
      weight: 5,
      run: on(async (turn, own) => {
        const { text } = own.possible[0]!
        const wasReady = turn.isReady()
        const answer = await turn.ask("GET", `/services/${nameOf(own)}/`)
        if (answer === undefined || turn.isEnding()) return
        figures.count("calls")
        const isRight =
          text === null ? answer.status === 404 : answer.status === 200 && answer.text === text
        const isEarly = !wasReady && answer.status === 503
        if (!isRight && !isEarly) surprising(figures, `call ${nameOf(own)} (${text})`, answer)
      }, settled),
    },
    makeContend(memory, figures),
  ]
}

const lookFor = (memory: Memory, figures: Figures, audit: Audit): void => {
  for (const { kind, revision, artifact } of memory.acknowledged) {
    figures.count("acknowledgements checked: services")
    if (kind !== "killed" && audit.deployed.get(revision) !== artifact) {
      figures.lose(1, `the acknowledged ${revision} (${kind}) is not in the log`)
    }
    if (kind === "killed" && !audit.killed.has(revision)) {
      figures.lose(1, `the acknowledged kill of ${revision} is not in the log`)
    }
  }
  memory.acknowledged = []
}

interface View {
  readonly serviceId: string
  readonly revision: number
  readonly status: string
  readonly artifact: string
}

const listOf = async (conversation: Conversation, figures: Figures, tenant: string) => {
  const answer = await conversation.ask("GET", "/v1/services?limit=1000", { tenant })
  if (answer?.status === 200) return answer.json.items as ReadonlyArray<View>
  figures.lose(10, `the list of ${tenant} was answered ${answer?.status}: ${answer?.text}`)
  return []
}

/** Which truth a service turned out to be, if it is any of them. */
const found = async (conversation: Conversation, own: Owned, view: View | undefined) => {
  const call = await conversation.ask("GET", `/services/${nameOf(own)}/`)
  const truth = own.possible.find((possible) =>
    possible.text === null
      ? view === undefined && call?.status === 404
      : view?.status === "running" &&
        mayBe(possible, view.revision) &&
        view.artifact === sha256(sourceOf(possible.text)) &&
        call?.status === 200 &&
        call.text === possible.text,
  )
  return truth === undefined || view === undefined ? truth : settledAs(truth, view.revision)
}

const examine = async (
  memory: Memory,
  figures: Figures,
  conversation: Conversation,
  audit: Audit,
): Promise<void> => {
  const running = new Map<string, View>()
  const tenants = [...memory.owned.map(nameOf), ...audit.facts.keys()].map(
    (key) => key.split("/")[0]!,
  )
  for (const tenant of new Set(tenants)) {
    for (const view of await listOf(conversation, figures, tenant)) {
      running.set(`${tenant}/${view.serviceId}`, view)
    }
  }
  for (const [key, view] of running) {
    const fact = audit.facts.get(key)
    if (fact?.revision !== view.revision || fact.artifact !== view.artifact) {
      figures.lose(2, `${key} is ${JSON.stringify(view)}, the log says ${JSON.stringify(fact)}`)
    }
  }
  for (const [key, fact] of audit.facts) {
    const view = running.get(key)
    if (fact.artifact !== null && view?.status !== "running") {
      figures.lose(1, `${key} does not run (${JSON.stringify(view)}): ${JSON.stringify(fact)}`)
    }
  }
  for (const own of memory.owned) {
    const truth = await found(conversation, own, running.get(nameOf(own)))
    figures.count("services examined")
    if (own.possible.length > 1) figures.count("doubts resolved")
    if (truth === undefined) {
      const view = JSON.stringify(running.get(nameOf(own)))
      figures.lose(1, `${nameOf(own)} is ${view}, not one of ${JSON.stringify(own.possible)}`)
    }
    const fact = audit.facts.get(nameOf(own))
    // A swap that came to nothing has used up a number.
    const highest = fact?.highest ?? 0
    own.possible = [{ ...(truth ?? nothing), highest, isHighestOpen: false }]
  }
}

/** On an image with a torn end nobody knows which of the truths so far it is. */
const forget = (memory: Memory): Memory => ({ ...memory, owned: [], acknowledged: [] })

const over = (memory: Memory, figures: Figures): Concern => ({
  name: "services",
  operations: makeOperations(memory, figures),
  inspect: (audit) => lookFor(memory, figures, audit),
  examine: (conversation, audit) => examine(memory, figures, conversation, audit),
  snapshot: (isWhole) => {
    const copy: Memory = {
      owned: memory.owned.map((own) => ({ ...own })),
      acknowledged: [...memory.acknowledged],
    }
    return over(isWhole ? copy : forget(copy), figures)
  },
})

/** Services. */
export const makeServices: MakeConcern = (figures, clients) =>
  over(
    {
      owned: Array.from({ length: clients * ownServices }, (_, index) => ({
        tenant: `tenant-${index % 3}`,
        service: `service-${index}`,
        client: index % clients,
        possible: [nothing],
      })),
      acknowledged: [],
    },
    figures,
  )
