/**
 * The kernel's side of an instance takes whatever frames come: what is out of place ends the
 * instance, never the kernel (promises 4 and 6).
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import type { Program, ServiceRequest } from "solo"

import { firstPieceMs } from "../../../plugins/realm/Call.ts"
import {
  Inbound,
  Outbound,
  decode,
  encode,
  encodeNumber,
  maxBodyBytes,
  maxChunkBytes,
  numberOf,
  windowCost,
} from "../../../plugins/realm/Frame.ts"
import { Session } from "../../../plugins/realm/Session.ts"

const text = (value: unknown) => new TextEncoder().encode(JSON.stringify(value))

const bytes = (...all: ReadonlyArray<number>) => new Uint8Array(all)

/** A batch that puts so many zeros under the key `a`. */
const batchOf = (length: number) => {
  const batch = new Uint8Array(10 + length + 2)
  batch.set([0, 1, 0, 1, 97, 2])
  new DataView(batch.buffer).setUint32(6, length)
  return batch
}
/** The head of an errand to the network. */
const errand = (
  id: number,
  method = "GET",
  headers: ReadonlyArray<unknown> = [],
  length: number | null = null,
) => encode(Outbound.errandHead, id, text([null, method, "http://a/", headers, length]))

const openWith = Effect.fnUntraced(function* (fetch: Program["fetch"]) {
  const sent: Array<Uint8Array> = []
  const broken: Array<string> = []
  const session: Session = yield* Session.make(
    {
      send: (frame) => sent.push(frame),
      broken: (reason) => {
        broken.push(reason)
        session.end(reason)
      },
    },
    {
      log: () => {},
      readSecret: () => Effect.never,
      fetch,
      store: { get: () => Effect.never, list: () => Effect.never, write: () => Effect.never },
    },
  )
  session.receive(encode(Outbound.ready, 0))
  yield* session.ready
  return { session, sent, broken }
})

const open = openWith(() => Effect.never)

const get = { method: "GET", url: "http://a/", headers: [], body: null }

describe("Session", () => {
  const violations: Readonly<Record<string, ReadonlyArray<Uint8Array>>> = {
    "a frame that is too short": [new Uint8Array(3)],
    "a frame that is too long": [new Uint8Array(maxBodyBytes + 6)],
    "a frame of an inbound type": [encode(Inbound.abort, 1)],
    "a frame of no type": [encode(255, 1)],
    "a head that is no JSON": [encode(Outbound.responseHead, 1, new Uint8Array([123]))],
    "a head with status 100": [encode(Outbound.responseHead, 1, text([100, [], false]))],
    "a head with a broken status": [encode(Outbound.responseHead, 1, text([200.5, [], false]))],
    "a head with a split header": [
      encode(Outbound.responseHead, 1, text([200, [["a", "b\r\nc: d"]], false])),
    ],
    "a head with a bad name": [encode(Outbound.responseHead, 1, text([200, [["a b", ""]], false]))],
    "a head with too many headers": [
      encode(
        Outbound.responseHead,
        1,
        text([200, Array.from({ length: 300 }, () => ["a", ""]), false]),
      ),
    ],
    "a head with odd pairs": [encode(Outbound.responseHead, 1, text([200, [{}], false]))],
    "two heads": [
      encode(Outbound.responseHead, 1, text([200, [], true])),
      encode(Outbound.responseHead, 1, text([200, [], true])),
    ],
    "a body without a head": [encode(Outbound.responseChunk, 1, new Uint8Array(1))],
    "an end without a head": [encode(Outbound.responseEnd, 1)],
    "a piece that is too long": [
      encode(Outbound.responseHead, 1, text([200, [], true])),
      encode(Outbound.responseChunk, 1, new Uint8Array(maxChunkBytes + 1)),
    ],
    "more than the window": [
      encode(Outbound.responseHead, 1, text([200, [], true])),
      ...Array.from({ length: 3 }, () =>
        encode(Outbound.responseChunk, 1, new Uint8Array(maxChunkBytes)),
      ),
    ],
    "the name of a secret that is too long": [
      encode(Outbound.secretWanted, 1, new Uint8Array(129).fill(97)),
    ],
    "a secret asked for twice at once": [
      encode(Outbound.secretWanted, 1),
      encode(Outbound.secretWanted, 1),
    ],
    "more secrets asked for at once than may be": Array.from({ length: 65 }, (_, id) =>
      encode(Outbound.secretWanted, id, text("x")),
    ),
    "a question to its store without a body": [encode(Outbound.storeRead, 1)],
    "a key that goes beyond its frame": [encode(Outbound.storeRead, 1, bytes(0, 0, 9, 97))],
    "a frame that goes beyond its question": [encode(Outbound.storeRead, 1, bytes(0, 0, 1, 97, 0))],
    "a key that is no text": [encode(Outbound.storeRead, 1, bytes(0, 0, 1, 0xff))],
    "a batch with a value of no format": [
      encode(Outbound.storeWrite, 1, bytes(0, 1, 0, 1, 97, 3, 0, 0, 0, 0, 0, 0)),
    ],
    "a store asked twice at once": [
      encode(Outbound.storeRead, 1, bytes(0, 0, 1, 97)),
      encode(Outbound.storeRead, 1, bytes(0, 0, 1, 97)),
    ],
    "more questions to its store at once than may be": Array.from({ length: 65 }, (_, id) =>
      encode(Outbound.storeRead, id, bytes(0, 0, 1, 97)),
    ),
    "more bytes for its store at once than may be": Array.from({ length: 5 }, (_, id) =>
      encode(Outbound.storeWrite, id, batchOf(120_000)),
    ),
    "an errand that is no JSON": [encode(Outbound.errandHead, 1, new Uint8Array([123]))],
    "an errand to a number": [encode(Outbound.errandHead, 1, text([7, "GET", "", [], null]))],
    "an errand with a broken method": [errand(1, "GE T")],
    "an errand that tunnels": [errand(1, "Connect")],
    "an errand with a split header": [errand(1, "GET", [["a", "b\r\nc: d"]])],
    "an errand with too many headers": [
      errand(
        1,
        "GET",
        Array.from({ length: 257 }, () => ["a", ""]),
      ),
    ],
    "an errand that gets with a body": [errand(1, "GET", [], 3)],
    "an errand with a broken length": [errand(1, "POST", [], 1.5)],
    "an errand with a negative length": [errand(1, "POST", [], -2)],
    "an errand begun twice": [errand(1), errand(1)],
    "more errands at once than may be": Array.from({ length: 65 }, (_, id) => errand(id)),
    "a piece of an errand without a body": [
      errand(1),
      encode(Outbound.errandChunk, 1, new Uint8Array(1)),
    ],
    "the end of an errand without a body": [errand(1), encode(Outbound.errandEnd, 1)],
    "the break of an errand without a body": [errand(1), encode(Outbound.errandBroken, 1)],
    "a piece of an errand after its end": [
      errand(1, "POST", [], -1),
      encode(Outbound.errandEnd, 1),
      encode(Outbound.errandChunk, 1, new Uint8Array(1)),
    ],
    "more of an errand than the window": [
      errand(1, "POST", [], -1),
      ...Array.from({ length: 3 }, () =>
        encode(Outbound.errandChunk, 1, new Uint8Array(maxChunkBytes)),
      ),
    ],
    "more empty pieces than the window": [
      encode(Outbound.responseHead, 1, text([200, [], true])),
      ...Array.from({ length: 257 }, () => encode(Outbound.responseChunk, 1)),
    ],
  }
  for (const [name, frames] of Object.entries(violations))
    it.effect(`is ended by ${name}`, () =>
      Effect.gen(function* () {
        const { session, broken } = yield* open
        const waiting = yield* Effect.forkChild(Effect.result(session.request(get)), {
          startImmediately: true,
        })
        for (const frame of frames) session.receive(frame)
        assert.deepStrictEqual(broken, ["the instance broke the protocol of its driver"])
        yield* Fiber.await(waiting)
        assert.strictEqual(session.inFlight, 0)
      }).pipe(Effect.scoped),
    )

  it.effect("ignores what comes late, and unknown ids", () =>
    Effect.gen(function* () {
      const { session, broken } = yield* open
      for (const type of [
        Outbound.requestCredit,
        Outbound.responseHead,
        Outbound.responseChunk,
        Outbound.responseEnd,
        Outbound.responseBroken,
        Outbound.stopped,
        Outbound.ready,
        Outbound.errandChunk,
        Outbound.errandEnd,
        Outbound.errandBroken,
        Outbound.errandAbort,
        Outbound.errandCredit,
      ])
        session.receive(encode(type, 77, new Uint8Array(4)))
      assert.deepStrictEqual(broken, [])
    }),
  )

  const outOf = <const T extends ReadonlyArray<string>>(values: T) => Schema.Literals(values)
  const frames = Schema.Array(
    Schema.Struct({
      type: Schema.Int.check(Schema.isBetween({ minimum: 31, maximum: 52 })),
      id: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 3 })),
      body: outOf([
        "",
        "null",
        "[]",
        "[200,[],true]",
        "[204,[],false]",
        '[null,"GET","",[],null]',
        '["a","PUT","",[],-1]',
        "\0\0\0\u0001",
        "[2e999]",
      ]),
    }),
  )
  it.effect.prop("survives arbitrary frames", [frames], ([list]) =>
    Effect.gen(function* () {
      const { session, broken } = yield* open
      const calls = yield* Effect.forEach([1, 2, 3], () =>
        Effect.forkChild(Effect.result(Effect.scoped(session.request(get))), {
          startImmediately: true,
        }),
      )
      for (const { type, id, body } of list)
        session.receive(encode(type, id, new TextEncoder().encode(body)))
      assert.isAtMost(broken.length, 1)
      session.end("over")
      yield* Fiber.awaitAll(calls)
      assert.strictEqual(session.inFlight, 0)
    }),
  )

  it.effect("gives back credit only for what was taken", () =>
    Effect.gen(function* () {
      const { session, sent } = yield* open
      const fiber = yield* Effect.forkChild(session.request(get), { startImmediately: true })
      session.receive(encode(Outbound.responseHead, 1, text([200, [], true])))
      yield* TestClock.adjust(firstPieceMs)
      const response = yield* Fiber.join(fiber)
      session.receive(encode(Outbound.responseChunk, 1, new Uint8Array(maxChunkBytes)))
      session.receive(encode(Outbound.responseChunk, 1, new Uint8Array(maxChunkBytes)))
      const credits = () =>
        sent.flatMap((bytes) => {
          const frame = decode(bytes)!
          return frame.type === Inbound.responseCredit ? [numberOf(frame)] : []
        })
      assert.deepStrictEqual(credits(), [])
      yield* Stream.runDrain(Stream.take(response.body!, 1))
      assert.deepStrictEqual(credits(), [maxChunkBytes])
    }).pipe(Effect.scoped),
  )

  const outcomes = {
    "its first byte": [[encode(Outbound.responseChunk, 1, new Uint8Array(1))], "Success"],
    "its end": [[encode(Outbound.responseEnd, 1)], "Success"],
    "its failure": [[encode(Outbound.responseBroken, 1)], "Failure"],
    "a failure after its first byte": [
      [encode(Outbound.responseChunk, 1, new Uint8Array(1)), encode(Outbound.responseBroken, 1)],
      "Success",
    ],
  } as const
  for (const [what, [frames, outcome]] of Object.entries(outcomes))
    it.effect(`hands on a head with ${what}, without waiting for more`, () =>
      Effect.gen(function* () {
        const { session } = yield* open
        const fiber = yield* Effect.forkChild(session.request(get), { startImmediately: true })
        session.receive(encode(Outbound.responseHead, 1, text([200, [], true])))
        for (let turn = 0; turn < 20; turn++) yield* Effect.yieldNow
        assert.isUndefined(fiber.pollUnsafe())
        for (const frame of frames) session.receive(frame)
        assert.strictEqual((yield* Fiber.await(fiber))._tag, outcome)
      }).pipe(Effect.scoped),
    )

  it.effect("hands on a head whose body does not begin after a bounded time", () =>
    Effect.gen(function* () {
      const { session } = yield* open
      const fiber = yield* Effect.forkChild(session.request(get), { startImmediately: true })
      session.receive(encode(Outbound.responseHead, 1, text([200, [], true])))
      yield* TestClock.adjust(firstPieceMs - 1)
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust(1)
      assert.strictEqual((yield* Fiber.join(fiber)).status, 200)
    }).pipe(Effect.scoped),
  )

  it.effect("sends a request's body only within its credit", () =>
    Effect.gen(function* () {
      const { session, sent } = yield* open
      const body = Stream.forever(Stream.make(new Uint8Array(maxChunkBytes)))
      yield* Effect.forkChild(session.request({ ...get, method: "POST", body }), {
        startImmediately: true,
      })
      const pieces = () =>
        sent.filter((bytes) => decode(bytes)!.type === Inbound.requestChunk).length
      for (let turn = 0; turn < 20; turn++) yield* Effect.yieldNow
      assert.strictEqual(pieces(), windowCost / maxChunkBytes)
      session.receive(encodeNumber(Outbound.requestCredit, 1, 4_000_000_000))
      for (let turn = 0; turn < 20; turn++) yield* Effect.yieldNow
      assert.strictEqual(pieces(), (2 * windowCost) / maxChunkBytes)
    }).pipe(Effect.scoped),
  )

  for (const [what, sent] of [
    ["shorter", 2],
    ["longer", 4],
  ] as const)
    it.effect(`fails the body of an errand that is ${what} than was said`, () =>
      Effect.gen(function* () {
        const carried: Array<string> = []
        const { session, sent: frames } = yield* openWith(({ body }) =>
          Stream.runDrain(body!).pipe(
            Effect.tapError(({ message }) => Effect.sync(() => carried.push(message))),
            Effect.as({ status: 200, headers: [], body: null }),
          ),
        )
        session.receive(errand(1, "POST", [], 3))
        session.receive(encode(Outbound.errandChunk, 1, new Uint8Array(sent)))
        session.receive(encode(Outbound.errandEnd, 1))
        for (let turn = 0; turn < 20; turn++) yield* Effect.yieldNow
        assert.deepStrictEqual(carried, ["the body of the request is not as long as was said"])
        assert.strictEqual(decode(frames.at(-1)!)!.type, Inbound.errandFailed)
      }).pipe(Effect.scoped),
    )

  it.effect("sends the answer to an errand only within its credit, and forgets it at the end", () =>
    Effect.gen(function* () {
      const body = Stream.take(Stream.forever(Stream.make(new Uint8Array(maxChunkBytes))), 3)
      const { session, sent } = yield* openWith(() =>
        Effect.succeed({ status: 200, headers: [], body }),
      )
      const typesOf = () => sent.map((bytes) => decode(bytes)!.type)
      session.receive(errand(1))
      for (let turn = 0; turn < 20; turn++) yield* Effect.yieldNow
      const { errandChunk, errandEnd, errandHead } = Inbound
      assert.deepStrictEqual(typesOf(), [errandHead, errandChunk, errandChunk])
      session.receive(encodeNumber(Outbound.errandCredit, 1, 4_000_000_000))
      for (let turn = 0; turn < 20; turn++) yield* Effect.yieldNow
      assert.deepStrictEqual(typesOf().slice(3), [errandChunk, errandEnd])
      // Its id is free again.
      session.receive(errand(1))
    }).pipe(Effect.scoped),
  )

  it.effect("refuses a request whose head does not fit a frame", () =>
    Effect.gen(function* () {
      const { session } = yield* open
      const headers = Array.from({ length: 257 }, (_, n) => [`x-${n}`, "1"] as const)
      for (const large of [{ url: `http://a/${"x".repeat(200_000)}` }, { headers }]) {
        const error = yield* Effect.flip(session.request({ ...get, ...large }))
        assert.strictEqual(error._tag, "HeadTooLarge")
        assert.match(error.message, /at most 256 headers of 64 KiB, and 128 KiB of URL/)
      }
    }).pipe(Effect.scoped),
  )

  it.effect("hands on as many headers as a message may have, and refuses more", () =>
    Effect.gen(function* () {
      const { sent, session } = yield* open
      const ask = (headers: ServiceRequest["headers"]) =>
        Effect.forkChild(session.request({ ...get, headers }), { startImmediately: true })
      const long = [["x", "x".repeat(65_535)]] as const
      const many = Array.from({ length: 256 }, (_, n) => [`x-${n}`, ""] as const)
      for (const most of [long, many]) {
        yield* ask(most)
        const more = yield* ask([...most, ["y", ""]])
        assert.strictEqual(sent.length, 1)
        assert.strictEqual(decode(sent.pop())!.type, Inbound.requestHead)
        assert.strictEqual((yield* Effect.flip(Fiber.join(more)))._tag, "HeadTooLarge")
      }
    }).pipe(Effect.scoped),
  )
})
