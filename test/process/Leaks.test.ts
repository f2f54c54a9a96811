/**
 * A whole kernel with recognisable tokens and secrets in it: everything is done with them that the
 * API offers, failures included, and then every answer, every line it printed, every byte it wrote
 * and every process it started is searched for them (promise 8).
 */
import { readdirSync, readFileSync, statSync } from "node:fs"
import { join } from "node:path"

import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"

import {
  call,
  type Call,
  dataDirectory,
  kernel,
  type KernelProcess,
  ready,
} from "./KernelProcess.ts"

const secrets = ["planted-secret-one-4f1c", "planted-secret-two-9a7e", "planted-wrong-place-77b0"]

/** Answers searched so far, and what to search them for. */
interface Trail {
  readonly planted: Set<string>
  readonly answers: Array<string>
}

const filesUnder = (directory: string): ReadonlyArray<string> =>
  readdirSync(directory, { recursive: true, encoding: "utf8" })
    .map((name) => join(directory, name))
    .filter((path) => statSync(path).isFile())

/** The processes that `pid` started, directly or not. */
const descendants = (pid: number): ReadonlyArray<number> => {
  const parents = new Map<number, number>()
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue
    try {
      const stat = readFileSync(`/proc/${name}/stat`, "utf8")
      parents.set(Number(name), Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]))
    } catch {
      // It ended meanwhile.
    }
  }
  const found = [pid]
  for (const one of found) for (const [child, of] of parents) if (of === one) found.push(child)
  return found
}

/** What anybody on the machine may read of a process: its command line; its environment too. */
const listingOf = (pid: number): string =>
  ["cmdline", "environ"]
    .map((file) => {
      try {
        return readFileSync(`/proc/${pid}/${file}`, "latin1")
      } catch {
        return ""
      }
    })
    .join("\n")

const forms = (planted: string): ReadonlyArray<string> => [
  planted,
  Buffer.from(planted).toString("base64").replace(/=+$/, "").slice(0, -1),
  Buffer.from(planted).toString("hex"),
]

const assertClean = (where: string, text: string, planted: Iterable<string>) => {
  for (const one of planted) {
    for (const form of forms(one)) {
      assert.isFalse(text.includes(form), `${where} holds what begins with ${one.slice(0, 12)}`)
    }
  }
}

const makeAsk = (running: KernelProcess, trail: Trail) => {
  const ask = async (method: string, path: string, options: Call = {}) => {
    const answer = await call(running, method, path, { tenant: "acme", ...options })
    trail.answers.push(
      `${method} ${answer.status}\n${[...answer.headers].join("\n")}\n${answer.text}`,
    )
    return answer
  }
  /** The one kind of answer that may hold a token: it is not searched for that one. */
  const make = async (path: string, options: Call): Promise<string> => {
    const { json } = await call(running, "POST", path, { tenant: "acme", ...options })
    trail.planted.add(json.token)
    return json.token
  }
  return { ask, make }
}

const everything = async (running: KernelProcess, trail: Trail) => {
  const { ask, make } = makeAsk(running, trail)
  const full = await make("/v1/tokens", {
    body: { permissions: ["deploy", "kill", "read", "invoke", "grant", "secrets", "metrics"] },
  })
  const child = await make("/v1/tokens/attenuate", { token: full, body: { permissions: ["read"] } })
  const short = await make("/v1/tokens", { body: { permissions: ["read"], ttlSeconds: 1 } })
  const limited = await make("/v1/tokens", {
    body: { permissions: ["read"], rateLimit: { requests: 1, perSeconds: 3600 } },
  })
  const stranger = await make("/v1/tokens", { tenant: "other", body: { permissions: ["secrets"] } })
  const as = (token: string): Call => ({ token, tenant: "acme" })

  for (const [index, value] of secrets.slice(0, 2).entries()) {
    await ask("PUT", `/v1/secrets/key-${index}`, { ...as(full), body: { value } })
  }
  const wrong = secrets[2]!
  for (const body of [
    { value: [wrong] },
    { [wrong]: wrong },
    [wrong],
    `{"value":"${wrong}`,
    { value: wrong.repeat(5000) },
  ]) {
    await ask("PUT", "/v1/secrets/key-2", { ...as(full), body })
  }
  // Elsewhere the names of unknown fields are repeated, since that helps; their values are not.
  for (const body of [{ permissions: [wrong] }, { permissions: wrong, ttlSeconds: wrong }, wrong]) {
    await ask("POST", "/v1/tokens", { ...as(full), body })
    await ask("POST", "/v1/tokens/attenuate", { ...as(full), body })
    await ask("POST", "/v1/services", { ...as(full), body })
  }
  const service = {
    serviceId: "keeper",
    source: `export default { async fetch(request, ctx) {
      const own = await ctx.secrets.get("key-0")
      const why = await ctx.secrets.get("key-1").catch((error) => error.message)
      ctx.log.info(why)
      return Response.json([...request.headers, own.length, why]) } }`,
    secrets: ["key-0"],
  }
  await ask("POST", "/v1/services", { ...as(full), body: service })
  await ask("GET", "/services/acme/keeper/x?y", as(full))
  for (const token of [full, child, short, limited, limited, stranger, `${full}x`, running.token]) {
    for (const path of ["/v1/services", "/v1/secrets", "/v1/tokens", "/v1/events", "/metrics"]) {
      await ask("GET", path, as(token))
    }
    await ask("POST", "/v1/tokens/verify", as(token))
    await ask("DELETE", "/v1/secrets/nothing", as(token))
    await ask("DELETE", `/v1/tokens/${token}`, as(full))
    await ask("PATCH", `/v1/tokens/${token}`, as(full))
    await ask("GET", `/v1/tokens?cursor=${token}`, as(full))
    await ask("GET", `/v1/services?token=${token}`, as(full))
    await ask("GET", "/v1/services", { ...as(full), headers: { "x-tenant-id": `${token} x` } })
  }
  await ask("DELETE", "/v1/secrets/key-1", as(full))
  for (const path of [
    "/v1/verification?full=true",
    "/v1/verification/fix",
    "/v1/recovery/replay",
  ]) {
    await ask("POST", path)
  }
  await ask("POST", "/v1/master-key/rotate")
  const before = running.token
  trail.planted.add(before)
  const next = await make("/v1/root-token/rotate", {})
  await ask("GET", "/v1/runtime", as(before))
  await ask("GET", "/v1/events?limit=1000", { token: next })
  await ask("GET", "/openapi.json", { token: next })
}

describe("tokens and secrets", () => {
  it.live(
    "are in no answer, no output, no file and no process listing",
    () =>
      Effect.gen(function* () {
        const dataDir = yield* dataDirectory
        const running = yield* kernel({
          dataDir,
          env: { SOLO_LOG_LEVEL: "trace" },
        })
        yield* Effect.promise(() => ready(running))
        const trail: Trail = { planted: new Set(secrets), answers: [] }
        yield* Effect.promise(() => everything(running, trail))
        assert.isAtLeast(trail.planted.size, 9)
        assert.isAtLeast(trail.answers.length, 80)

        for (const answer of trail.answers) {
          assertClean(answer, answer, trail.planted)
        }
        const pids = descendants(running.pid)
        for (const pid of pids) assertClean(`process ${pid}`, listingOf(pid), trail.planted)
        // Once while it runs, with the write-ahead log, and once after its end.
        for (const end of [undefined, "SIGTERM"] as const) {
          if (end !== undefined) yield* Effect.promise(() => running.end(end))
          for (const path of filesUnder(dataDir)) {
            if (/\/(?:root-token|master-key)$/.test(path)) continue
            assertClean(path, readFileSync(path, "latin1"), trail.planted)
          }
        }
        const { stderr, stdout } = running.output()
        assert.include(stderr, "request")
        assertClean("standard output", stdout, trail.planted)
        assertClean("standard error", stderr, trail.planted)
      }),
    180_000,
  )
})
