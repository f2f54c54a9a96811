/**
 * Hostile input: whatever arrives is answered with a 4xx problem or a closed connection, never
 * with 500, never with silence, and the gateway goes on.
 */
import * as Deferred from "effect/Deferred"
import type { ServiceResponse } from "solo"
import { afterAll, afterEach, assert, beforeAll, describe, it } from "vitest"

import { rootToken } from "./FakeKernel.ts"
import { asTenant, type RunningGateway, spec, startGateway } from "./Harness.ts"
import { assertProblem } from "./Problems.ts"
import { allRoutes } from "./RouteList.ts"

const maxBodyBytes = 64 * 1024

let gateway: RunningGateway
beforeAll(async () => {
  gateway = await startGateway({
    maxBodyBytes,
    bodyTimeoutMs: 200,
    headersTimeoutMs: 300,
    receiveTimeoutMs: 600,
  })
})
afterAll(() => gateway.stop())
afterEach(async () => {
  assert.strictEqual((await fetch(`${gateway.url}/health/live`)).status, 200)
  assert.isFalse(gateway.logged.some((line) => line.includes("met a defect")))
})

const post = (
  body: string | Uint8Array | ReadableStream<Uint8Array>,
  headers: Record<string, string> = {},
) =>
  gateway.call("/v1/services", {
    method: "POST",
    body,
    duplex: "half",
    headers: { "content-type": "application/json", ...headers },
  } as RequestInit)

describe("a spec", () => {
  const base = spec("x")
  const wrong: Record<string, readonly [unknown, string]> = {
    "no object": [[], "payload"],
    "a number": [7, "payload"],
    null: [null, "payload"],
    "no source": [{ serviceId: "x" }, "payload.source"],
    "an empty source": [{ ...base, source: "" }, "payload.source"],
    "a numeric source": [{ ...base, source: 1 }, "payload.source"],
    "a bad id": [{ ...base, serviceId: "a/b" }, "payload.serviceId"],
    "an id with a null byte": [{ ...base, serviceId: "a\0" }, "payload.serviceId"],
    "a long id": [{ ...base, serviceId: "x".repeat(129) }, "payload.serviceId"],
    "an unknown format": [{ ...base, format: "python" }, "payload.format"],
    "an unknown field": [{ ...base, sourc: "x" }, "payload.sourc"],
    "a limit below its bound": [{ ...base, limits: { heapMb: -1 } }, "payload.limits.heapMb"],
    "a limit as a string": [{ ...base, limits: { heapMb: "64" } }, "payload.limits.heapMb"],
    "a fractional limit": [{ ...base, limits: { maxRestarts: 1.5 } }, "payload.limits.maxRestarts"],
    "a huge limit": [{ ...base, limits: { heapMb: 1e308 } }, "payload.limits.heapMb"],
    "env with a wrong name": [{ ...base, env: { "a b": "1" } }, "payload.env.a b"],
    "env with a number": [{ ...base, env: { A: 1 } }, "payload.env.A"],
    "env as a list": [{ ...base, env: ["A"] }, "payload.env"],
    "secrets as text": [{ ...base, secrets: "A" }, "payload.secrets"],
    "too many secrets": [
      { ...base, secrets: Array.from({ length: 129 }, String) },
      "payload.secrets",
    ],
    "an inherited name": [
      JSON.parse('{"serviceId":"x","source":"y","__proto__":{"a":1}}'),
      "payload.__proto__",
    ],
  }
  for (const [what, [json, path]] of Object.entries(wrong)) {
    it(`with ${what} is refused, and the field is named`, async () => {
      const { errors } = await assertProblem(await gateway.deploy(json), 400, "invalid-request")
      assert.include(
        errors!.map((error) => error.path.join(".")),
        path,
        JSON.stringify(errors),
      )
    })
  }

  it("with several mistakes gets all of them named", async () => {
    const { errors } = await assertProblem(
      await gateway.deploy({ serviceId: "a b", source: 1, restart: "x", limits: { heapMb: 0 } }),
      400,
      "invalid-request",
    )
    assert.sameMembers(
      errors!.map(({ path }) => path.join(".")),
      ["payload.serviceId", "payload.source", "payload.restart", "payload.limits.heapMb"],
    )
  })

  it("with thousands of mistakes gets a bounded answer", async () => {
    const env = Object.fromEntries(Array.from({ length: 3000 }, (_, index) => [`bad ${index}`, 1]))
    const body = await assertProblem(await gateway.deploy({ ...base, env }), 400, "invalid-request")
    assert.isAtMost(body.errors!.length, 50)
    assert.isBelow(JSON.stringify(body).length, 64 * 1024)
  })
})

describe("a body", () => {
  const nested = 20_000
  const malformed: Record<string, string | Uint8Array | ReadableStream<Uint8Array>> = {
    empty: "",
    "cut off": '{"serviceId": "x", "source"',
    "no JSON": "serviceId=x",
    "JSON twice": '{"a":1}{"b":2}',
    "invalid UTF-8": new Uint8Array([0x22, 0xff, 0xfe, 0x22]),
    "an overlong encoding": new Uint8Array([0x22, 0xc0, 0xaf, 0x22]),
    "random bytes": new Uint8Array(1000).map((_, index) => (index * 7919) % 256),
  }
  for (const [what, body] of Object.entries(malformed)) {
    it(`that is ${what} is 400`, async () => {
      await assertProblem(await post(body), 400, "malformed-body")
    })
  }

  it("nested very deeply is 400", async () => {
    await assertProblem(await post("[".repeat(nested) + "]".repeat(nested)), 400)
    await assertProblem(
      await post(`{"serviceId":"x","source":"y","env":${"[".repeat(nested)}${"]".repeat(nested)}}`),
      400,
      "invalid-request",
    )
  })

  it("that is too large is 413, declared or chunked", async () => {
    const large = "x".repeat(maxBodyBytes + 1)
    await assertProblem(await post(large), 413, "body-too-large")
    const endless = new ReadableStream<Uint8Array>({
      pull: (controller) => controller.enqueue(new Uint8Array(8192).fill(0x20)),
    })
    await assertProblem(await post(endless), 413, "body-too-large")
  })

  for (const type of [
    "text/plain",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "application/jsonx",
    "application/json; charset=utf-16",
  ]) {
    it(`of type ${type} is 415`, async () => {
      await assertProblem(
        await post(JSON.stringify(spec("x")), { "content-type": type }),
        415,
        "unsupported-media-type",
      )
    })
  }

  it("with a content encoding is 415", async () => {
    await assertProblem(
      await post(JSON.stringify(spec("x")), { "content-encoding": "gzip" }),
      415,
      "unsupported-media-type",
    )
  })
})

describe("a query", () => {
  const queries = [
    ...["0", "-1", "1001", "1.5", "x", "", "NaN", "Infinity", "1e9", "%00", "1&limit=2"].flatMap(
      (value) => [`/v1/services?limit=${value}`, `/v1/events?limit=${value}`],
    ),
    ...["x", "%", "%ff", Buffer.from("other:1").toString("base64url"), "x".repeat(2000)].flatMap(
      (value) => [
        `/v1/services?cursor=${value}`,
        `/v1/events?cursor=${value}`,
        `/v1/services/matrix/logs?cursor=${value}`,
      ],
    ),
    "/v1/services?status=dead",
    "/v1/services?status=running&status=failed",
    "/v1/events?type=nothing",
    "/v1/events?type=service_deployed&type=",
    "/v1/events?sinceId=-1",
    "/v1/events?sinceId=x",
    "/v1/events?serviceId=a%20b",
    "/v1/services/matrix/logs?level=loud",
    "/v1/services/matrix/logs?since=yesterday",
  ]
  for (const path of queries) {
    it(`like ${path.slice(0, 60)} is 400 and names the field`, async () => {
      await gateway.deploy(spec("matrix"))
      const { errors } = await assertProblem(await gateway.call(path), 400, "invalid-request")
      assert.strictEqual(errors?.[0]?.path[0], "query")
    })
  }

  it("force that is neither true nor false kills nothing", async () => {
    await gateway.deploy(spec("matrix"))
    for (const force of ["1", "yes", "TRUE", ""]) {
      const path = `/v1/services/matrix?force=${force}`
      await assertProblem(await gateway.call(path, { method: "DELETE" }), 400, "invalid-request")
    }
    assert.strictEqual((await gateway.call("/v1/services/matrix")).status, 200)
  })
})

describe("a path", () => {
  for (const path of [
    "/",
    "/v1",
    "/v2/services",
    "/V1/services",
    "/v1//services",
    "/v1/services/a/b/c",
    "/services",
    "/services/",
    "/services/acme",
    "/favicon.ico",
    `/${"x".repeat(8000)}`,
  ]) {
    it(`like ${path.slice(0, 40)} is 404`, async () => {
      await assertProblem(await gateway.call(path), 404, "route-not-found")
    })
  }
  for (const path of [
    "/v1/services/%",
    "/v1/services/%zz",
    "/v1/services/%ff%fe",
    "/v1/services/a%00b",
    "/v1/services/a%2Fb",
    "/v1/services/%E0%A4%A",
    "/services/acme/%zz/",
    "/services/acme/x/%zz",
  ]) {
    it(`like ${path} is 400`, async () => {
      await assertProblem(await gateway.call(path), 400, "invalid-request")
    })
  }
})

describe("a method", () => {
  const paths = new Map<string, Set<string>>()
  for (const { path } of allRoutes) {
    if (path.startsWith("/services/")) continue
    // A path may also be one of a route with a parameter, such as /v1/tokens/{tokenHash}.
    const matching = allRoutes.filter(({ template }) =>
      new RegExp(`^${template.replaceAll(/\{\w+\}/g, "[^/]+")}$`).test(path),
    )
    paths.set(path, new Set(matching.map(({ method }) => method)))
  }
  for (const [path, methods] of paths) {
    it(`that ${path} does not have is 405 with Allow`, async () => {
      for (const method of ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"]) {
        if (methods.has(method)) continue
        const response = await gateway.call(path, { method })
        const allowed = (response.headers.get("allow") ?? "").split(", ")
        for (const has of methods) assert.include(allowed, has)
        await assertProblem(response, 405, "method-not-allowed")
      }
    })
  }
})

describe("bytes that are no request", () => {
  const auth = `Host: x\r\nAuthorization: Bearer ${rootToken}\r\nX-Tenant-ID: acme\r\n`
  const json = "Content-Type: application/json\r\n"
  const smuggled = "GET /v1/recovery HTTP/1.1\r\nHost: x\r\n\r\n"
  const refused: Record<string, readonly [string, number]> = {
    garbage: ["\x16\x03\x01\x02\x00garbage\r\n\r\n", 400],
    "an HTTP/2 preface": ["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400],
    "an unknown method": ["BREW / HTTP/1.1\r\nHost: x\r\n\r\n", 400],
    "a blank in the target": ["GET /a b HTTP/1.1\r\nHost: x\r\n\r\n", 400],
    "a null byte in a header": ["GET / HTTP/1.1\r\nHost: x\r\nA: \0\r\n\r\n", 400],
    "a header without a name": ["GET / HTTP/1.1\r\nHost: x\r\n: a\r\n\r\n", 400],
    "a folded header": ["GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n c: d\r\n\r\n", 400],
    "no Host": ["GET /health/live HTTP/1.1\r\nConnection: close\r\n\r\n", 400],
    "two Hosts": [
      "GET /health/live HTTP/1.1\r\nHost: x\r\nhost: x\r\nConnection: close\r\n\r\n",
      400,
    ],
    "two Hosts on the way to a service": [
      `GET /services/acme/a/ HTTP/1.1\r\n${auth}Host: y\r\nConnection: close\r\n\r\n`,
      400,
    ],
    "a tunnel": [`CONNECT example.com:443 HTTP/1.1\r\n${auth}\r\n`, 501],
    "a tunnel through a service": [`CONNECT /services/acme/a/ HTTP/1.1\r\n${auth}\r\n`, 501],
    "a compressed transfer": [
      `POST /v1/services HTTP/1.1\r\n${auth}${json}Connection: close\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n`,
      501,
    ],
    "a compressed transfer to a service": [
      `POST /services/acme/a/ HTTP/1.1\r\n${auth}Connection: close\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n`,
      501,
    ],
    "both lengths": [
      `POST /v1/services HTTP/1.1\r\n${auth}${json}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${smuggled}`,
      400,
    ],
    "both lengths, the other way round": [
      `POST /v1/services HTTP/1.1\r\n${auth}${json}Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n${smuggled}`,
      400,
    ],
    "two lengths": [
      `POST /v1/services HTTP/1.1\r\n${auth}${json}Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello`,
      400,
    ],
    "a negative length": [
      `POST /v1/services HTTP/1.1\r\n${auth}${json}Content-Length: -5\r\n\r\n`,
      400,
    ],
    "a length with a sign": [
      `POST /v1/services HTTP/1.1\r\n${auth}${json}Content-Length: +5\r\n\r\nhello`,
      400,
    ],
    "a length beyond counting": [
      `POST /v1/services HTTP/1.1\r\n${auth}${json}Content-Length: 99999999999999999999999\r\n\r\n`,
      400,
    ],
    "an obfuscated encoding": [
      `POST /v1/services HTTP/1.1\r\n${auth}${json}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n`,
      400,
    ],
    "an encoding after chunked": [
      `POST /v1/services HTTP/1.1\r\n${auth}${json}Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n`,
      400,
    ],
    "huge headers": [`GET / HTTP/1.1\r\nHost: x\r\nA: ${"x".repeat(20_000)}\r\n\r\n`, 431],
    "thousands of headers": [`GET / HTTP/1.1\r\nHost: x\r\n${"a: b\r\n".repeat(5000)}\r\n`, 431],
    "a huge target": [`GET /${"x".repeat(20_000)} HTTP/1.1\r\nHost: x\r\n\r\n`, 431],
    "an unknown expectation": [
      `GET /health/live HTTP/1.1\r\nHost: x\r\nExpect: magic\r\n\r\n`,
      417,
    ],
    "headers that never end": ["GET /health/live HTTP/1.1\r\nHost: x\r\nA: b\r\n", 408],
  }
  for (const [what, [bytes, status]] of Object.entries(refused)) {
    it(`like ${what} are ${status}`, async () => {
      const answer = await gateway.raw(bytes)
      const heads = answer.match(/HTTP\/1\.1 \d{3}/g) ?? []
      assert.deepStrictEqual(heads, [`HTTP/1.1 ${status}`], answer)
      const head = answer.slice(0, answer.indexOf("\r\n\r\n")).toLowerCase()
      assert.include(head, "content-type: application/problem+json")
      assert.include(head, "x-request-id: ")
      const body = JSON.parse(answer.slice(answer.indexOf("{"), answer.lastIndexOf("}") + 1)) as {
        status: number
      }
      assert.strictEqual(body.status, status)
    })
  }

  it("like a tunnel behind a request break no answer that is on its way", async () => {
    const answering = Deferred.makeUnsafe<ServiceResponse>()
    gateway.kernel.control.serve = () => Deferred.await(answering)
    const answered = gateway.raw(
      `GET /services/acme/a/ HTTP/1.1\r\n${auth}\r\nCONNECT a:1 HTTP/1.1\r\n${auth}\r\n`,
    )
    assert.strictEqual(await answered, "")
  })

  it("like a chunk that is none end the connection without a second answer", async () => {
    const answer = await gateway.raw(
      `POST /v1/services HTTP/1.1\r\n${auth}${json}Transfer-Encoding: chunked\r\n\r\nzz\r\n${smuggled}`,
    )
    assert.isAtMost((answer.match(/HTTP\/1\.1 \d{3}/g) ?? []).length, 1)
    assert.notMatch(answer, /HTTP\/1\.1 [25]/)
  })

  it("like a body that never comes are 408, and the connection ends", async () => {
    const answer = await gateway.raw(
      `POST /v1/services HTTP/1.1\r\n${auth}${json}Content-Length: 50\r\n\r\n{"serviceId"`,
    )
    assert.match(answer, /^HTTP\/1\.1 408/)
    assert.include(answer, "urn:solo:problem:request-timeout")
  })

  it("like a connection that says nothing end it", async () => {
    const answer = await gateway.raw("")
    assert.match(answer, /^(?:HTTP\/1\.1 408|$)/)
  })

  it("answers pipelined requests in order, each once", async () => {
    const ask = (id: string, last: boolean) =>
      `GET /v1/services HTTP/1.1\r\n${auth}X-Request-Id: ${id}\r\n${last ? "Connection: close\r\n" : ""}\r\n`
    const answer = await gateway.raw(
      Array.from({ length: 20 }, (_, index) => ask(`p${index}`, index === 19)).join(""),
    )
    const ids = [...answer.matchAll(/x-request-id: (p\d+)/gi)].map((found) => found[1])
    assert.deepStrictEqual(
      ids,
      Array.from({ length: 20 }, (_, index) => `p${index}`),
    )
  })

  it("answers an upgrade like any request", async () => {
    const answer = await gateway.raw(
      "GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n\r\n" +
        "GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    )
    assert.match(answer, /^HTTP\/1\.1 200/)
    assert.match(answer, /^connection: close/im)
  })

  it("answer the request before them first, when they follow a whole one", async () => {
    const answer = await gateway.raw(
      `GET /v1/services HTTP/1.1\r\n${auth}\r\n\x00\x01garbage\r\n\r\n`,
    )
    assert.deepStrictEqual(answer.match(/HTTP\/1\.1 \d{3}/g), ["HTTP/1.1 200"])
  })
})

describe("absurd but legal headers", () => {
  const headers: ReadonlyArray<Record<string, string>> = [
    { accept: ",".repeat(4000) },
    { accept: "text/event-stream;q=0" },
    { "accept-language": "x".repeat(8000) },
    { "x-request-id": "x".repeat(8000) },
    { cookie: "=;".repeat(3000) },
    { range: "bytes=0-18446744073709551615" },
    { "if-none-match": '"'.repeat(1000) },
    { "x-forwarded-for": "1.1.1.1,".repeat(800) },
  ]
  for (const extra of headers) {
    it(`like ${JSON.stringify(extra).slice(0, 50)} change nothing`, async () => {
      const response = await fetch(`${gateway.url}/v1/services`, {
        headers: { ...asTenant, ...extra },
      })
      assert.strictEqual(response.status, 200)
      await response.text()
    })
  }
})
