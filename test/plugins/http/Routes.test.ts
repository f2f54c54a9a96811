/**
 * Every route does what the interface says, and every failure of the kernel becomes the problem
 * that belongs to it.
 */
import * as Effect from "effect/Effect"
import { afterAll, assert, beforeAll, describe, it } from "vitest"

import { deployFailures } from "./FakeKernel.ts"
import { asRoot, readEvents, type RunningGateway, spec, startGateway } from "./Harness.ts"
import { assertProblem } from "./Problems.ts"

let gateway: RunningGateway
beforeAll(async () => {
  gateway = await startGateway()
})
afterAll(() => gateway.stop())

interface Page {
  readonly items: ReadonlyArray<Record<string, unknown>>
  readonly next: string | null
}
const page = async (response: Response): Promise<Page> => {
  assert.strictEqual(response.status, 200)
  return (await response.json()) as Page
}

describe("services", () => {
  it("deploys with 201, then answers 200 for the identical spec", async () => {
    const first = await gateway.deploy(spec("greeter"))
    assert.strictEqual(first.status, 201)
    assert.strictEqual(first.headers.get("location"), "/v1/services/greeter")
    const body = (await first.json()) as Record<string, unknown>
    assert.containsAllKeys(body, [
      "tenantId",
      "serviceId",
      "revision",
      "status",
      "artifact",
      "deployedAt",
      "startedAt",
      "restarts",
      "lastError",
      "memoryBytes",
      "cpuMs",
      "inFlight",
    ])
    const second = await gateway.deploy(spec("greeter"))
    assert.strictEqual(second.status, 200)
    assert.deepStrictEqual(await second.json(), body)
  })

  it("shows, lists in pages, filters by status, and kills", async () => {
    for (const id of ["a1", "a2", "a3"]) await gateway.deploy(spec(id), { "x-tenant-id": "pages" })
    const headers = { "x-tenant-id": "pages" }
    const first = await page(await gateway.call("/v1/services?limit=2", { headers }))
    assert.deepStrictEqual(
      first.items.map((item) => item["serviceId"]),
      ["a1", "a2"],
    )
    const rest = await page(
      await gateway.call(`/v1/services?limit=2&cursor=${first.next}`, { headers }),
    )
    assert.deepStrictEqual(
      rest.items.map((item) => item["serviceId"]),
      ["a3"],
    )
    assert.isNull(rest.next)
    const failed = await page(await gateway.call("/v1/services?status=failed", { headers }))
    assert.deepStrictEqual(failed, { items: [], next: null })

    const shown = await gateway.call("/v1/services/a1", { headers })
    assert.strictEqual(((await shown.json()) as Record<string, unknown>)["serviceId"], "a1")
    const killed = await gateway.call("/v1/services/a1?force=true", { method: "DELETE", headers })
    assert.strictEqual(killed.status, 200)
    assert.strictEqual(((await killed.json()) as Record<string, unknown>)["lastError"], "forced")
    const gone = await gateway.call("/v1/services/a1", { headers })
    await assertProblem(gone, 404, "service-not-found")
    await assertProblem(
      await gateway.call("/v1/services/a1", { method: "DELETE", headers }),
      404,
      "service-not-found",
    )
  })

  it("never shows one tenant another's services (promise 6)", async () => {
    await gateway.deploy(spec("mine"), { "x-tenant-id": "one" })
    const headers = { "x-tenant-id": "two" }
    const theirs = await assertProblem(
      await gateway.call("/v1/services/mine", { headers }),
      404,
      "service-not-found",
    )
    const nobodys = await assertProblem(
      await gateway.call("/v1/services/mine", { headers: { "x-tenant-id": "three" } }),
      404,
      "service-not-found",
    )
    assert.deepStrictEqual({ ...theirs, requestId: "" }, { ...nobodys, requestId: "" })
    assert.deepStrictEqual(await page(await gateway.call("/v1/services", { headers })), {
      items: [],
      next: null,
    })
  })

  const expected: Record<keyof typeof deployFailures, readonly [number, string]> = {
    conflict: [409, "service-conflict"],
    large: [413, "source-too-large"],
    "too-many": [429, "too-many-services"],
    compile: [422, "source-invalid"],
    start: [422, "start-failed"],
    slow: [422, "start-timed-out"],
    ended: [409, "deployment-ended"],
    stopping: [503, "kernel-stopping"],
    full: [507, "storage-full"],
    io: [503, "storage-unavailable"],
    overloaded: [503, "log-overloaded"],
    event: [413, "event-too-large"],
  }
  for (const [source, [status, name]] of Object.entries(expected)) {
    it(`answers ${status} ${name} for a deployment that fails so`, async () => {
      const response = await gateway.deploy(spec("x", source))
      const retryAfter = response.headers.get("retry-after")
      const body = await assertProblem(response, status, name)
      assert.notInclude(JSON.stringify(body), "secret")
      if ([429, 503, 507].includes(status)) assert.match(retryAfter ?? "", /^\d+$/)
      if (name === "source-invalid") {
        assert.deepInclude(body, { line: 3, column: 7, detail: "Unexpected token" })
      }
    })
  }

  it("covers every failure a deployment can have", () => {
    assert.deepStrictEqual(Object.keys(expected).sort(), Object.keys(deployFailures).sort())
  })

  const swapTo = (id: string, body: object, query = "", headers = {}) =>
    gateway.call(`/v1/services/${id}${query}`, {
      method: "PUT",
      body: JSON.stringify(body),
      headers: { "content-type": "application/json", ...headers },
    })

  it("swaps and rolls back; the id may stand in the body or not", async () => {
    await gateway.deploy(spec("swapped"))
    const { serviceId: _, ...rest } = spec("swapped", "next")
    const swapped = await swapTo("swapped", rest, "?rollbackWindowMs=7")
    assert.strictEqual(swapped.status, 200)
    const body = (await swapped.json()) as Record<string, unknown>
    assert.deepInclude(body, { serviceId: "swapped", revision: 2, restarts: 7 })
    assert.strictEqual((await swapTo("swapped", spec("swapped", "third"))).status, 200)
    const other = await assertProblem(
      await swapTo("swapped", spec("another", "next")),
      400,
      "invalid-request",
    )
    assert.include(JSON.stringify(other), "serviceId")
    for (const query of [
      "?rollbackWindowMs=-1",
      "?rollbackWindowMs=60001",
      "?rollbackWindowMs=x",
    ]) {
      await assertProblem(await swapTo("swapped", rest, query), 400, "invalid-request")
    }
    const back = (id: string) =>
      gateway.call(`/v1/services/${id}/rollback?rollbackWindowMs=0`, { method: "POST" })
    assert.deepInclude((await (await back("swapped")).json()) as object, { revision: 2 })
    assert.deepInclude((await (await back("swapped")).json()) as object, { revision: 1 })
    await assertProblem(await back("swapped"), 409, "no-previous-revision")
    await assertProblem(await back("nobody"), 404, "service-not-found")
    await assertProblem(await swapTo("nobody", rest), 404, "service-not-found")
  })

  const refused: Record<string, readonly [number, string]> = {
    busy: [409, "swap-in-progress"],
    "too-many-swaps": [429, "too-many-swaps"],
    unhealthy: [409, "swap-failed"],
    back: [409, "swap-rolled-back"],
    compile: [422, "source-invalid"],
    start: [422, "start-failed"],
    io: [503, "storage-unavailable"],
  }
  for (const [source, [status, name]] of Object.entries(refused)) {
    it(`answers ${status} ${name} for a swap that fails so`, async () => {
      await gateway.deploy(spec("old"))
      await assertProblem(await swapTo("old", spec("old", source)), status, name)
    })
  }

  it("answers a defect with 500, logs its cause under the id, and leaks nothing", async () => {
    const body = await assertProblem(
      await gateway.deploy(spec("x", "defect")),
      500,
      "internal-error",
    )
    assert.notInclude(JSON.stringify(body), "secret-internals")
    const line = gateway.logged.find((line) => line.includes("secret-internals"))
    assert.include(line, body.requestId)
  })

  it("reads a log in pages and resumes it within one instant", async () => {
    await gateway.deploy(spec("printer"))
    const time = "2026-01-01T00:00:00.000Z"
    const printed = ["a", "b", "c", "d"].map((message, index) => ({
      time: index < 3 ? time : "2026-01-01T00:00:01.000Z",
      level: "info" as const,
      message,
    }))
    gateway.kernel.lines.set("acme/printer", printed)
    const read: Array<unknown> = []
    let cursor: string | null = null
    do {
      const query: string = cursor === null ? "" : `&cursor=${cursor}`
      const { items, next } = await page(
        await gateway.call(`/v1/services/printer/logs?limit=1${query}`),
      )
      read.push(...items)
      cursor = next
    } while (cursor !== null)
    assert.deepStrictEqual(read, printed)

    const sse = { accept: "text/event-stream" }
    const [first, second] = await readEvents(
      await gateway.call("/v1/services/printer/logs", { headers: sse }),
      2,
    )
    assert.deepStrictEqual([first!.data, second!.data], [printed[0], printed[1]])
    const resumed = await readEvents(
      await gateway.call("/v1/services/printer/logs", {
        headers: { ...sse, "last-event-id": second!.id },
      }),
      2,
    )
    assert.deepStrictEqual(
      resumed.map(({ data }) => data),
      [printed[2], printed[3]],
    )
    await assertProblem(
      await gateway.call("/v1/services/nobody/logs", { headers: sse }),
      404,
      "service-not-found",
    )
  })

  it("reads a log from a time on, however precisely that is said", async () => {
    await gateway.deploy(spec("clock"))
    const times = ["11:59:59.999", "12:00:00.000", "12:00:00.500"]
    const lines = times.map((time) => ({
      time: `2026-01-01T${time}Z`,
      level: "info" as const,
      message: time,
    }))
    gateway.kernel.lines.set("acme/clock", lines)
    const since = (time: string) => gateway.call(`/v1/services/clock/logs?since=${time}`)
    for (const time of ["12:00", "12:00:00", "12:00:00.0", "12:00:00.000", "12:00:00.000000000"]) {
      const { items } = await page(await since(`2026-01-01T${time}Z`))
      assert.deepStrictEqual(items, lines.slice(1), time)
    }
    for (const time of [
      "2026-99-99T99:99Z",
      "2026-02-30T00:00Z",
      "2026-01-01T24:00:00Z",
      "2026-01-01T12:00:60Z",
      "2026-01-01T12:00:00",
    ]) {
      const { errors } = await assertProblem(await since(time), 400, "invalid-request")
      assert.deepStrictEqual(errors?.[0]?.path, ["query", "since"], time)
    }
  })
})

describe("health and recovery", () => {
  it("tells the phase, without a token", async () => {
    const bare = (path: string) => fetch(`${gateway.url}${path}`)
    assert.strictEqual((await bare("/health/live")).status, 200)
    const ready = await bare("/health/ready")
    assert.strictEqual(ready.status, 200)
    assert.deepStrictEqual(await ready.json(), { status: "ready" })

    const progress = { status: "recovering", recovered: 1, failed: 2, total: 5 } as const
    gateway.kernel.enter(progress)
    const recovering = await bare("/health/ready")
    assert.strictEqual(recovering.status, 503)
    assert.deepStrictEqual(await recovering.json(), progress)
    assert.strictEqual((await gateway.deploy(spec("early"))).status, 201)

    gateway.kernel.enter({ status: "stopping" })
    const stopping = await bare("/health/ready")
    assert.strictEqual(stopping.status, 503)
    assert.deepStrictEqual(await stopping.json(), { status: "stopping" })
    assert.strictEqual((await bare("/health/live")).status, 200)
    await assertProblem(await gateway.deploy(spec("late")), 503, "kernel-stopping")
    await assertProblem(await gateway.call("/services/acme/a/"), 503, "kernel-stopping")
    gateway.kernel.enter({ status: "ready" })
  })

  it("shows the last recovery and recovers again", async () => {
    await assertProblem(
      await gateway.call("/v1/recovery", { headers: asRoot }),
      404,
      "report-not-found",
    )
    const replayed = await gateway.call("/v1/recovery/replay", { method: "POST" })
    assert.strictEqual(replayed.status, 200)
    const shown = await gateway.call("/v1/recovery")
    assert.deepStrictEqual(await shown.json(), await replayed.json())
  })
})

describe("every response", () => {
  it("carries the request id the client chose, or a fresh one", async () => {
    const own = await gateway.call("/v1/services", { headers: { "x-request-id": "mine-1" } })
    assert.strictEqual(own.headers.get("x-request-id"), "mine-1")
    const insane = await gateway.call("/v1/services", { headers: { "x-request-id": "a b<c>" } })
    assert.match(insane.headers.get("x-request-id") ?? "", /^[a-z0-9]+-[a-z0-9]+$/)
  })

  it("is logged in one line without token or query", async () => {
    gateway.kernel.control.deploying = Effect.void
    await gateway.call("/v1/services?limit=7", { headers: { "x-request-id": "logged-1" } })
    const lines = gateway.logged.filter((line) => line.includes("logged-1"))
    assert.strictEqual(lines.length, 1)
    const { annotations } = JSON.parse(lines[0]!) as { annotations: Record<string, unknown> }
    assert.deepInclude(annotations, {
      method: "GET",
      route: "/v1/services",
      status: 200,
      requestId: "logged-1",
      tenantId: "acme",
    })
    assert.notInclude(lines[0]!, "limit")
    assert.isFalse(gateway.logged.some((line) => line.includes("root-token-for-tests")))
  })
})
