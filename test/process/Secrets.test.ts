/**
 * A service reads its secrets in a real kernel, also after the plug was pulled; nobody else's
 * service does (promises 1, 2 and 6).
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"

import { call, dataDirectory, kernel, type KernelProcess, ready } from "./KernelProcess.ts"

const value = "kept-through-everything-😀"

const source = `export default { async fetch(request, ctx) {
  try { return new Response(String((await ctx.secrets.get("x")).length)) }
  catch (error) { return new Response(error.message, { status: 403 }) } } }`

const deploy = async (
  running: KernelProcess,
  tenant: string,
  serviceId: string,
  secrets: ReadonlyArray<string>,
) => {
  const { status, text } = await call(running, "POST", "/v1/services", {
    tenant,
    body: { serviceId, source, secrets },
  })
  assert.strictEqual(status, 201, text)
}

const asked = async (running: KernelProcess, path: string) => {
  const { status, text } = await call(running, "GET", `/services/${path}/`)
  return { status, text }
}

const check = async (running: KernelProcess) => {
  const named = { status: 200, text: String(value.length) }
  assert.deepStrictEqual(await asked(running, "acme/named"), named)
  assert.deepStrictEqual(await asked(running, "acme/unnamed"), {
    status: 403,
    text: "this service's spec does not name the secret x",
  })
  assert.deepStrictEqual(await asked(running, "other/named"), {
    status: 403,
    text: "there is no secret x",
  })
}

describe("ctx.secrets", () => {
  it.live("gives a service what its spec names, through kill -9", () =>
    Effect.gen(function* () {
      const dataDir = yield* dataDirectory
      const first = yield* kernel({ dataDir })
      yield* Effect.promise(async () => {
        await ready(first)
        const stored = await call(first, "PUT", "/v1/secrets/x", {
          tenant: "acme",
          body: { value },
        })
        assert.isBelow(stored.status, 300, stored.text)
        await deploy(first, "acme", "named", ["x"])
        await deploy(first, "acme", "unnamed", ["y"])
        await deploy(first, "other", "named", ["x"])
        await check(first)
        await first.end("SIGKILL")
      })
      const second = yield* kernel({ dataDir })
      yield* Effect.promise(async () => {
        await ready(second)
        await check(second)
        const { stderr, stdout } = second.output()
        assert.notInclude(stdout + stderr, value)
        await call(second, "DELETE", "/v1/secrets/x", { tenant: "acme" })
        assert.strictEqual((await asked(second, "acme/named")).text, "there is no secret x")
      })
    }),
  )
})
