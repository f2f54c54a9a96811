/**
 * The log as clients see it: pages, and one live stream that goes on from run to run. Whatever
 * anybody saw must be durable, come in order without a gap, and stay (promises 1, 5, 6).
 */
import type { Audit } from "./Audit.ts"
import type { Concern, Conversation, MakeConcern, Turn } from "./Concern.ts"
import type { Figures } from "./Figures.ts"

interface Memory {
  /** Hash by id of what was seen and not yet looked for in the log. */
  seen: Map<number, string>
  /** Id of the newest event that the live stream has sent. */
  streamed: number
  /** Where each client's paging has come to. */
  readonly paged: Array<number>
}

interface View {
  readonly id: number
  readonly hash: string
  readonly tenantId: string | null
}

const see = (memory: Memory, figures: Figures, after: number, { id, hash }: View, how: string) => {
  if (id !== after + 1) figures.lose(5, `${how}: event ${id} came after ${after}`)
  if ((memory.seen.get(id) ?? hash) !== hash) figures.lose(5, `${how}: event ${id} changed`)
  memory.seen.set(id, hash)
  figures.count("events seen")
  return id
}

const readPage = async (memory: Memory, figures: Figures, turn: Turn): Promise<void> => {
  const after = memory.paged[turn.client]!
  const answer = await turn.ask("GET", `/v1/events?limit=200&sinceId=${after}`)
  if (answer === undefined) return
  if (answer.status !== 200) {
    if (!turn.isEnding()) figures.lose(1, `events were answered ${answer.status}: ${answer.text}`)
    return
  }
  memory.paged[turn.client] = (answer.json.items as ReadonlyArray<View>).reduce(
    (last, event) => see(memory, figures, last, event, "page"),
    after,
  )
}

const readTenant = async (figures: Figures, turn: Turn): Promise<void> => {
  const tenant = `tenant-${turn.random.between(0, 2)}`
  const answer = await turn.ask("GET", "/v1/events?limit=50", { tenant })
  const items: ReadonlyArray<View> = answer?.status === 200 ? answer.json.items : []
  if (items.some((event) => event.tenantId !== tenant)) {
    figures.lose(6, `${tenant} was shown another tenant's event`)
  }
}

/** The `data` lines of a stream of server-sent events, as far as it gets. */
const lines = async function* (conversation: Conversation, lastEventId: number) {
  const response = await fetch(`${conversation.url}/v1/events`, {
    headers: {
      authorization: `Bearer ${conversation.token}`,
      accept: "text/event-stream",
      "last-event-id": String(lastEventId),
    },
    signal: conversation.gone,
  })
  let text = ""
  for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) {
    text += chunk
    for (let end = text.indexOf("\n"); end >= 0; end = text.indexOf("\n")) {
      if (text.startsWith("data: ")) yield text.slice(6, end)
      text = text.slice(end + 1)
    }
  }
}

const follow = async (memory: Memory, figures: Figures, conversation: Conversation) => {
  try {
    for await (const line of lines(conversation, memory.streamed)) {
      memory.streamed = see(memory, figures, memory.streamed, JSON.parse(line), "stream")
    }
  } catch {
    // The kernel is gone in the midst of it.
  }
  if (!conversation.isEnding()) figures.lose(1, "the live stream ended in a kernel that runs")
}

const lookFor = (memory: Memory, figures: Figures, audit: Audit): void => {
  figures.count("acknowledgements checked: events", memory.seen.size)
  for (const [id, hash] of memory.seen) {
    if (audit.hashes[id - 1] !== hash) {
      figures.lose(1, `event ${id} was seen before the end and is not in the log`)
    }
  }
  memory.seen = new Map()
}

const over = (memory: Memory, figures: Figures): Concern => ({
  name: "events",
  operations: [
    { name: "page", weight: 3, run: (turn) => readPage(memory, figures, turn) },
    { name: "tenant", weight: 1, run: (turn) => readTenant(figures, turn) },
  ],
  attend: (conversation) => follow(memory, figures, conversation),
  inspect: (audit) => lookFor(memory, figures, audit),
  snapshot: (isWhole) =>
    over(
      {
        ...memory,
        paged: [...memory.paged],
        seen: isWhole ? new Map(memory.seen) : new Map(),
      },
      figures,
    ),
})

/** The log. */
export const makeEvents: MakeConcern = (figures, clients) =>
  over({ seen: new Map(), streamed: 0, paged: Array.from({ length: clients }, () => 0) }, figures)
