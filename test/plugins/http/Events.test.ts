/**
 * The log over HTTP: pages, filters, and the live stream that resumes without gap or duplicate.
 */
import { draft } from "solo"
import { afterAll, assert, beforeAll, describe, it } from "vitest"

import { rootToken } from "./FakeKernel.ts"
import { asRoot, readEvents, type RunningGateway, startGateway } from "./Harness.ts"
import { assertProblem } from "./Problems.ts"

let gateway: RunningGateway
beforeAll(async () => {
  gateway = await startGateway({ streamKeepAliveMs: 50, maxEventStreams: 4 })
  gateway.kernel.emit(draft("system_shutdown_started", { reason: "test" }))
  for (let revision = 1; revision <= 10; revision++) {
    gateway.kernel.emitFor(revision % 2 === 0 ? "even" : "odd", revision)
  }
})
afterAll(() => gateway.stop())

const sse = (headers: Record<string, string>, query = "") =>
  fetch(`${gateway.url}/v1/events${query}`, {
    headers: { ...asRoot, accept: "text/event-stream", ...headers },
  })

const ids = (events: ReadonlyArray<{ readonly id: string }>) => events.map(({ id }) => Number(id))

describe("pages", () => {
  const list = async (query: string, headers: Record<string, string> = asRoot) => {
    const response = await fetch(`${gateway.url}/v1/events${query}`, { headers })
    assert.strictEqual(response.status, 200)
    return (await response.json()) as {
      items: Array<{ id: number; type: string }>
      next: string | null
    }
  }

  it("walk the whole log for a root token that names no tenant", async () => {
    const seen: Array<number> = []
    let cursor: string | null = null
    let pages = 0
    do {
      const { items, next } = await list(`?limit=4${cursor === null ? "" : `&cursor=${cursor}`}`)
      seen.push(...items.map(({ id }) => id))
      cursor = next
      pages++
    } while (cursor !== null)
    assert.deepStrictEqual(seen, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11])
    assert.strictEqual(pages, 3)
  })

  it("show a tenant nothing but its own (promise 6)", async () => {
    const { items } = await list("", { ...asRoot, "x-tenant-id": "even" })
    assert.deepStrictEqual(
      items.map(({ id }) => id),
      [3, 5, 7, 9, 11],
    )
  })

  it("filter by several types and by id, and have the documented shape", async () => {
    const { items } = await list("?type=system_shutdown_started&type=service_deployed")
    assert.deepStrictEqual(items, [
      {
        id: 1,
        time: "2026-01-01T00:00:00.000Z",
        tenantId: null,
        serviceId: null,
        type: "system_shutdown_started",
        payload: { reason: "test" },
        actor: null,
        causationId: null,
        hash: "1".padStart(64, "0"),
      } as never,
    ])
    assert.deepStrictEqual((await list("?sinceId=10")).items.length, 1)
  })

  it("end with null when the last page is exactly full", async () => {
    assert.isNull((await list("?limit=11")).next)
  })
})

describe("the live stream", () => {
  it("catches up, goes on live, and resumes without gap or duplicate", async () => {
    const tenant = { "x-tenant-id": "live" }
    gateway.kernel.emitFor("live", 1)
    gateway.kernel.emitFor("live", 2)
    const response = await sse(tenant)
    assert.strictEqual(response.headers.get("content-type"), "text/event-stream")
    const reading = readEvents(response, 4)
    gateway.kernel.emitFor("other", 1)
    gateway.kernel.emitFor("live", 3)
    gateway.kernel.emitFor("live", 4)
    const first = await reading
    assert.deepStrictEqual(
      first.map(({ data }) => (data as { payload: { revision: number } }).payload.revision),
      [1, 2, 3, 4],
    )
    assert.strictEqual(first[0]!.event, "service_killed")
    gateway.kernel.emitFor("live", 5)
    const resumed = readEvents(await sse({ ...tenant, "last-event-id": first[1]!.id }), 4)
    gateway.kernel.emitFor("live", 6)
    const second = await resumed
    assert.deepStrictEqual(ids(second.slice(0, 2)), ids(first.slice(2)))
    assert.deepStrictEqual(
      second.map(({ data }) => (data as { payload: { revision: number } }).payload.revision),
      [3, 4, 5, 6],
    )
  })

  it("lets Last-Event-ID win over sinceId, as a browser that reconnects needs", async () => {
    const [next] = await readEvents(await sse({ "last-event-id": "4" }, "?sinceId=1"), 1)
    assert.strictEqual(next!.id, "5")
  })

  it("keeps a silent stream alive with comments", async () => {
    const response = await sse({ "x-tenant-id": "nobody" })
    const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader()
    let text = ""
    while (!text.includes(": keep-alive\n\n: keep-alive\n\n")) text += (await reader.read()).value
    await reader.cancel()
    assert.notInclude(text, "data:")
  })

  it("pulls no more from the log than a slow consumer reads", async () => {
    const gateway = await startGateway()
    const { host } = new URL(gateway.url)
    const socket = await gateway.connect()
    socket.pause()
    socket.write(
      `GET /v1/events HTTP/1.1\r\nHost: ${host}\r\nAuthorization: Bearer ${rootToken}\r\nAccept: text/event-stream\r\n\r\n`,
    )
    const count = 40_000
    for (let index = 0; index < count; index++) {
      gateway.kernel.emit(draft("system_shutdown_started", { reason: "x".repeat(500) }))
    }
    // Both ends' socket buffers fill; from then on nothing may be pulled any more.
    let pulled = -1
    while (pulled !== gateway.kernel.control.pulled || pulled === 0) {
      pulled = gateway.kernel.control.pulled
      await fetch(`${gateway.url}/health/live`)
      await new Promise((resolve) => setTimeout(resolve, 300))
    }
    assert.isBelow(pulled, count)
    const ended = new Promise((resolve) => {
      let text = ""
      socket.on("data", (chunk: Buffer) => {
        text = (text + chunk.toString("latin1")).slice(-4096)
        if (text.includes(`id: ${count}\n`)) resolve(undefined)
      })
    })
    socket.resume()
    await ended
    socket.destroy()
    await gateway.stop()
  }, 60_000)

  it("is refused when as many are open as may be, and available again after", async () => {
    const open = await Promise.all([1, 2, 3, 4].map(() => sse({ "x-tenant-id": "none" })))
    const refused = await sse({ "x-tenant-id": "none" })
    assert.match(refused.headers.get("retry-after") ?? "", /^\d+$/)
    await assertProblem(refused, 503, "too-many-streams")
    await Promise.all(open.map((response) => response.body!.cancel()))
    let again = await sse({ "x-tenant-id": "none" })
    while (again.status === 503) {
      await again.text()
      again = await sse({ "x-tenant-id": "none" })
    }
    assert.strictEqual(again.status, 200)
    await again.body!.cancel()
  })

  it("refuses a Last-Event-ID that is no id", async () => {
    for (const id of ["x", "-1", "1.5", "99999999999999999999"]) {
      await assertProblem(await sse({ "last-event-id": id }), 400, "invalid-request")
    }
  })
})
