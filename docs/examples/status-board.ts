/**
 * A status board: asks the tenant's services and pages of the web how they are, all at once, and
 * says what it heard. `env.SERVICES` and `env.PAGES` list them, separated by spaces; the spec grants
 * them: `"services": ["greeter"], "network": ["example.com:443"]`.
 */
import type { Context, Service } from "solo/service"

/** How long one of them may take, in milliseconds. */
const patienceMs = 2000

/** What was heard of one of them. */
interface Report {
  readonly name: string
  readonly isUp: boolean
  readonly detail: string
}

const listOf = (text: string | undefined): ReadonlyArray<string> =>
  (text ?? "").split(" ").filter((name) => name !== "")

const report = async (name: string, asking: Promise<Response>): Promise<Report> => {
  try {
    const response = await asking
    // Whoever does not read a body says so, and the connection is free.
    await response.body?.cancel()
    return { name, isUp: response.ok, detail: `status ${response.status}` }
  } catch (error) {
    return { name, isUp: false, detail: error instanceof Error ? error.message : "unknown" }
  }
}

const askAll = (ctx: Context, abandoned: AbortSignal): Promise<ReadonlyArray<Report>> => {
  const signal = () => AbortSignal.any([abandoned, AbortSignal.timeout(patienceMs)])
  return Promise.all([
    ...listOf(ctx.env["SERVICES"]).map((id) =>
      report(id, ctx.services.fetch(id, "/", { signal: signal() })),
    ),
    ...listOf(ctx.env["PAGES"]).map((url) => report(url, fetch(url, { signal: signal() }))),
  ])
}

export default {
  async fetch(request, ctx) {
    const reports = await askAll(ctx, request.signal)
    const status = reports.every(({ isUp }) => isUp) ? 200 : 503
    return Response.json(reports, { status })
  },
} satisfies Service
