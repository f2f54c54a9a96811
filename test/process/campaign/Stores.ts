/**
 * What services keep in `ctx.store` on behalf of clients: every value is written twice, in one
 * batch. After every restart both are there as they were acknowledged last, and never one without
 * the other (promise 1).
 */
import type { Answer } from "../KernelProcess.ts"
import type { Concern, Conversation, MakeConcern, Turn } from "./Concern.ts"
import type { Figures } from "./Figures.ts"

/** Tenants that have a service with a store. */
const tenants = 2

/** Keys of each client. */
const ownKeys = 2

interface Slot {
  readonly tenant: string
  readonly key: string
  readonly client: number
  /** Its value, or two while a write is in doubt. */
  possible: ReadonlyArray<string | null>
}

interface Memory {
  readonly slots: ReadonlyArray<Slot>
  /** Tenants whose keeper is deployed. */
  readonly keepers: Set<string>
}

const keeper = "keeper"

const source = `export default { async fetch(request, { store }) {
  const { searchParams } = new URL(request.url)
  const key = searchParams.get("key")
  const value = searchParams.get("value")
  if (request.method === "GET")
    return Response.json([await store.get(key) ?? null, await store.get(key + "-twin") ?? null])
  const keys = [key, key + "-twin"]
  await store.batch(keys.map((key) =>
    request.method === "DELETE" ? { type: "delete", key } : { type: "put", key, value }))
  return new Response("kept") } }`

const surprising = (figures: Figures, what: string, answer: Answer) =>
  figures.lose(1, `${what} was answered ${answer.status}: ${answer.text.slice(0, 300)}`)

/** Whether the kernel could not carry the question out for now, and no more. */
const isUnready = (conversation: Conversation, wasReady: boolean, { status }: Answer) =>
  (status === 503 && (conversation.isEnding() || !wasReady)) ||
  // The instance that was asked ended under the question, with the kernel.
  (status === 502 && conversation.isEnding())

const pathOf = ({ tenant, key }: Slot, query = "") =>
  `/services/${tenant}/${keeper}/?key=${key}${query}`

const check = async (figures: Figures, conversation: Conversation, slot: Slot): Promise<void> => {
  const { possible } = slot
  const wasReady = conversation.isReady()
  const answer = await conversation.ask("GET", pathOf(slot))
  if (answer === undefined || isUnready(conversation, wasReady, answer)) return
  if (answer.status !== 200) return surprising(figures, `reading ${slot.key}`, answer)
  const [value, twin] = answer.json as [string | null, string | null]
  figures.count("acknowledgements checked: stores")
  const where = `${slot.tenant}/${keeper} ${slot.key}`
  if (value !== twin) figures.lose(1, `${where} is torn: ${value} beside ${twin}`)
  if (!possible.includes(value)) {
    figures.lose(1, `${where} is ${value}, not ${JSON.stringify(possible)}`)
  }
  if (possible.length > 1) figures.count("doubts resolved")
  slot.possible = [value]
}

const makeActs = (memory: Memory, figures: Figures) => {
  const deployKeeper = async (turn: Turn, tenant: string): Promise<void> => {
    const body = { serviceId: keeper, source }
    const answer = await turn.ask("POST", "/v1/services", { tenant, body })
    if (answer === undefined || (answer.status === 503 && turn.isEnding())) return
    if (answer.status !== 201 && answer.status !== 200) {
      return surprising(figures, "deploying a keeper", answer)
    }
    memory.keepers.add(tenant)
  }

  /** A slot of the client's that is settled and whose keeper is there; deploys one otherwise. */
  const pick = async (turn: Turn): Promise<Slot | undefined> => {
    const settled = memory.slots.filter(
      (slot) => slot.client === turn.client && slot.possible.length === 1,
    )
    if (settled.length === 0) return undefined
    const slot = turn.random.pick(settled)
    if (memory.keepers.has(slot.tenant)) return slot
    await deployKeeper(turn, slot.tenant)
    return undefined
  }

  const change = async (turn: Turn, after: string | null): Promise<void> => {
    const slot = await pick(turn)
    if (slot === undefined) return
    const [before] = slot.possible as readonly [string | null]
    slot.possible = [before, after]
    const wasReady = turn.isReady()
    const answer = await (after === null
      ? turn.ask("DELETE", pathOf(slot))
      : turn.ask("PUT", pathOf(slot, `&value=${after}`)))
    // What was on its way when the kernel ended may have happened.
    if (answer === undefined || answer.status === 502) return figures.count("steps in doubt")
    if (answer.status === 200) {
      slot.possible = [after]
      return figures.count("acknowledged store batches")
    }
    if (!isUnready(turn, wasReady, answer)) surprising(figures, `writing ${slot.key}`, answer)
  }

  return {
    put: (turn: Turn) => change(turn, `${turn.client}-${turn.random.between(0, 2 ** 31)}`),
    remove: (turn: Turn) => change(turn, null),
    get: async (turn: Turn): Promise<void> => {
      const slot = await pick(turn)
      if (slot !== undefined) await check(figures, turn, slot)
    },
  }
}

const over = (memory: Memory, figures: Figures): Concern => {
  const { put, remove, get } = makeActs(memory, figures)
  return {
    name: "stores",
    operations: [
      { name: "put", weight: 3, run: put },
      { name: "remove", weight: 1, run: remove },
      { name: "get", weight: 1, run: get },
    ],
    inspect: () => {},
    examine: async (conversation) => {
      for (const slot of memory.slots) {
        if (memory.keepers.has(slot.tenant)) await check(figures, conversation, slot)
      }
    },
    snapshot: (isWhole) =>
      over(
        {
          slots: isWhole ? memory.slots.map((slot) => ({ ...slot })) : [],
          keepers: new Set(memory.keepers),
        },
        figures,
      ),
  }
}

/** Stores. */
export const makeStores: MakeConcern = (figures, clients) =>
  over(
    {
      slots: Array.from({ length: clients * ownKeys }, (_, index) => ({
        tenant: `keeping-${index % tenants}`,
        key: `key-${index}`,
        client: Math.floor(index / ownKeys),
        possible: [null],
      })),
      keepers: new Set(),
    },
    figures,
  )
