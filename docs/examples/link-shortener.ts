/**
 * A link shortener. Links live in memory: they are gone when the service restarts.
 *
 *   POST   /links         {"url": "https://…", "slug"?: "docs"}  → 201 the link
 *   GET    /links         all links, newest first (?limit=, at most 100)
 *   GET    /links/:slug   one link with its visits
 *   DELETE /links/:slug   → 204
 *   GET    /:slug         → 302 to the link's URL
 *   GET    /stats         {links, visits}
 *
 * env.MAX_LINKS bounds how many links are kept (default 10000).
 */

import type { Context, Service } from "solo/service"

interface Link {
  readonly slug: string
  readonly url: string
  readonly createdAt: string
  visits: number
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

const links = new Map<string, Link>()

const newSlug = (): string => {
  for (;;) {
    const bytes = crypto.getRandomValues(new Uint8Array(7))
    const slug = Array.from(bytes, (byte) => alphabet[byte % alphabet.length]).join("")
    if (!links.has(slug)) return slug
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
  if (links.has(value)) throw new Refusal(409, `slug ${value} is taken`)
  return value
}

const readJson = async (request: Request): Promise<Record<string, unknown>> => {
  const value: unknown = await request.json().catch(() => undefined)
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new Refusal(400, 'the body must be JSON such as {"url": "https://example.com"}')
  return value as Record<string, unknown>
}

const create = async (request: Request, ctx: Context): Promise<Response> => {
  const maximum = Number(ctx.env["MAX_LINKS"] ?? 10_000)
  if (links.size >= maximum) throw new Refusal(507, `at most ${maximum} links are kept`)
  const body = await readJson(request)
  const url = checkedUrl(body["url"])
  const slug = checkedSlug(body["slug"])
  const link: Link = { slug, url, createdAt: new Date().toISOString(), visits: 0 }
  links.set(slug, link)
  ctx.log.info(`created ${slug}`)
  return Response.json(link, { status: 201 })
}

const list = (url: URL): Response => {
  const limit = Math.min(100, Math.max(1, Number(url.searchParams.get("limit") ?? 100) || 100))
  return Response.json({ items: [...links.values()].reverse().slice(0, limit), total: links.size })
}

const find = (slug: string): Link => {
  const link = links.get(slug)
  if (link === undefined) throw new Refusal(404, `there is no link ${slug}`)
  return link
}

const stats = (): Response => {
  let visits = 0
  for (const link of links.values()) visits += link.visits
  return Response.json({ links: links.size, visits })
}

const visit = (slug: string, method: string): Response => {
  const link = find(slug)
  if (method === "GET") link.visits++
  return new Response(null, { status: 302, headers: { location: link.url } })
}

const route = async (request: Request, ctx: Context): Promise<Response> => {
  const url = new URL(request.url)
  const [first = "", second, ...rest] = url.pathname.split("/").filter((part) => part !== "")
  const { method } = request
  const reads = method === "GET" || method === "HEAD"
  if (rest.length > 0) throw new Refusal(404, "there is nothing here")
  if (first === "links" && second === undefined) {
    if (method === "POST") return create(request, ctx)
    if (reads) return list(url)
  } else if (first === "links" && second !== undefined) {
    const link = find(second)
    if (reads) return Response.json(link)
    if (method === "DELETE") {
      links.delete(link.slug)
      return new Response(null, { status: 204 })
    }
  } else if (second !== undefined || first === "") throw new Refusal(404, "there is nothing here")
  else if (reads) return first === "stats" ? stats() : visit(first, method)
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
