/**
 * The way of a request out of a service (promises 4 and 6): to whom it may go, and that calls in
 * circles, fans and floods end without the kernel or anybody else noticing.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"

import { layerSqlite } from "../../plugins/sqlite/index.ts"
import { type ServiceName, serviceKey } from "../../src/domain/Identifier.ts"
import { ServiceLimits } from "../../src/domain/ServiceSpec.ts"
import { EventStore } from "../../src/kernel/log/EventStore.ts"
import { layerEventStore } from "../../src/kernel/log/EventStoreSql.ts"
import { ServiceNotFound } from "../../src/kernel/services/Deployer.ts"
import { Ingress, type IngressError, RequestTimedOut } from "../../src/kernel/services/Ingress.ts"
import { maxCallDepth } from "../../src/kernel/services/Neighbours.ts"
import {
  callBurst,
  callsPerSecond,
  journeyBurst,
  journeysPerSecond,
  maxErrandsPerTenant,
  Outbound,
  type SendOut,
} from "../../src/kernel/services/Outbound.ts"
import { layerOutbound } from "../../src/kernel/services/OutboundLive.ts"
import {
  HeadTooLarge,
  NotRunning,
  type OutgoingRequest,
  Overloaded,
  type ServiceRequest,
  type ServiceResponse,
  ServiceThrew,
} from "../../src/kernel/services/Runtime.ts"
import { makeDisk } from "./harness/Disk.ts"
import { named, settle } from "./harness/Machine.ts"
import { layerNoNetwork } from "./NoNetwork.ts"
import { layerDigest } from "./Sha256.ts"

type Answer = (
  request: ServiceRequest,
  name: ServiceName,
) => Effect.Effect<ServiceResponse, IngressError, Scope.Scope>

const limits = Schema.decodeSync(ServiceLimits)({})

const ok: ServiceResponse = { status: 200, headers: [], body: null }

/** A kernel's way out whose services answer as `services` says, by their key. */
const withServices = (services: Map<string, Answer>) => {
  const ingress = Layer.succeed(Ingress, {
    request: (name, request) =>
      services.get(serviceKey(name))?.(request, name) ??
      Effect.fail(new ServiceNotFound({ serviceId: name.serviceId })),
  })
  return layerOutbound.pipe(
    Layer.provide(Layer.mergeAll(ingress, layerNoNetwork)),
    Layer.provideMerge(layerEventStore),
    Layer.provideMerge(layerSqlite({ filename: makeDisk().database, busyTimeoutMs: 1 })),
    Layer.provide(layerDigest),
  )
}

const to = (service: string | null, more: Partial<OutgoingRequest> = {}): OutgoingRequest => ({
  to: service,
  method: "GET",
  url: "http://service/",
  headers: [],
  body: null,
  bodyBytes: 0,
  ...more,
})

const sender = (tenant: string, service: string, services: ReadonlyArray<string>) =>
  Effect.map(Outbound, (outbound) =>
    outbound.open({ name: named(tenant, service), spec: { services, network: [], limits } }),
  )

const text = ({ body }: ServiceResponse) =>
  body === null
    ? Effect.succeed("")
    : Effect.map(Stream.runCollect(body), (pieces) => Buffer.concat(pieces).toString())

const test = <E>(
  title: string,
  services: Record<string, Answer>,
  body: (
    services: Map<string, Answer>,
  ) => Effect.Effect<void, E, Outbound | EventStore | Scope.Scope>,
) => {
  const map = new Map(Object.entries(services))
  it.effect(title, () => Effect.scoped(body(map)).pipe(Effect.provide(withServices(map))))
}

const fine: Answer = () => Effect.succeed(ok)

describe("a call to another service", () => {
  test(
    "goes to those that the spec names, of the same tenant, and to no other",
    { "acme/b": fine, "acme/c": fine, "other/d": fine },
    () =>
      Effect.gen(function* () {
        const send = yield* sender("acme", "a", ["b", "d"])
        assert.strictEqual((yield* send(to("b"))).status, 200)
        const refused = yield* Effect.flip(send(to("c")))
        assert.strictEqual(refused.message, "this service's spec does not name c under services")
        assert.strictEqual((yield* send(to("d"))).status, 404)
        for (const odd of ["../other/d", "other/d", "", "\0", "b/", "*"])
          assert.strictEqual(
            (yield* Effect.flip(send(to(odd)))).message,
            "this is no id of a service",
          )
        const all = yield* sender("acme", "a", ["*"])
        assert.strictEqual((yield* all(to("c"))).status, 200)
        assert.strictEqual((yield* all(to("d"))).status, 404)
        const none = yield* sender("acme", "b", [])
        assert.strictEqual((yield* Effect.flip(none(to("b"))))._tag, "FetchFailed")
      }),
  )

  test("that was refused is an event, and many are few", {}, () =>
    Effect.gen(function* () {
      const send = yield* sender("acme", "a", [])
      for (let n = 0; n < 30; n++) yield* Effect.flip(send(to("b")))
      yield* settle
      const events = yield* (yield* EventStore).filter({ types: ["fetch_denied"] })
      assert.strictEqual(events.length, 10)
      assert.deepStrictEqual(events[0]!.payload, {
        destination: "service:b",
        reason: "not in the spec",
        unrecorded: 0,
      })
      assert.strictEqual(events[0]!.serviceId, "a")
    }),
  )

  const failures: Readonly<Record<string, readonly [IngressError, number]>> = {
    b502: [new ServiceThrew({ message: "it threw" }), 502],
    c502: [new NotRunning({ message: "it ended while it answered" }), 502],
    b503: [new NotRunning({ message: "it is restarting", undelivered: true }), 503],
    c503: [new Overloaded({ message: "it is full" }), 503],
    b504: [new RequestTimedOut({ timeoutMs: 7 }), 504],
  }
  test(
    "fails as it would from outside: with a status and a problem",
    Object.fromEntries(
      Object.entries(failures).map(([id, [error]]) => [`acme/${id}`, () => Effect.fail(error)]),
    ),
    () =>
      Effect.gen(function* () {
        const send = yield* sender("acme", "a", ["*"])
        for (const [id, [{ message }, status]] of Object.entries(failures)) {
          const response = yield* send(to(id))
          assert.strictEqual(response.status, status)
          const problem = JSON.parse(yield* text(response as ServiceResponse))
          assert.strictEqual(problem.detail, message)
          assert.strictEqual(
            response.headers.some(([name]) => name === "retry-after"),
            status === 503,
          )
        }
      }),
  )

  test(
    "rejects where its head is more than the other service takes",
    { "acme/b": () => Effect.fail(new HeadTooLarge({ message: "at most 256 headers" })) },
    () =>
      Effect.gen(function* () {
        const send = yield* sender("acme", "a", ["b"])
        const error = yield* Effect.flip(send(to("b")))
        assert.deepInclude(error, { _tag: "FetchFailed", message: "at most 256 headers" })
      }),
  )

  test(
    "carries no header of a connection, either way",
    {
      "acme/b": ({ headers }) =>
        Effect.succeed({
          status: 200,
          headers: [...headers, ["Content-Length", "99"], ["Transfer-Encoding", "chunked"]],
          body: null,
        }),
    },
    () =>
      Effect.gen(function* () {
        const send = yield* sender("acme", "a", ["b"])
        const given = ["Host", "Connection", "X-Gone", "TE", "Content-Length", "Upgrade", "X-Kept"]
        const headers = given.map(
          (name) => [name, name === "Connection" ? "close x-gone" : "v"] as const,
        )
        const response = yield* send(to("b", { headers }))
        assert.deepStrictEqual(response.headers, [
          ["x-kept", "v"],
          // What the other side says of its own body.
          ["content-length", "99"],
        ])
      }),
  )
})

/** A service that calls `targets`, all at once, for every request, and fails where they do. */
const calling =
  (send: () => SendOut, targets: ReadonlyArray<string>): Answer =>
  () =>
    Effect.gen(function* () {
      const told = yield* Effect.forEach(
        targets,
        (target) => Effect.result(Effect.scoped(send()(to(target)))),
        { concurrency: "unbounded" },
      )
      const worst = told.map((one) => (Result.isSuccess(one) ? one.success.status : 599))
      return { ...ok, status: Math.max(...worst) }
    })

/** Pieces that weigh nothing and count for much. */
const mebibyte = new Uint8Array(1024 * 1024)
const pieces = (count: number) => Stream.take(Stream.forever(Stream.succeed(mebibyte)), count)

describe("bodies", () => {
  test(
    "are bounded, both ways",
    {
      "acme/b": ({ body }) =>
        Effect.as(Effect.orDie(Stream.runDrain(body ?? Stream.empty)), {
          ...ok,
          body: body === null ? pieces(1025) : null,
        }),
    },
    () =>
      Effect.gen(function* () {
        const send = yield* sender("acme", "a", ["b"])
        const { body } = yield* send(to("b"))
        yield* Stream.runDrain(Stream.take(body!, 1024))
        const response = yield* send(to("b"))
        const error = yield* Effect.flip(Stream.runDrain(response.body!))
        assert.strictEqual(error.message, "the response is larger than 1 GiB")
        const post = (count: number) =>
          Effect.exit(send(to("b", { method: "POST", body: pieces(count), bodyBytes: undefined })))
        assert.isTrue(Exit.isSuccess(yield* post(1024)))
        assert.match(String(yield* post(1025)), /the request is larger than 1 GiB/)
      }),
  )
})

describe("calls in circles", () => {
  for (const [what, edges] of [
    ["to itself", { a: ["a"] }],
    ["there and back", { a: ["b"], b: ["a"] }],
    ["through four", { a: ["b"], b: ["c"], c: ["d"], d: ["a"] }],
  ] as const)
    test(`${what} end with 508, and leave nothing behind`, {}, (services) =>
      Effect.gen(function* () {
        let calls = 0
        for (const [id, targets] of Object.entries(
          edges as Record<string, ReadonlyArray<string>>,
        )) {
          const send = yield* sender("acme", id, ["*"])
          const answer = calling(() => send, targets)
          services.set(`acme/${id}`, (request, name) => {
            calls++
            return answer(request, name)
          })
        }
        const send = yield* sender("acme", "a", ["*"])
        for (let round = 0; round < 3; round++) {
          calls = 0
          assert.strictEqual((yield* Effect.scoped(send(to("a")))).status, 508)
          assert.strictEqual(calls, maxCallDepth)
        }
      }),
    )

  test("with a fan are bounded, and another tenant goes on", { "other/b": fine }, (services) =>
    Effect.gen(function* () {
      let underWay = 0
      let most = 0
      const send = yield* sender("acme", "a", ["*"])
      const answer = calling(() => send, ["a", "a", "a"])
      services.set("acme/a", (request, name) =>
        Effect.acquireUseRelease(
          Effect.sync(() => void (most = Math.max(most, ++underWay))),
          () => answer(request, name),
          () => Effect.sync(() => void underWay--),
        ),
      )
      const bomb = yield* Effect.forkChild(Effect.scoped(send(to("a"))))
      yield* settle
      const neighbour = yield* sender("other", "a", ["b"])
      assert.strictEqual((yield* neighbour(to("b"))).status, 200)
      for (let n = 0; n < 200; n++) {
        yield* TestClock.adjust("1 second")
        yield* settle
      }
      assert.isAtLeast((yield* Fiber.join(bomb)).status, 508)
      assert.isAtMost(most, maxErrandsPerTenant)
      assert.strictEqual(underWay, 0)
    }),
  )
})

describe("too many requests", () => {
  const hang: Answer = () => Effect.never

  test(
    "of a tenant are refused, and another one's are not",
    { "acme/b": hang, "other/b": fine },
    () =>
      Effect.gen(function* () {
        const send = yield* sender("acme", "a", ["b"])
        const fibers = yield* Effect.forEach(Array.from({ length: maxErrandsPerTenant }), () =>
          Effect.forkChild(Effect.scoped(send(to("b"))), { startImmediately: true }),
        )
        const refused = yield* Effect.flip(send(to("b")))
        assert.match(refused.message, /as many requests under way as they may now/)
        const other = yield* sender("other", "a", ["b"])
        assert.strictEqual((yield* other(to("b"))).status, 200)
        yield* Fiber.interruptAll(fibers)
        const again = yield* Effect.forkChild(Effect.scoped(send(to("b"))), {
          startImmediately: true,
        })
        assert.isUndefined(again.pollUnsafe())
        yield* Fiber.interrupt(again)
      }),
  )

  test(
    "of a few tenants leave room for others",
    {
      ...Object.fromEntries([1, 2, 3, 4, 5].map((n) => [`t${n}/b`, hang])),
      "last/b": fine,
    },
    () =>
      Effect.gen(function* () {
        const taken: Array<number> = []
        for (const n of [1, 2, 3, 4, 5]) {
          const send = yield* sender(`t${n}`, "a", ["b"])
          const fibers = yield* Effect.forEach(
            Array.from({ length: maxErrandsPerTenant + 1 }),
            () => Effect.forkChild(Effect.scoped(send(to("b"))), { startImmediately: true }),
          )
          taken.push(fibers.filter((fiber) => fiber.pollUnsafe() === undefined).length)
        }
        assert.deepStrictEqual(taken, [512, 512, 512, 256, 128])
        const last = yield* sender("last", "a", ["b"])
        assert.strictEqual((yield* last(to("b"))).status, 200)
      }),
  )

  test("in a row wait for their turn", { "acme/b": fine }, () =>
    Effect.gen(function* () {
      const send = yield* sender("acme", "a", ["b"])
      for (let n = 0; n < callBurst; n++) yield* Effect.scoped(send(to("b")))
      const next = yield* Effect.forkChild(Effect.scoped(send(to("b"))), { startImmediately: true })
      yield* settle
      assert.isUndefined(next.pollUnsafe())
      yield* TestClock.adjust(Math.ceil(1000 / callsPerSecond))
      assert.strictEqual((yield* Fiber.join(next)).status, 200)
    }),
  )

  test("of a tenant to the network wait for their turn, whichever service sends", {}, () =>
    Effect.gen(function* () {
      const [a, b] = [yield* sender("acme", "a", []), yield* sender("acme", "b", [])]
      for (let n = 0; n < journeyBurst; n++) yield* Effect.flip(Effect.scoped(a(to(null))))
      const next = yield* Effect.forkChild(Effect.flip(Effect.scoped(b(to(null)))), {
        startImmediately: true,
      })
      yield* settle
      assert.isUndefined(next.pollUnsafe())
      const other = yield* sender("other", "a", [])
      assert.match((yield* Effect.flip(other(to(null)))).message, /does not name service:80/)
      yield* TestClock.adjust(Math.ceil(1000 / journeysPerSecond))
      assert.match((yield* Fiber.join(next)).message, /does not name service:80/)
    }),
  )
})
