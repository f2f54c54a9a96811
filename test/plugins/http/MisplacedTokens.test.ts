/**
 * A token in the wrong place of a request is refused where it would be written down, and is neither
 * repeated to its sender nor logged (promise 8).
 */
import * as Effect from "effect/Effect"
import { ServiceNotFound } from "solo"
import { afterAll, assert, beforeAll, describe, it } from "vitest"

import { rootToken } from "./FakeKernel.ts"
import { asRoot, type RunningGateway, spec, startGateway } from "./Harness.ts"
import { assertProblem } from "./Problems.ts"

let gateway: RunningGateway
let token: string
beforeAll(async () => {
  gateway = await startGateway()
  token = await gateway.grant({ permissions: ["read"] })
})
afterAll(async () => {
  assert.isFalse(gateway.logged.some((line) => line.includes(token) || line.includes(rootToken)))
  await gateway.stop()
})

const assertRefused = async (
  path: string,
  init: Parameters<RunningGateway["call"]>[1],
  status = 400,
) => {
  const response = await gateway.call(path, init)
  assert.notInclude(JSON.stringify([...response.headers]), token)
  const body = await assertProblem(response, status)
  assert.notInclude(JSON.stringify(body), token)
  return body
}

describe("a token in the wrong place", () => {
  it("is no tenant, whatever it looks like", async () => {
    for (const [tenant, path] of [
      [token, "/v1/services"],
      [rootToken, "/v1/services"],
    ] as const) {
      const headers = { ...asRoot, "x-tenant-id": tenant }
      const { errors } = await assertRefused(path, { method: "POST", json: spec("a"), headers })
      assert.deepStrictEqual(errors?.[0]?.path, ["headers", "x-tenant-id"])
    }
  })

  it("is no name of anything new", async () => {
    const post = (json: object) => ({ method: "POST", json })
    for (const [path, init, field] of [
      ["/v1/services", post(spec(token)), "payload.serviceId"],
      ["/v1/services", post({ ...spec("a"), secrets: [token] }), "payload.secrets.0"],
      ["/v1/tokens", post({ permissions: ["read"], serviceId: token }), "payload.serviceId"],
      [`/v1/secrets/${token}`, {}, "params.name"],
      [`/v1/secrets/${token}`, { method: "PUT", json: { value: "x" } }, "params.name"],
    ] as const) {
      const { errors } = await assertRefused(path, init)
      assert.strictEqual(errors?.[0]?.path.join("."), field)
    }
  })

  it("is not repeated in what is said about it", async () => {
    await assertRefused(`/v1/services/${token}`, {}, 404)
    gateway.kernel.control.serve = (name) => Effect.fail(new ServiceNotFound(name))
    await assertRefused(`/services/acme/${token}/`, {}, 404)
    await assertRefused(`/v1/secrets/${token}`, { method: "DELETE" }, 404)
    const json = { ...spec("a"), [`${"x".repeat(280)}${token}`]: 1, [token]: 1 }
    const { detail } = await assertRefused("/v1/services", { method: "POST", json })
    assert.include(detail, "payload.<token>")
    assert.notInclude(detail, token.slice(0, 16))
  })

  it("is no id of a request", async () => {
    for (const id of [token, rootToken]) {
      const response = await gateway.call("/v1/services", { headers: { "x-request-id": id } })
      assert.match(response.headers.get("x-request-id") ?? "", /^[a-z0-9]+-[a-z0-9]+$/)
    }
  })
})
