/**
 * Services of a real kernel call each other, also after the plug was pulled, and nobody else's
 * (promises 1 and 6); calls in circles end, and the kernel goes on (promise 4).
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"

import { call, dataDirectory, kernel, type KernelProcess, ready } from "./KernelProcess.ts"

const front = `export default { async fetch(request, ctx) {
  const [, id] = new URL(request.url).pathname.split("/")
  try {
    const answer = await ctx.services.fetch(id, "/from/" + ctx.serviceId, { method: "POST", body: request.body })
    return new Response(answer.status + " " + await answer.text())
  } catch (error) { return new Response(error.name + ": " + error.message, { status: 403 }) } } }`

const back = `export default { async fetch(request, ctx) {
  return new Response(ctx.tenantId + new URL(request.url).pathname + " " + await request.text()) } }`

const circle = `export default { fetch: (_, ctx) => ctx.services.fetch(ctx.env.NEXT, "/") }`

const fan = `export default { async fetch(_, ctx) {
  const all = await Promise.allSettled([1, 2, 3, 4].map(() => ctx.services.fetch(ctx.serviceId, "/")))
  return new Response(null, { status: all.every(({ value }) => value?.ok) ? 200 : 500 }) } }`

const deploy = async (
  running: KernelProcess,
  tenant: string,
  serviceId: string,
  source: string,
  services: ReadonlyArray<string> = [],
  env: Readonly<Record<string, string>> = {},
) => {
  const body = { serviceId, source, services, env, limits: { requestTimeoutMs: 3000 } }
  const { status, text } = await call(running, "POST", "/v1/services", { tenant, body })
  assert.strictEqual(status, 201, text)
}

const asked = async (running: KernelProcess, path: string) => {
  const { status, text } = await call(running, "POST", `/services/${path}`, { body: "hi" })
  return `${status} ${text}`
}

const check = async (running: KernelProcess) => {
  assert.strictEqual(await asked(running, "acme/front/back"), "200 200 acme/from/front hi")
  assert.strictEqual(
    await asked(running, "acme/front/hidden"),
    "403 TypeError: this service's spec does not name hidden under services",
  )
  assert.match(await asked(running, "acme/front/theirs"), /^200 404 .*service-not-found/)
  assert.match(await asked(running, "acme/one"), /^508 .*called-in-circles/)
  assert.match(await asked(running, "acme/self"), /^508 .*called-in-circles/)
}

describe("ctx.services", () => {
  it.live("reaches what the spec names of the same tenant, through kill -9", () =>
    Effect.gen(function* () {
      const dataDir = yield* dataDirectory
      const first = yield* kernel({ dataDir })
      yield* Effect.promise(async () => {
        await ready(first)
        await deploy(first, "acme", "front", front, ["back", "theirs"])
        await deploy(first, "acme", "back", back)
        await deploy(first, "acme", "hidden", back)
        await deploy(first, "other", "theirs", back)
        await deploy(first, "acme", "one", circle, ["two"], { NEXT: "two" })
        await deploy(first, "acme", "two", circle, ["*"], { NEXT: "one" })
        await deploy(first, "acme", "self", circle, ["self"], { NEXT: "self" })
        await deploy(first, "acme", "fan", fan, ["fan"])
        await check(first)
        await first.end("SIGKILL")
      })
      const second = yield* kernel({ dataDir })
      yield* Effect.promise(async () => {
        await ready(second)
        await check(second)
        const bombs = Array.from({ length: 4 }, () => asked(second, "acme/fan"))
        for (let n = 0; n < 20; n++)
          assert.match(await asked(second, "other/theirs/x"), /^200 other\/x/)
        for (const bomb of await Promise.all(bombs)) assert.match(bomb, /^50[0-4] /)
        assert.match(await asked(second, "acme/front/back"), /^200 /)
        const { text } = await call(second, "GET", "/v1/events?type=fetch_denied", {
          tenant: "acme",
        })
        assert.match(text, /"destination":"service:hidden"/)
      })
    }),
  )
})
