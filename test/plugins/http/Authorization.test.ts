/**
 * Every route times every kind of credential, and the declaration that makes this complete: a
 * route that is added is in the matrix, and one without a guard is refused (promises 2 and 6).
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as HttpApi from "effect/http-api/HttpApi"
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import { Permission } from "solo"
import { afterAll, assert, beforeAll, describe, it } from "vitest"

import { Api } from "../../../plugins/http/Api.ts"
import {
  Authorization,
  checkGuards,
  needs,
  open,
  RequiredPermission,
} from "../../../plugins/http/Authorization.ts"
import { rootToken } from "./FakeKernel.ts"
import { asTenant, type RunningGateway, spec, startGateway } from "./Harness.ts"
import { assertProblem } from "./Problems.ts"
import { allRoutes, goodBody, type TestedRoute } from "./RouteList.ts"

const grantable = Permission.literals.filter((permission) => permission !== "root")

let gateway: RunningGateway
let expired: string
let revoked: string
let orphaned: string
beforeAll(async () => {
  gateway = await startGateway()
  expired = await gateway.grant({ permissions: grantable, ttlSeconds: 1 })
  gateway.kernel.advance(1000)
  revoked = await gateway.grant({ permissions: grantable })
  orphaned = await gateway.attenuate(revoked, {})
  await gateway.revoke(revoked)
})
afterAll(() => gateway.stop())

const call = async (
  route: TestedRoute,
  authorization: string | undefined,
  headers: Record<string, string> = {},
) => {
  await gateway.deploy(spec("matrix"))
  const good = goodBody(route)
  return fetch(`${gateway.url}${route.path}`, {
    ...good,
    method: route.method,
    headers: {
      ...(good.headers as Record<string, string>),
      ...headers,
      ...(authorization === undefined ? {} : { authorization }),
    },
  })
}

const assertRefused = async (
  { method }: TestedRoute,
  response: Response,
  status: number,
  name?: string,
) => {
  // An answer to HEAD has no body to look at.
  if (method === "HEAD") assert.strictEqual(response.status, status)
  else await assertProblem(response, status, name)
}

const assertLetIn = async (response: Response) => {
  const text = await response.text()
  assert.notInclude([401, 403, 429, 500], response.status, text)
}

const bad: Record<string, () => string | undefined> = {
  "no token": () => undefined,
  "an empty header": () => "",
  "a scheme alone": () => "Bearer",
  "a scheme and blanks": () => "Bearer   ",
  garbage: () => "Bearer garbage",
  "a token of the right form that nobody granted": () => `Bearer solo_${"A".repeat(43)}`,
  "another scheme": () => `Basic ${Buffer.from(`root:${rootToken}`).toString("base64")}`,
  "the token without a scheme": () => rootToken,
  "the token and more": () => `Bearer ${rootToken}, Bearer x`,
  "the token cut short": () => `Bearer ${rootToken.slice(0, -1)}`,
  "the token with a tail": () => `Bearer ${rootToken}x`,
  "an expired token": () => `Bearer ${expired}`,
  "a revoked token": () => `Bearer ${revoked}`,
  "a token attenuated from a revoked one": () => `Bearer ${orphaned}`,
}

const isIngress = ({ path }: TestedRoute) => path.startsWith("/services/")

const bearer = async (request: object, tenant = "acme") =>
  `Bearer ${await gateway.grant(request, tenant)}`

for (const [index, route] of allRoutes.entries()) {
  const { guard, method, template } = route
  describe(`${method} ${template}`, () => {
    for (const [what, authorization] of Object.entries(bad)) {
      it(`${guard.permission === "public" ? "takes" : "refuses"} ${what}`, async () => {
        const response = await call(route, authorization(), { "x-tenant-id": "acme" })
        if (guard.permission === "public") {
          assert.isBelow(response.status, 400)
          await response.body?.cancel()
          return
        }
        assert.strictEqual(response.headers.get("www-authenticate"), 'Bearer realm="solo"')
        await assertRefused(route, response, 401, "unauthenticated")
      })
    }

    it("lets in root", async () => {
      for (const authorization of [`Bearer ${rootToken}`, `bearer   ${rootToken}`]) {
        await assertLetIn(await call(route, authorization, { "x-tenant-id": "acme" }))
      }
    })

    if (guard.permission === "public") return
    const { on, permission } = guard

    if (permission === "root") {
      it("refuses every other token", async () => {
        const authorization = await bearer({ permissions: grantable })
        await assertRefused(route, await call(route, authorization), 403, "forbidden")
      })
      return
    }

    // Of the tokens that grant, this one may give what the good body asks for.
    const enough =
      permission === "self" ? ["invoke"] : permission === "grant" ? ["grant", "read"] : [permission]

    it("lets in a token with its permission alone, granted or attenuated", async () => {
      await assertLetIn(await call(route, await bearer({ permissions: enough })))
      const parent = await gateway.grant({ permissions: grantable })
      const child = await gateway.attenuate(parent, { permissions: enough })
      await assertLetIn(await call(route, `Bearer ${child}`))
    })

    if (permission !== "self") {
      it("refuses a token with every permission but its own, granted or attenuated", async () => {
        const others = grantable.filter((other) => other !== permission)
        const granted = await bearer({ permissions: others })
        await assertRefused(route, await call(route, granted), 403, "forbidden")
        const parent = await gateway.grant({ permissions: grantable })
        const child = await gateway.attenuate(parent, { permissions: others })
        await assertRefused(route, await call(route, `Bearer ${child}`), 403, "forbidden")
      })
    }

    it("keeps a token that is bound to a service to that service", async () => {
      const here = await call(route, await bearer({ permissions: grantable, serviceId: "matrix" }))
      if (on === "tenant") await assertRefused(route, here, 403, "forbidden")
      else await assertLetIn(here)
      const elsewhere = await call(
        route,
        await bearer({ permissions: grantable, serviceId: "elsewhere" }),
      )
      // A deployment says in its body which service it is about.
      if (on !== "own" || permission === "deploy") {
        await assertRefused(route, elsewhere, 403, "forbidden")
      } else {
        const text = await elsewhere.text()
        assert.isBelow(elsewhere.status, 300, text)
        assert.notInclude(text, '"matrix"')
      }
    })

    it("shows a token of another tenant nothing", async () => {
      const authorization = await bearer({ permissions: grantable }, `stranger${index}`)
      const named = await call(route, authorization, { "x-tenant-id": "acme" })
      if (!isIngress(route)) await assertRefused(route, named, 403, "forbidden")
      const answer = await call(route, authorization)
      const nobody = await bearer({ permissions: grantable }, `nobody${index}`)
      const own = /"(?:requestId|token|grantedAt)":"[^"]*"|[0-9a-f]{64}|(?:stranger|nobody)\d+/g
      const masked = (text: string) => text.replaceAll(own, "")
      if (isIngress(route) || on === "service") {
        await assertRefused(route, answer.clone(), 404, "service-not-found")
      }
      const text = await answer.text()
      assert.notInclude(text, "acme")
      assert.notInclude([401, 403, 500], answer.status)
      // What it answers does not depend on whether there is such a thing elsewhere.
      const empty = await call(route, nobody)
      assert.strictEqual(empty.status, answer.status)
      assert.strictEqual(masked(await empty.text()), masked(text))
    })
  })
}

describe("a root token", () => {
  const needTenant = allRoutes.filter(
    ({ guard, path }) =>
      guard.permission !== "public" &&
      !["root", "self", "metrics"].includes(guard.permission) &&
      path !== "/v1/events" &&
      !path.startsWith("/services/"),
  )
  for (const route of needTenant) {
    it(`must name a tenant for ${route.method} ${route.path}`, async () => {
      const authorization = `Bearer ${rootToken}`
      await assertProblem(await call(route, authorization), 400, "tenant-required")
      for (const tenant of ["a b", "ä", "../x", "x".repeat(129), "a,b"]) {
        const response = await call(route, authorization, {
          "x-tenant-id": Buffer.from(tenant).toString("latin1"),
        })
        const { errors } = await assertProblem(response, 400, "invalid-request")
        assert.deepStrictEqual(errors?.[0]?.path, ["headers", "x-tenant-id"])
      }
    })
  }
})

describe("a spec that names secrets", () => {
  it("is deployed only with the permission secrets as well", async () => {
    const json = { ...spec("keeper"), secrets: ["key"] }
    const deploy = async (request: object) =>
      gateway.deploy(json, { authorization: await bearer(request) })
    await assertProblem(await deploy({ permissions: ["deploy"] }), 403, "forbidden")
    const bound = { permissions: ["deploy", "secrets"], serviceId: "keeper" }
    assert.strictEqual((await deploy(bound)).status, 201)
  })
})

describe("a token's own tenant", () => {
  it("may be named in X-Tenant-ID, and need not be", async () => {
    const authorization = await bearer({ permissions: ["read"] })
    for (const headers of [{}, { "x-tenant-id": "acme" }]) {
      const response = await fetch(`${gateway.url}/v1/services`, {
        headers: { ...headers, authorization },
      })
      assert.strictEqual(response.status, 200)
    }
    assert.strictEqual(asTenant["x-tenant-id"], "acme")
  })
})

describe("a guard", () => {
  it("is declared by every endpoint, and the gateway refuses one without", async () => {
    await Effect.runPromise(checkGuards(Api))
    const wrong = {
      undeclared: HttpApiEndpoint.get("undeclared", "/x").middleware(Authorization),
      unguarded: HttpApiEndpoint.get("unguarded", "/x").annotate(RequiredPermission, needs("read")),
      publicYetGuarded: HttpApiEndpoint.get("publicYetGuarded", "/x")
        .middleware(Authorization)
        .annotate(RequiredPermission, open),
      nowhere: HttpApiEndpoint.get("nowhere", "/x")
        .middleware(Authorization)
        .annotate(RequiredPermission, needs("read", "service")),
    }
    for (const endpoint of Object.values(wrong)) {
      const api = HttpApi.make("wrong").add(HttpApiGroup.make("group").add(endpoint))
      const exit = await Effect.runPromiseExit(checkGuards(api))
      assert.isTrue(Exit.isFailure(exit))
    }
  })
})
