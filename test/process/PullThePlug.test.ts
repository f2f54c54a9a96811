/**
 * The first thing a new user does, with the real process: deploy, call, pull the plug, start again.
 */
import { existsSync, readFileSync } from "node:fs"
import { join } from "node:path"

import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"

import {
  allEvents,
  call,
  dataDirectory,
  kernel,
  type KernelProcess,
  ready,
  runKernel,
} from "./KernelProcess.ts"

const example = (name: string) =>
  readFileSync(new URL(`../../docs/examples/${name}.ts`, import.meta.url), "utf8")

const hello = (text: string) => `
  export default { fetch: (request: Request): Response => new Response(${JSON.stringify(text)}) }`

const deploy = (
  running: KernelProcess,
  tenant: string,
  serviceId: string,
  source: string,
  more = {},
) => call(running, "POST", "/v1/services", { tenant, body: { serviceId, source, ...more } })

const typesOf = (events: ReadonlyArray<Record<string, unknown>>) =>
  events.map((event) => event["type"])

const readAfter = (running: KernelProcess) => Effect.promise(() => ready(running))

describe("pull the plug", () => {
  it.live(
    "5.1 deploy, call, kill -9, start: the service answers as before (promises 1, 2, 3)",
    () =>
      Effect.gen(function* () {
        const dataDir = yield* dataDirectory
        const first = yield* kernel({ dataDir })
        yield* readAfter(first)
        yield* Effect.promise(async () => {
          const created = await deploy(first, "acme", "links", example("link-shortener"))
          assert.strictEqual(created.status, 201, created.text)
          assert.strictEqual(created.json.status, "running")
          assert.strictEqual(created.json.revision, 1)
          const again = await deploy(first, "acme", "links", example("link-shortener"))
          assert.strictEqual(again.status, 200, again.text)
          const kept = await call(first, "POST", "/services/acme/links/links", {
            body: { url: "https://example.com/", slug: "kept" },
          })
          assert.strictEqual(kept.status, 201, kept.text)
          const other = await deploy(first, "acme", "links", hello("other"))
          assert.strictEqual(other.status, 409, other.text)
          await deploy(first, "acme", "doomed", hello("doomed"))
          await deploy(first, "other", "links", hello("of another tenant"))
          assert.strictEqual(
            (await call(first, "DELETE", "/v1/services/doomed", { tenant: "acme" })).status,
            200,
          )
          // Deployed, killed, deployed again: only the last fact counts.
          await deploy(first, "acme", "phoenix", hello("first life"))
          await call(first, "DELETE", "/v1/services/phoenix", { tenant: "acme" })
          await deploy(first, "acme", "phoenix", hello("second life"))
          await first.end("SIGKILL")
        })
        const second = yield* kernel({ dataDir })
        yield* readAfter(second)
        yield* Effect.promise(async () => {
          const kept = await call(second, "GET", "/services/acme/links/links/kept")
          assert.strictEqual(kept.json.url, "https://example.com/")
          assert.strictEqual(
            (await call(second, "GET", "/services/other/links/")).text,
            "of another tenant",
          )
          assert.strictEqual(
            (await call(second, "GET", "/services/acme/phoenix/")).text,
            "second life",
          )
          assert.strictEqual((await call(second, "GET", "/services/acme/doomed/")).status, 404)
          const listed = await call(second, "GET", "/v1/services", { tenant: "acme" })
          assert.deepStrictEqual(
            listed.json.items.map(
              (item: { serviceId: string; revision: number; status: string }) => [
                item.serviceId,
                item.revision,
                item.status,
              ],
            ),
            [
              ["links", 1, "running"],
              ["phoenix", 2, "running"],
            ],
          )
          const events = await allEvents(second)
          assert.strictEqual(
            typesOf(events).filter((type) => type === "service_deployed").length,
            5,
          )
          assert.deepStrictEqual(
            events.map((event) => event["id"]),
            events.map((_, index) => index + 1),
          )
          const started = events.filter((event) => event["type"] === "system_started")
          assert.deepStrictEqual(
            started.map((event) => (event["payload"] as { previousEnd: string }).previousEnd),
            ["none", "unclean"],
          )
          const recovery = await call(second, "GET", "/v1/recovery")
          assert.strictEqual(recovery.json.recovered, 3)
          assert.strictEqual(recovery.json.failed, 0)
        })
      }),
    180_000,
  )

  it.live(
    "3.7 SIGTERM: exit code 0, system_shutdown_complete last, nothing lost (promises 1, 9)",
    () =>
      Effect.gen(function* () {
        const dataDir = yield* dataDirectory
        const first = yield* kernel({ dataDir })
        yield* readAfter(first)
        const acknowledged = yield* Effect.promise(async () => {
          const done: Array<string> = []
          const deploying = Array.from({ length: 4 }, async (_, worker) => {
            for (let n = 0; n < 50; n++) {
              const id = `service-${worker}-${n}`
              try {
                const answer = await deploy(first, "acme", id, hello(id))
                if (answer.status === 201) done.push(id)
                else return
              } catch {
                return
              }
            }
          })
          while (done.length < 12) await new Promise((resolve) => setTimeout(resolve, 5))
          const end = await first.end("SIGTERM")
          assert.deepStrictEqual(end, { code: 0, signal: null }, first.output().stderr)
          await Promise.all(deploying)
          return done
        })
        assert.isFalse(existsSync(join(dataDir, "kernel.json")))
        const second = yield* kernel({ dataDir })
        yield* readAfter(second)
        yield* Effect.promise(async () => {
          const events = await allEvents(second)
          const types = typesOf(events)
          const restart = types.lastIndexOf("system_started")
          assert.strictEqual(types[restart - 1], "system_shutdown_complete")
          assert.strictEqual(types.filter((type) => type === "system_shutdown_complete").length, 1)
          assert.strictEqual(
            (events[restart]!["payload"] as { previousEnd: string }).previousEnd,
            "clean",
          )
          for (const id of acknowledged) {
            assert.strictEqual((await call(second, "GET", `/services/acme/${id}/`)).text, id)
          }
        })
      }),
    180_000,
  )

  it.live(
    "a second kernel on the same data directory is refused and told who holds it (promise 7)",
    () =>
      Effect.gen(function* () {
        const dataDir = yield* dataDirectory
        const first = yield* kernel({ dataDir })
        const second = yield* Effect.promise(() => runKernel({ dataDir }))
        assert.strictEqual(second.code, 73)
        assert.include(second.stderr, String(first.pid))
      }),
    30_000,
  )

  it.live(
    "bad configuration ends the start with 78 and one line per mistake",
    () =>
      Effect.gen(function* () {
        const dataDir = yield* dataDirectory
        const end = yield* Effect.promise(() =>
          runKernel({ dataDir, env: { SOLO_PORT: "eighty", SOLO_PROT: "1" } }),
        )
        assert.strictEqual(end.code, 78)
        assert.match(end.stderr, /SOLO_PORT/)
        assert.match(end.stderr, /SOLO_PROT/)
        assert.isFalse(existsSync(dataDir))
      }),
    30_000,
  )

  it.live(
    "a running kernel says where it is, and never its token",
    () =>
      Effect.gen(function* () {
        const dataDir = yield* dataDirectory
        const running = yield* kernel({ dataDir })
        const file = JSON.parse(readFileSync(join(dataDir, "kernel.json"), "utf8"))
        assert.strictEqual(file.pid, running.pid)
        assert.strictEqual(file.url, running.url)
        yield* Effect.promise(() => running.end("SIGINT"))
        const { stdout, stderr } = running.output()
        assert.strictEqual(stdout, `solo listening on ${running.url}\n`)
        assert.notInclude(stdout + stderr, running.token)
      }),
    30_000,
  )
})
