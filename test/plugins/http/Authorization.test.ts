/**
 * Every route times every kind of credential, and the declaration that makes this complete.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as HttpApi from "effect/http-api/HttpApi"
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as Redacted from "effect/Redacted"
import { afterAll, assert, beforeAll, describe, it } from "vitest"

import { Api } from "../../../plugins/http/Api.ts"
import {
  admit,
  Authority,
  Authorization,
  checkGuards,
  type Permission,
  RequiredPermission,
} from "../../../plugins/http/Authorization.ts"
import { rootToken } from "./FakeKernel.ts"
import { type RunningGateway, spec, startGateway } from "./Harness.ts"
import { assertProblem } from "./Problems.ts"
import { allRoutes, goodBody } from "./RouteList.ts"

let gateway: RunningGateway
beforeAll(async () => {
  gateway = await startGateway()
})
afterAll(() => gateway.stop())

const refused: Record<string, string | undefined> = {
  "no token": undefined,
  "an empty header": "",
  "a scheme alone": "Bearer",
  "a scheme and blanks": "Bearer   ",
  garbage: "Bearer garbage",
  "another scheme": `Basic ${Buffer.from(`root:${rootToken}`).toString("base64")}`,
  "the token without a scheme": rootToken,
  "the token and more": `Bearer ${rootToken}, Bearer x`,
  "the token cut short": `Bearer ${rootToken.slice(0, -1)}`,
  "the token with a tail": `Bearer ${rootToken}x`,
}

describe("the matrix", () => {
  for (const route of allRoutes) {
    const { method, path, permission } = route
    const call = async (authorization: string | undefined) => {
      await gateway.deploy(spec("matrix"))
      const good = goodBody(route)
      return fetch(`${gateway.url}${path}`, {
        ...good,
        method,
        headers: {
          ...(good.headers as Record<string, string>),
          "x-tenant-id": "acme",
          ...(authorization === undefined ? {} : { authorization }),
        },
      })
    }
    for (const [what, authorization] of Object.entries(refused)) {
      it(`${method} ${path} ${permission === "public" ? "takes" : "refuses"} ${what}`, async () => {
        const response = await call(authorization)
        if (permission === "public") {
          assert.isBelow(response.status, 400)
          await response.body?.cancel()
          return
        }
        assert.strictEqual(response.headers.get("www-authenticate"), 'Bearer realm="solo"')
        if (method === "HEAD") assert.strictEqual(response.status, 401)
        else await assertProblem(response, 401, "unauthenticated")
      })
    }
    for (const authorization of [`Bearer ${rootToken}`, `bearer   ${rootToken}`]) {
      it(`${method} ${path} lets in ${authorization.slice(0, 9)}…`, async () => {
        const response = await call(authorization)
        assert.notInclude([401, 403, 500], response.status)
        await response.body?.cancel()
      })
    }
  }
})

describe("a root token", () => {
  const needTenant = allRoutes.filter(({ path }) => path.startsWith("/v1/services"))
  for (const route of needTenant) {
    it(`must name a tenant for ${route.method} ${route.path}`, async () => {
      const good = goodBody(route)
      const call = (tenant: Record<string, string>) =>
        fetch(`${gateway.url}${route.path}`, {
          ...good,
          method: route.method,
          headers: {
            ...(good.headers as Record<string, string>),
            authorization: `Bearer ${rootToken}`,
            ...tenant,
          },
        })
      await assertProblem(await call({}), 400, "tenant-required")
      for (const tenant of ["a b", "ä", "../x", "x".repeat(129), "a,b"]) {
        const response = await call({ "x-tenant-id": Buffer.from(tenant).toString("latin1") })
        const { errors } = await assertProblem(response, 400, "invalid-request")
        assert.deepStrictEqual(errors?.[0]?.path, ["headers", "x-tenant-id"])
      }
    })
  }
})

describe("a permission", () => {
  it("that the token does not hold is refused with 403", async () => {
    const authority = Authority.of({
      identify: () =>
        Effect.succeed({
          tenantId: null,
          actor: "t",
          isRoot: false,
          holds: (permission: Permission) => permission === "read",
        }),
    })
    const token = Redacted.make("some-token")
    const refused = await Effect.runPromise(
      Effect.flip(admit(authority, token, "deploy", undefined)),
    )
    assert.strictEqual(refused.problem, "forbidden")
    const admitted = await Effect.runPromise(admit(authority, token, "read", "acme"))
    assert.deepStrictEqual(admitted, { tenantId: "acme" as never, actor: "t", isRoot: false })
  })

  it("is declared by every endpoint, and the gateway refuses one that declares none", async () => {
    await Effect.runPromise(checkGuards(Api))
    const wrong = {
      undeclared: HttpApiEndpoint.get("undeclared", "/x").middleware(Authorization),
      unguarded: HttpApiEndpoint.get("unguarded", "/x").annotate(RequiredPermission, "read"),
      publicYetGuarded: HttpApiEndpoint.get("publicYetGuarded", "/x")
        .middleware(Authorization)
        .annotate(RequiredPermission, "public"),
    }
    for (const endpoint of Object.values(wrong)) {
      const api = HttpApi.make("wrong").add(HttpApiGroup.make("group").add(endpoint))
      const exit = await Effect.runPromiseExit(checkGuards(api))
      assert.isTrue(Exit.isFailure(exit))
    }
  })
})
