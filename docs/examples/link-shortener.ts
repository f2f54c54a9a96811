/**
 * A link shortener. Links and their visits are in the service's store: whatever crashes, what was
 * answered is there.
 *
 *   POST   /links         {"url": "https://…", "slug"?: "docs"}  → 201 the link
 *   GET    /links         links by slug (?limit=, at most 100, and ?cursor=)
 *   GET    /links/:slug   one link with its visits
 *   DELETE /links/:slug   → 204
 *   GET    /:slug         → 302 to the link's URL
 *   GET    /stats         {links, visits}
 *
 * env.MAX_LINKS bounds how many links are kept (default 10000).
 */

import type { Context, Service, Store, StoreError, StoreWrite } from "solo/service"

interface Link {
  readonly slug: string
  readonly url: string
  readonly createdAt: string
  readonly visits: number
}

interface Totals {
  readonly links: number
  readonly visits: number
}

class Refusal extends Error {
  readonly status: number
  constructor(status: number, message: string) {
    super(message)
    this.status = status
  }
}

const alphabet = "23456789abcdefghjkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ"
const slugPattern = /^[A-Za-z0-9_-]{1,64}$/
const reserved = new Set(["links", "stats"])
const maxUrlLength = 2048

const none: Totals = { links: 0, visits: 0 }

const keyOf = (slug: string): string => `link/${slug}`
const totalsKey = "totals"

const newSlug = (): string =>
  Array.from(
    crypto.getRandomValues(new Uint8Array(7)),
    (byte) => alphabet[byte % alphabet.length],
  ).join("")

/**
 * Changes a link and the totals in one batch, which is refused when either has changed since it was
 * read: then it begins anew.
 */
const change = async <A>(
  store: Store,
  slug: string,
  decide: (link: Link | undefined, totals: Totals) => readonly [A, Link | undefined, Totals],
): Promise<A> => {
  for (;;) {
    const key = keyOf(slug)
    const [link, totals] = await Promise.all([
      store.entry<Link>(key),
      store.entry<Totals>(totalsKey),
    ])
    const [answer, nextLink, nextTotals] = decide(link?.value, totals?.value ?? none)
    const linkWrite: StoreWrite =
      nextLink === undefined ? { type: "delete", key } : { type: "put", key, value: nextLink }
    try {
      await store.batch([linkWrite, { type: "put", key: totalsKey, value: nextTotals }], {
        conditions: [
          { key, version: link?.version ?? null },
          { key: totalsKey, version: totals?.version ?? null },
        ],
      })
      return answer
    } catch (error) {
      if ((error as StoreError).code !== "conflict") throw error
    }
  }
}

const checkedUrl = (value: unknown): string => {
  if (typeof value !== "string" || value.length > maxUrlLength)
    throw new Refusal(400, `url must be a text of at most ${maxUrlLength} characters`)
  if (!URL.canParse(value)) throw new Refusal(400, "url must be an absolute URL")
  const url = new URL(value)
  if (url.protocol !== "http:" && url.protocol !== "https:")
    throw new Refusal(400, "url must start with http:// or https://")
  if (url.username !== "" || url.password !== "")
    throw new Refusal(400, "url must not hold a user name or password")
  return url.href
}

const checkedSlug = (value: unknown): string => {
  if (value === undefined) return newSlug()
  if (typeof value !== "string" || !slugPattern.test(value))
    throw new Refusal(400, "slug must be 1 to 64 characters out of A-Z, a-z, 0-9, _ and -")
  if (reserved.has(value)) throw new Refusal(400, `slug must not be ${value}`)
  return value
}

const readJson = async (request: Request): Promise<Record<string, unknown>> => {
  const value: unknown = await request.json().catch(() => undefined)
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new Refusal(400, 'the body must be JSON such as {"url": "https://example.com"}')
  return value as Record<string, unknown>
}

const missing = (slug: string) => new Refusal(404, `there is no link ${slug}`)

const create = async (request: Request, { env, log, store }: Context): Promise<Response> => {
  const maximum = Number(env["MAX_LINKS"] ?? 10_000)
  const body = await readJson(request)
  const url = checkedUrl(body["url"])
  const slug = checkedSlug(body["slug"])
  const created = await change(store, slug, (link, totals) => {
    if (link !== undefined) throw new Refusal(409, `slug ${slug} is taken`)
    if (totals.links >= maximum) throw new Refusal(507, `at most ${maximum} links are kept`)
    const fresh: Link = { slug, url, createdAt: new Date().toISOString(), visits: 0 }
    return [fresh, fresh, { ...totals, links: totals.links + 1 }]
  })
  log.info("created", { slug })
  return Response.json(created, { status: 201 })
}

const list = async ({ searchParams }: URL, { store }: Context): Promise<Response> => {
  const limit = Math.min(100, Math.max(1, Number(searchParams.get("limit") ?? 100) || 100))
  const cursor = searchParams.get("cursor")
  const { entries, cursor: next } = await store.list<Link>({ prefix: keyOf(""), limit, cursor })
  return Response.json({ items: entries.map(({ value }) => value), next: next ?? null })
}

const show = async (slug: string, { store }: Context): Promise<Response> => {
  const link = await store.get<Link>(keyOf(slug))
  if (link === undefined) throw missing(slug)
  return Response.json(link)
}

const remove = (slug: string, { store }: Context): Promise<Response> =>
  change(store, slug, (link, totals) => {
    if (link === undefined) throw missing(slug)
    return [new Response(null, { status: 204 }), undefined, { ...totals, links: totals.links - 1 }]
  })

const visit = async (slug: string, method: string, { store }: Context): Promise<Response> => {
  const to = (link: Link) => new Response(null, { status: 302, headers: { location: link.url } })
  if (method === "GET")
    return change(store, slug, (link, totals) => {
      if (link === undefined) throw missing(slug)
      const visited = { ...link, visits: link.visits + 1 }
      return [to(link), visited, { ...totals, visits: totals.visits + 1 }]
    })
  const link = await store.get<Link>(keyOf(slug))
  if (link === undefined) throw missing(slug)
  return to(link)
}

const stats = async ({ store }: Context): Promise<Response> =>
  Response.json((await store.get<Totals>(totalsKey)) ?? none)

const route = async (request: Request, ctx: Context): Promise<Response> => {
  const url = new URL(request.url)
  const [first = "", second, ...rest] = url.pathname.split("/").filter((part) => part !== "")
  const { method } = request
  const reads = method === "GET" || method === "HEAD"
  if (rest.length > 0) throw new Refusal(404, "there is nothing here")
  if (first === "links" && second === undefined) {
    if (method === "POST") return create(request, ctx)
    if (reads) return list(url, ctx)
  } else if (first === "links" && second !== undefined) {
    if (reads) return show(second, ctx)
    if (method === "DELETE") return remove(second, ctx)
  } else if (second !== undefined || first === "") throw new Refusal(404, "there is nothing here")
  else if (reads) return first === "stats" ? stats(ctx) : visit(first, method, ctx)
  throw new Refusal(405, `${method} is not possible here`)
}

export default {
  async fetch(request, ctx) {
    try {
      return await route(request, ctx)
    } catch (error) {
      if (!(error instanceof Refusal)) throw error
      return Response.json({ error: error.message }, { status: error.status })
    }
  },
} satisfies Service
