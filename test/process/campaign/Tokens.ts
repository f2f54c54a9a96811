/**
 * Tokens that clients grant, attenuate, use, let expire and revoke. What was granted is good after
 * every restart, what was revoked or has expired never is, and a token dies with the one it was
 * attenuated from (promises 1 and 2).
 */
import type { Answer } from "../KernelProcess.ts"
import { type Audit, sha256 } from "./Audit.ts"
import type { Concern, Conversation, MakeConcern, Turn } from "./Concern.ts"
import type { Figures } from "./Figures.ts"

/** Tokens a client keeps alive; beyond that it revokes before it grants. */
const maxAlive = 8

/** Tokens a client remembers after their end. */
const maxGone = 6

/** What lies this close to its expiry, in milliseconds, may be judged either way. */
const margin = 1000

interface Token {
  readonly tenant: string
  readonly client: number
  readonly secret: string
  readonly hash: string
  readonly parent: string | null
  readonly permissions: string
  readonly expiresAt: number | null
  state: "good" | "gone" | "in doubt"
}

/** Something a kernel said is durable. */
interface Acknowledged {
  readonly type: "capability_granted" | "capability_revoked"
  readonly tenant: string
  readonly hash: string
}

interface Memory {
  tokens: Array<Token>
  /** Not yet looked for in the log. */
  acknowledged: Array<Acknowledged>
}

const grantable = ["deploy", "kill", "read", "invoke", "grant", "secrets", "metrics"]

/** What a token must be at `now`: good, gone, or nobody can say. */
const expected = (token: Token, now: number): "good" | "gone" | undefined => {
  if (token.state === "gone") return "gone"
  if (token.expiresAt !== null && now > token.expiresAt + margin) return "gone"
  if (token.state === "in doubt") return undefined
  return token.expiresAt !== null && now > token.expiresAt - margin ? undefined : "good"
}

const withDescendants = (memory: Memory, token: Token): ReadonlyArray<Token> => [
  token,
  ...memory.tokens
    .filter(({ parent }) => parent === token.hash)
    .flatMap((child) => withDescendants(memory, child)),
]

const surprising = (figures: Figures, promise: number, what: string, answer: Answer) =>
  figures.lose(promise, `${what} was answered ${answer.status}: ${answer.text.slice(0, 300)}`)

const remember = (
  memory: Memory,
  figures: Figures,
  turn: Turn,
  answer: Answer,
  parent: string | null,
) => {
  const {
    token: secret,
    tokenHash: hash,
    tenantId: tenant,
    permissions,
    expiresAt,
    durable,
  } = answer.json
  if (hash !== sha256(secret)) figures.lose(1, `${hash} is not the hash of the token it came with`)
  if (durable !== true) figures.lose(1, `the token ${hash} is not durable on a sound disk`)
  memory.tokens.push({
    tenant,
    client: turn.client,
    secret,
    hash,
    parent,
    permissions: permissions.toSorted().join(),
    expiresAt: expiresAt === null ? null : Date.parse(expiresAt),
    state: "good",
  })
  memory.acknowledged.push({ type: "capability_granted", tenant, hash })
  figures.count(parent === null ? "acknowledged granted" : "acknowledged attenuated")
}

/** Forgets the oldest of a client's tokens that are gone for good. */
const forgetSome = (memory: Memory, client: number): void => {
  const gone = memory.tokens.filter(
    (token) => token.client === client && expected(token, Date.now()) === "gone",
  )
  const dropped = new Set(gone.slice(0, Math.max(0, gone.length - maxGone)))
  memory.tokens = memory.tokens.filter((token) => !dropped.has(token))
}

const makeActs = (memory: Memory, figures: Figures) => {
  const good = (turn: Turn) =>
    memory.tokens.filter(
      (token) => token.client === turn.client && expected(token, Date.now()) === "good",
    )
  const ttl = (turn: Turn) =>
    turn.random.chance(0.2) ? { ttlSeconds: turn.random.between(2, 6) } : {}

  const revoke = async (turn: Turn): Promise<void> => {
    const candidates = good(turn)
    if (candidates.length === 0) return
    const token = turn.random.pick(candidates)
    const all = withDescendants(memory, token)
    const wasGood = all.filter(({ state }) => state === "good")
    for (const one of wasGood) one.state = "in doubt"
    const path = `/v1/tokens/${token.hash}`
    const answer = await turn.ask("DELETE", path, { tenant: token.tenant })
    if (answer === undefined) return figures.count("steps in doubt")
    if (answer.status === 200) {
      for (const one of all) one.state = "gone"
      const { tenant, hash } = token
      memory.acknowledged.push({ type: "capability_revoked", tenant, hash })
      return figures.count("acknowledged revoked")
    }
    // Refused: nothing has changed.
    for (const one of wasGood) one.state = "good"
    if (answer.status === 503 && turn.isEnding()) return
    if (expected(token, Date.now()) !== "good") return
    surprising(figures, 2, `revoking ${token.hash}`, answer)
  }

  const grant = async (turn: Turn): Promise<void> => {
    forgetSome(memory, turn.client)
    if (good(turn).length >= maxAlive) return revoke(turn)
    const answer = await turn.ask("POST", "/v1/tokens", {
      tenant: `tenant-${turn.random.between(0, 2)}`,
      body: {
        permissions: grantable.slice(turn.random.between(0, 3), turn.random.between(4, 7)),
        ...ttl(turn),
      },
    })
    if (answer === undefined) return figures.count("steps in doubt")
    if (answer.status === 201) return remember(memory, figures, turn, answer, null)
    if (answer.status === 503 && turn.isEnding()) return
    surprising(figures, 1, "granting", answer)
  }

  const attenuate = async (turn: Turn): Promise<void> => {
    const candidates = good(turn)
    if (candidates.length === 0 || candidates.length >= maxAlive) return grant(turn)
    const parent = turn.random.pick(candidates)
    const permissions = parent.permissions.split(",").slice(0, turn.random.between(1, 3))
    const answer = await turn.ask("POST", "/v1/tokens/attenuate", {
      token: parent.secret,
      body: { permissions, ...(parent.expiresAt === null ? ttl(turn) : {}) },
    })
    if (answer === undefined) return figures.count("steps in doubt")
    if (answer.status === 201) return remember(memory, figures, turn, answer, parent.hash)
    if (answer.status === 503 && turn.isEnding()) return
    if (answer.status === 401 && expected(parent, Date.now()) !== "good") return
    // Six generations are enough for anybody: the kernel says so with 409.
    if (answer.status === 409) return figures.count("refused attenuations")
    surprising(figures, 1, `attenuating ${parent.hash}`, answer)
  }

  const use = async (turn: Turn): Promise<void> => {
    const own = memory.tokens.filter((token) => token.client === turn.client)
    if (own.length > 0) await present(memory, figures, turn, turn.random.pick(own))
  }
  return { grant, attenuate, revoke, use }
}

/** Presents a token; settles what it is, and objects if it may not be that. */
const present = async (
  memory: Memory,
  figures: Figures,
  conversation: Conversation,
  token: Token,
): Promise<void> => {
  const before = expected(token, Date.now())
  const answer = await conversation.ask("POST", "/v1/tokens/verify", { token: token.secret })
  if (answer === undefined || (answer.status === 503 && conversation.isEnding())) return
  figures.count("tokens presented")
  const after = expected(token, Date.now())
  const what = `${token.hash}, which is ${before ?? "in doubt"},`
  if (answer.status !== 200 && answer.status !== 401) {
    return surprising(figures, 1, `presenting ${what}`, answer)
  }
  const isGood = answer.status === 200
  if (before === "gone" && isGood) surprising(figures, 2, what, answer)
  if (before === "good" && after === "good" && !isGood) surprising(figures, 1, what, answer)
  if (isGood && answer.json.permissions.toSorted().join() !== token.permissions) {
    surprising(figures, 1, `${what} of ${token.permissions}`, answer)
  }
  if (token.state === "in doubt" && before === undefined) {
    token.state = isGood ? "good" : "gone"
    figures.count("doubts resolved")
  }
  const parent = memory.tokens.find(({ hash }) => hash === token.parent)
  if (isGood && parent?.state === "gone") surprising(figures, 2, `the child ${what}`, answer)
}

const lookFor = (memory: Memory, figures: Figures, audit: Audit): void => {
  for (const { type, tenant, hash } of memory.acknowledged) {
    figures.count("acknowledgements checked: tokens")
    if (audit.told(type, tenant, hash) === 0) {
      figures.lose(type === "capability_granted" ? 1 : 2, `${type} of ${hash} is not in the log`)
    }
  }
  memory.acknowledged = []
  for (const token of memory.tokens) {
    const is = audit.tokens.has(token.hash)
    const must = expected(token, Date.now())
    if (must === "good" && !is) figures.lose(1, `the token ${token.hash} has no row`)
    // What has expired is removed now and then; what was revoked must be gone.
    if (token.state === "gone" && is) figures.lose(2, `the revoked ${token.hash} has a row`)
  }
}

const over = (memory: Memory, figures: Figures): Concern => {
  const { grant, attenuate, revoke, use } = makeActs(memory, figures)
  return {
    name: "tokens",
    operations: [
      { name: "grant", weight: 2, run: grant },
      { name: "attenuate", weight: 2, run: attenuate },
      { name: "revoke", weight: 2, run: revoke },
      { name: "use", weight: 2, run: use },
    ],
    inspect: (audit) => lookFor(memory, figures, audit),
    examine: async (conversation) => {
      // Parents come before their children.
      for (const token of memory.tokens) await present(memory, figures, conversation, token)
    },
    snapshot: (isWhole) =>
      over(
        {
          tokens: isWhole ? memory.tokens.map((token) => ({ ...token })) : [],
          acknowledged: [...memory.acknowledged],
        },
        figures,
      ),
  }
}

/** Tokens. */
export const makeTokens: MakeConcern = (figures) => over({ tokens: [], acknowledged: [] }, figures)
