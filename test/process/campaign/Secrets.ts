/**
 * Secrets that clients store, revoke and have read by a service, and the replacement of the master
 * key under them. After every restart a service reads what was stored last, and nothing that was
 * revoked (promises 1 and 2).
 */
import type { Answer } from "../KernelProcess.ts"
import type { Audit } from "./Audit.ts"
import type { Concern, Conversation, MakeConcern, Turn } from "./Concern.ts"
import type { Figures } from "./Figures.ts"

/** Tenants that have secrets, and a service that reads them. */
const tenants = 2

/** Secrets of each client. */
const ownSecrets = 2

interface Slot {
  readonly tenant: string
  readonly name: string
  readonly client: number
  /** Its value, or two while a step is in doubt. */
  possible: ReadonlyArray<string | null>
}

/** Something a kernel said is durable. */
type Acknowledged = readonly ["secret_stored" | "secret_revoked", tenant: string, name: string]

interface Memory {
  readonly slots: ReadonlyArray<Slot>
  /** Tenants whose reader is deployed. */
  readonly readers: Set<string>
  /** How often each of them was acknowledged, and the master key replaced. */
  readonly acknowledged: Map<string, number>
  /** Acknowledged since the last look at the log. */
  fresh: number
}

const reader = "reader"

const source = `export default { async fetch(request, ctx) {
  const name = new URL(request.url).searchParams.get("name")
  try { return new Response(await ctx.secrets.get(name)) }
  catch (error) { return new Response(error.message, { status: 404 }) } } }`

const none = (name: string) => `there is no secret ${name}`

const acknowledge = (
  memory: Memory,
  figures: Figures,
  what: Acknowledged | ["master_key_rotated"],
) => {
  const key = what.join(" ")
  memory.acknowledged.set(key, (memory.acknowledged.get(key) ?? 0) + 1)
  memory.fresh++
  figures.count(`acknowledged ${what[0]}`)
}

const surprising = (figures: Figures, what: string, answer: Answer) =>
  figures.lose(1, `${what} was answered ${answer.status}: ${answer.text.slice(0, 300)}`)

/** Asks the reader; `undefined` when nobody can say. */
const read = async (
  figures: Figures,
  conversation: Conversation,
  { tenant, name }: Slot,
): Promise<string | null | undefined> => {
  const wasReady = conversation.isReady()
  const answer = await conversation.ask("GET", `/services/${tenant}/${reader}/?name=${name}`)
  if (answer === undefined || conversation.isEnding()) return undefined
  if (answer.status === 200) return answer.text
  if (answer.status === 404 && answer.text === none(name)) return null
  if (!(answer.status === 503 && !wasReady)) surprising(figures, `reading ${name}`, answer)
  return undefined
}

const check = async (figures: Figures, conversation: Conversation, slot: Slot): Promise<void> => {
  const { possible } = slot
  const value = await read(figures, conversation, slot)
  if (value === undefined) return
  figures.count("secrets read")
  if (!possible.includes(value)) {
    const promise = value === null ? 1 : 2
    figures.lose(
      promise,
      `${slot.tenant}/${slot.name} is ${value}, not ${JSON.stringify(possible)}`,
    )
  }
  if (possible.length > 1) figures.count("doubts resolved")
  slot.possible = [value]
}

const makeActs = (memory: Memory, figures: Figures) => {
  /** Changes a slot of the client's that is settled. */
  const change = async (turn: Turn, after: string | null): Promise<void> => {
    const settled = memory.slots.filter(
      (slot) => slot.client === turn.client && slot.possible.length === 1,
    )
    if (settled.length === 0) return
    const slot = turn.random.pick(settled)
    const [before] = slot.possible as readonly [string | null]
    const path = `/v1/secrets/${slot.name}`
    slot.possible = [before, after]
    const answer = await (after === null
      ? turn.ask("DELETE", path, { tenant: slot.tenant })
      : turn.ask("PUT", path, { tenant: slot.tenant, body: { value: after } }))
    if (answer === undefined) return figures.count("steps in doubt")
    if (answer.status === 200) {
      slot.possible = [after]
      const type = after === null ? "secret_revoked" : "secret_stored"
      if (after === null && before === null) surprising(figures, `revoking ${slot.name}`, answer)
      return acknowledge(memory, figures, [type, slot.tenant, slot.name])
    }
    slot.possible = [before]
    if (answer.status === 503 && turn.isEnding()) return
    if (answer.status === 404 && before === null && after === null) return
    surprising(figures, `${after === null ? "revoking" : "storing"} ${slot.name}`, answer)
  }

  const deployReader = async (turn: Turn, tenant: string): Promise<void> => {
    const secrets = memory.slots.filter((slot) => slot.tenant === tenant).map(({ name }) => name)
    const body = { serviceId: reader, source, secrets }
    const answer = await turn.ask("POST", "/v1/services", { tenant, body })
    if (answer === undefined || (answer.status === 503 && turn.isEnding())) return
    if (answer.status !== 201 && answer.status !== 200) {
      return surprising(figures, "deploying a reader", answer)
    }
    memory.readers.add(tenant)
  }

  return {
    store: (turn: Turn) => change(turn, `value ${turn.client} ${turn.random.between(0, 2 ** 31)}`),
    revoke: (turn: Turn) => change(turn, null),
    read: async (turn: Turn): Promise<void> => {
      const own = memory.slots.filter(
        (slot) => slot.client === turn.client && slot.possible.length === 1,
      )
      if (own.length === 0) return
      const slot = turn.random.pick(own)
      await (memory.readers.has(slot.tenant)
        ? check(figures, turn, slot)
        : deployReader(turn, slot.tenant))
    },
    rotate: async (turn: Turn): Promise<void> => {
      const answer = await turn.ask("POST", "/v1/master-key/rotate")
      if (answer === undefined) return figures.count("steps in doubt")
      if (answer.status === 200) return acknowledge(memory, figures, ["master_key_rotated"])
      if (!(answer.status === 503 && turn.isEnding())) surprising(figures, "rotating", answer)
    },
  }
}

const lookFor = (memory: Memory, figures: Figures, audit: Audit): void => {
  figures.count("acknowledgements checked: secrets", memory.fresh)
  memory.fresh = 0
  for (const [key, times] of memory.acknowledged) {
    const [type, tenant, name] = key.split(" ") as [string, string?, string?]
    const told = audit.told(type, tenant ?? null, name ?? null)
    if (told < times)
      figures.lose(1, `${key} was acknowledged ${times} times, logged ${told} times`)
  }
}

const over = (memory: Memory, figures: Figures): Concern => {
  const { store, revoke, read, rotate } = makeActs(memory, figures)
  return {
    name: "secrets",
    operations: [
      { name: "store", weight: 2, run: store },
      { name: "revoke", weight: 1, run: revoke },
      { name: "read", weight: 2, run: read },
      { name: "rotate", weight: 0.3, run: rotate },
    ],
    inspect: (audit) => lookFor(memory, figures, audit),
    examine: async (conversation) => {
      for (const slot of memory.slots) {
        if (memory.readers.has(slot.tenant)) await check(figures, conversation, slot)
      }
    },
    snapshot: (isWhole) =>
      over(
        {
          ...memory,
          slots: isWhole ? memory.slots.map((slot) => ({ ...slot })) : [],
          readers: new Set(memory.readers),
          acknowledged: new Map(memory.acknowledged),
        },
        figures,
      ),
  }
}

/** Secrets. */
export const makeSecrets: MakeConcern = (figures, clients) =>
  over(
    {
      slots: Array.from({ length: clients * ownSecrets }, (_, index) => ({
        tenant: `vault-${index % tenants}`,
        name: `secret-${index}`,
        client: Math.floor(index / ownSecrets),
        possible: [null],
      })),
      readers: new Set(),
      acknowledged: new Map(),
      fresh: 0,
    },
    figures,
  )
