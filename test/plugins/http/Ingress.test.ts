/**
 * The way into services: what passes, what does not, and what each failure looks like.
 */
import * as http from "node:http"

import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import {
  HeadTooLarge,
  NotRunning,
  Overloaded,
  RequestTimedOut,
  ServiceNotFound,
  type ServiceRequest,
  ServiceThrew,
} from "solo"
import { afterAll, assert, beforeAll, describe, it } from "vitest"

import { rootToken } from "./FakeKernel.ts"
import { asRoot, type RunningGateway, startGateway } from "./Harness.ts"
import { assertProblem } from "./Problems.ts"

const limit = 64 * 1024

let gateway: RunningGateway
beforeAll(async () => {
  gateway = await startGateway({ maxIngressBodyBytes: limit })
})
afterAll(() => gateway.stop())

const bytes = (text: string) => new TextEncoder().encode(text)

/** Makes the service answer with what it was asked, its body sent back as it comes. */
const echo = (): Array<ServiceRequest> => {
  const seen: Array<ServiceRequest> = []
  gateway.kernel.control.serve = (_name, request) =>
    Effect.sync(() => {
      seen.push(request)
      return {
        status: 200,
        headers: [["content-type", "text/plain"]],
        body:
          request.body === null
            ? null
            : Stream.mapError(
                request.body as Stream.Stream<Uint8Array, unknown>,
                () => new ServiceThrew({ message: "body" }),
              ),
      }
    })
  return seen
}

describe("a request on its way in", () => {
  it("keeps method, path, query and body, and loses credentials and hop-by-hop headers", async () => {
    const seen = echo()
    const response = await new Promise<http.IncomingMessage>((resolve) => {
      const request = http.request(
        `${gateway.url}/services/acme/greeter/a%2Fb//c;d?x=1&y=%20`,
        {
          method: "PROPFIND",
          headers: {
            ...asRoot,
            "x-tenant-id": "other",
            connection: "keep-alive, x-private",
            "x-private": "1",
            "keep-alive": "timeout=5",
            "proxy-authorization": "Basic abc",
            te: "trailers",
            "x-custom": "yes",
            cookie: "a=1",
            "content-length": "5",
          },
        },
        resolve,
      )
      request.end("hello")
    })
    let text = ""
    for await (const chunk of response) text += String(chunk)
    assert.strictEqual(text, "hello")
    const [request] = seen
    assert.strictEqual(request!.method, "PROPFIND")
    assert.strictEqual(request!.url, `${gateway.url}/a%2Fb//c;d?x=1&y=%20`)
    const headers = Object.fromEntries(request!.headers)
    assert.strictEqual(headers["x-request-id"], response.headers["x-request-id"])
    assert.deepStrictEqual(Object.keys(headers).sort(), [
      "content-length",
      "cookie",
      "host",
      "x-custom",
      "x-request-id",
    ])
    assert.notInclude(JSON.stringify(request!.headers), rootToken)
  })

  const paths = {
    "/services/acme/greeter": "/",
    "/services/acme/greeter/": "/",
    "/services/acme/greeter?a=b": "/?a=b",
    "/services/acme/greeter/../../x": "/../../x",
    "/services/acme/greeter//evil.example/": "//evil.example/",
  }
  for (const [path, expected] of Object.entries(paths)) {
    it(`sees ${expected} for ${path}`, async () => {
      const seen = echo()
      const { host } = new URL(gateway.url)
      const answer = await gateway.raw(
        `GET ${path} HTTP/1.1\r\nHost: ${host}\r\nAuthorization: Bearer ${rootToken}\r\nConnection: close\r\n\r\n`,
      )
      assert.match(answer, /^HTTP\/1\.1 200/)
      assert.strictEqual(seen[0]!.url, `http://${host}${expected}`)
      assert.strictEqual(new URL(seen[0]!.url).host, host)
    })
  }

  it("names no host of another request where its own is absent or wrong (promise 6)", async () => {
    const seen = echo()
    const theirs = "Host: theirs.example"
    for (const line of [theirs, "X-No-Host: 1", theirs, "Host: a/b", "Host: a:b"]) {
      await gateway.raw(
        `GET /services/acme/greeter/ HTTP/1.0\r\n${line}\r\nAuthorization: Bearer ${rootToken}\r\n\r\n`,
      )
    }
    const hosts = seen.map(({ url }) => new URL(url).host)
    const none = "localhost"
    assert.deepStrictEqual(hosts, ["theirs.example", none, "theirs.example", none, none])
  })

  it("streams both ways", async () => {
    echo()
    let controller!: ReadableStreamDefaultController<Uint8Array>
    const body = new ReadableStream<Uint8Array>({ start: (made) => void (controller = made) })
    controller.enqueue(bytes("first"))
    const response = await gateway.call("/services/acme/greeter/", {
      method: "POST",
      body,
      duplex: "half",
    } as RequestInit)
    const reader = response.body!.getReader()
    assert.strictEqual(Buffer.from((await reader.read()).value!).toString(), "first")
    controller.enqueue(bytes("second"))
    assert.strictEqual(Buffer.from((await reader.read()).value!).toString(), "second")
    controller.close()
    assert.isTrue((await reader.read()).done)
  })

  it("is refused when its declared length is too large", async () => {
    echo()
    await assertProblem(
      await gateway.call("/services/acme/greeter/", {
        method: "POST",
        body: new Uint8Array(limit + 1),
      }),
      413,
      "body-too-large",
    )
  })

  it("is refused when it turns out too large on the way", async () => {
    gateway.kernel.control.serve = (_name, { body }) =>
      Stream.runDrain(body!).pipe(
        Effect.mapError(() => new ServiceThrew({ message: "its body broke off" })),
        Effect.as({ status: 200, headers: [], body: null }),
      )
    const chunks = Array.from({ length: 10 }, () => new Uint8Array(limit / 8))
    await assertProblem(
      await gateway.call("/services/acme/greeter/", {
        method: "POST",
        body: ReadableStream.from(chunks),
        duplex: "half",
      } as RequestInit),
      413,
      "body-too-large",
    )
  })

  it("is aborted in the service when the client leaves", async () => {
    const started = Deferred.makeUnsafe<void>()
    const aborted = Deferred.makeUnsafe<void>()
    gateway.kernel.control.serve = () =>
      Deferred.succeed(started, undefined).pipe(
        Effect.andThen(Effect.never),
        Effect.onInterrupt(() => Deferred.succeed(aborted, undefined)),
      )
    const leaving = new AbortController()
    const left = gateway.call("/services/acme/greeter/", { signal: leaving.signal }).then(
      () => "answered",
      () => "left",
    )
    await Effect.runPromise(Deferred.await(started))
    leaving.abort()
    await Effect.runPromise(Deferred.await(aborted))
    assert.strictEqual(await left, "left")
  })

  it("closes the request's scope when the client leaves while the response streams", async () => {
    const released = Deferred.makeUnsafe<void>()
    gateway.kernel.control.serve = () =>
      Effect.as(
        Effect.addFinalizer(() => Deferred.succeed(released, undefined)),
        { status: 200, headers: [], body: Stream.concat(Stream.make(bytes("x")), Stream.never) },
      )
    const leaving = new AbortController()
    const response = await gateway.call("/services/acme/greeter/", { signal: leaving.signal })
    assert.strictEqual(response.status, 200)
    leaving.abort()
    await Effect.runPromise(Deferred.await(released))
  })
})

describe("a response on its way out", () => {
  const serve = (
    status: number,
    headers: ReadonlyArray<readonly [string, string]>,
    body: string | null = null,
  ) => {
    gateway.kernel.control.serve = () =>
      Effect.succeed({ status, headers, body: body === null ? null : Stream.make(bytes(body)) })
  }

  it("keeps status, headers and every cookie, and loses hop-by-hop headers", async () => {
    serve(
      418,
      [
        ["X-Own", "1"],
        ["set-cookie", "a=1; Path=/"],
        ["Set-Cookie", "b=2"],
        ["connection", "close, X-Private"],
        ["x-private", "1"],
        ["transfer-encoding", "gzip, chunked"],
        ["keep-alive", "timeout=9"],
        ["upgrade", "h2c"],
        ["trailer", "x-late"],
        ["te", "trailers"],
        ["proxy-authenticate", "Basic"],
        ["proxy-connection", "close"],
        ["x-request-id", "forged"],
      ],
      "teapot",
    )
    const response = await gateway.call("/services/acme/greeter/")
    assert.strictEqual(response.status, 418)
    assert.strictEqual(await response.text(), "teapot")
    assert.strictEqual(response.headers.get("x-own"), "1")
    for (const name of ["x-private", "upgrade", "trailer", "te", "proxy-authenticate"]) {
      assert.isNull(response.headers.get(name), name)
    }
    assert.deepStrictEqual(response.headers.getSetCookie(), ["a=1; Path=/", "b=2"])
    assert.isNull(response.headers.get("content-type"))
    assert.notStrictEqual(response.headers.get("x-request-id"), "forged")
  })

  it("sends the head of a body that does not begin", async () => {
    gateway.kernel.control.serve = () =>
      Effect.succeed({
        status: 200,
        headers: [["content-type", "text/event-stream"]],
        body: Stream.never,
      })
    const leaving = new AbortController()
    const response = await gateway.call("/services/acme/greeter/", { signal: leaving.signal })
    assert.strictEqual(response.headers.get("content-type"), "text/event-stream")
    leaving.abort()
  })

  // A second request on the same connection is answered only if the first was delimited rightly.
  const twice = async (method: string): Promise<ReadonlyArray<string>> => {
    const { host } = new URL(gateway.url)
    const head = (method: string, path: string, connection: string) =>
      `${method} ${path} HTTP/1.1\r\nHost: ${host}\r\nAuthorization: Bearer ${rootToken}\r\nConnection: ${connection}\r\n\r\n`
    const answers = await gateway.raw(
      head(method, "/services/acme/greeter/", "keep-alive") + head("GET", "/health/live", "close"),
    )
    assert.match(answers, /HTTP\/1\.1 200 [^]*\{"status":"live"\}$/)
    return answers.slice(0, answers.indexOf("\r\n\r\n")).toLowerCase().split("\r\n")
  }

  const lengths = [
    // A body is delimited by the gateway, whatever length the service claims.
    ["GET", 200, "6", "teapot", ["transfer-encoding: chunked"]],
    ["GET", 200, "2", "teapot", ["transfer-encoding: chunked"]],
    ["GET", 200, "99", "teapot", ["transfer-encoding: chunked"]],
    ["GET", 200, "6, 7", "teapot", ["transfer-encoding: chunked"]],
    ["GET", 200, "6", null, ["content-length: 0"]],
    ["GET", 206, "6", "teapot", ["transfer-encoding: chunked"]],
    // Without one, the length tells of the body that is not sent.
    ["HEAD", 200, "6", null, ["content-length: 6"]],
    ["HEAD", 200, "6", "teapot", ["content-length: 6"]],
    ["HEAD", 200, "six", null, []],
    ["HEAD", 200, "-6", null, []],
    ["GET", 304, "6", null, ["content-length: 6"]],
    ["GET", 304, "6", "teapot", ["content-length: 6"]],
    // These never have a body, nor a length.
    ["GET", 204, "6", null, []],
    ["GET", 204, "6", "teapot", []],
    ["HEAD", 204, "6", null, []],
  ] as const
  for (const [method, status, length, body, expected] of lengths) {
    it(`to ${method} with status ${status}, length ${length} and ${body ?? "no"} body is whole`, async () => {
      serve(status, [["content-length", length]], body)
      const lines = await twice(method)
      assert.match(lines[0]!, new RegExp(`^http/1.1 ${status} `))
      assert.deepStrictEqual(
        lines.filter((line) => /^(?:content-length|transfer-encoding):/.test(line)),
        [...expected],
      )
    })
  }

  it("answers HEAD without a body", async () => {
    serve(200, [["content-length", "6"]], "teapot")
    const response = await gateway.call("/services/acme/greeter/", { method: "HEAD" })
    assert.strictEqual(response.status, 200)
    assert.strictEqual(response.headers.get("content-length"), "6")
    assert.strictEqual(await response.text(), "")
  })

  it("is whole although the service claimed another length", async () => {
    serve(200, [["content-length", "2"]], "teapot")
    assert.strictEqual(await (await gateway.call("/services/acme/greeter/")).text(), "teapot")
  })

  const broken: Record<string, () => void> = {
    "a header with a line break": () => serve(200, [["x", "a\r\nset-cookie: b=1"]]),
    "a header name that is none": () => serve(200, [["x y", "1"]]),
    "a header name without end": () => serve(200, [["x".repeat(257), "1"]]),
    "a header with a control character": () => serve(200, [["x", "a\u0001"]]),
    "a header beyond Latin-1": () => serve(200, [["x", "\u0100"]]),
    "a status below 200": () => serve(101, []),
    "a status above 599": () => serve(999, []),
    "a status that is no number": () => serve(Number.NaN, []),
  }
  for (const [what, make] of Object.entries(broken)) {
    it(`becomes 502 for ${what}`, async () => {
      make()
      await assertProblem(await gateway.call("/services/acme/greeter/"), 502, "service-failed")
    })
  }

  it("is cut off, not completed, when its body breaks", async () => {
    const body = Stream.concat(
      Stream.make(bytes("part")),
      Stream.fail(new ServiceThrew({ message: "broke off" })),
    )
    gateway.kernel.control.serve = () => Effect.succeed({ status: 200, headers: [], body })
    const text = await gateway
      .call("/services/acme/greeter/")
      .then(
        (response) => response.text(),
        () => "cut off",
      )
      .catch(() => "cut off")
    assert.strictEqual(text, "cut off")
    serve(200, [], "fine")
    assert.strictEqual(await (await gateway.call("/services/acme/greeter/")).text(), "fine")
  })
})

describe("a failure", () => {
  const failures = [
    [404, "service-not-found", new ServiceNotFound({ serviceId: "greeter" })],
    [431, "headers-too-large", new HeadTooLarge({ message: "at most 256 headers" })],
    [502, "service-failed", new ServiceThrew({ message: "boom" })],
    [502, "service-failed", new NotRunning({ message: "it ended while it answered" })],
    [503, "service-not-running", new NotRunning({ message: "it restarts", undelivered: true })],
    [503, "service-overloaded", new Overloaded({ message: "64 requests are open" })],
    [504, "service-timed-out", new RequestTimedOut({ timeoutMs: 10 })],
  ] as const
  for (const [status, name, error] of failures) {
    it(`is ${status} ${name} where ${error.message}`, async () => {
      gateway.kernel.control.serve = () => Effect.fail(error)
      const response = await gateway.call("/services/acme/greeter/")
      assert.match(response.headers.get("retry-after") ?? "", status === 503 ? /^\d+$/ : /^$/)
      await assertProblem(response, status, name)
    })
  }

  it("is 400 for names that cannot be, and 405 for TRACE", async () => {
    for (const path of [
      "/services/a%20b/x/",
      "/services/a/b;c/",
      `/services/a/${"x".repeat(129)}/`,
    ]) {
      const response = await gateway.call(path)
      assert.include([400, 404], response.status, path)
      await assertProblem(response, response.status)
    }
    const { host } = new URL(gateway.url)
    assert.match(
      await gateway.raw(
        `TRACE /services/a/b/ HTTP/1.1\r\nHost: ${host}\r\nAuthorization: Bearer ${rootToken}\r\nConnection: close\r\n\r\n`,
      ),
      /^HTTP\/1\.1 405/,
    )
  })
})
