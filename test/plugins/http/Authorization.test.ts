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

const verdicts: Readonly<Record<number, string>> = {
  401: "unauthenticated",
  403: "forbidden",
  404: "service-not-found",
}

/** The name of the problem that a request met, or `""`. */
const verdict = async ({ method }: TestedRoute, response: Response): Promise<string> => {
  const { status } = response
  if (status < 400) {
    await response.body?.cancel()
    return ""
  }
  // An answer to HEAD has no body to look at.
  if (method === "HEAD") return verdicts[status] ?? String(status)
  return (await assertProblem(response, status)).type.replace("urn:solo:problem:", "")
}

/** What a token that is good for a route never meets. */
const refusals = ["unauthenticated", "forbidden", "would-widen", "rate-exceeded", "internal-error"]

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

const nameOf = ({ method, path }: TestedRoute) => `${method} ${path}`

/** Routes whose guard is more than "anybody", with what it says. */
const guarded = allRoutes.flatMap((route) =>
  route.guard.permission === "public" ? [] : [{ route, ...route.guard }],
)
const forRoot = guarded.filter(({ permission }) => permission === "root")
const forTenants = guarded.filter(({ permission }) => permission !== "root")

describe("nobody", () => {
  for (const route of allRoutes) {
    const isPublic = route.guard.permission === "public"
    for (const [what, authorization] of Object.entries(bad)) {
      it(`with ${what} is ${isPublic ? "let in" : "refused"} by ${nameOf(route)}`, async () => {
        const response = await call(route, authorization(), { "x-tenant-id": "acme" })
        const challenge = isPublic ? null : 'Bearer realm="solo"'
        assert.strictEqual(response.headers.get("www-authenticate"), challenge)
        assert.strictEqual(await verdict(route, response), isPublic ? "" : "unauthenticated")
      })
    }
  }
})

describe("root", () => {
  for (const route of allRoutes) {
    it(`is let in by ${nameOf(route)}`, async () => {
      for (const authorization of [`Bearer ${rootToken}`, `bearer   ${rootToken}`]) {
        const response = await call(route, authorization, { "x-tenant-id": "acme" })
        assert.notInclude(refusals, await verdict(route, response))
      }
    })
  }

  for (const { route } of forRoot) {
    it(`alone is let in by ${nameOf(route)}`, async () => {
      const authorization = await bearer({ permissions: grantable })
      assert.strictEqual(await verdict(route, await call(route, authorization)), "forbidden")
    })
  }
})

describe("a permission", () => {
  for (const { permission, route } of forTenants) {
    // Of the tokens that grant, this one may give what the good body asks for.
    const enough =
      permission === "self" ? ["invoke"] : permission === "grant" ? ["grant", "read"] : [permission]

    it(`alone is enough for ${nameOf(route)}, granted or attenuated`, async () => {
      const granted = await call(route, await bearer({ permissions: enough }))
      assert.notInclude(refusals, await verdict(route, granted))
      const parent = await gateway.grant({ permissions: grantable })
      const child = await gateway.attenuate(parent, { permissions: enough })
      assert.notInclude(refusals, await verdict(route, await call(route, `Bearer ${child}`)))
    })
  }

  for (const { permission, route } of forTenants.filter(
    ({ permission }) => permission !== "self",
  )) {
    it(`${permission} is what ${nameOf(route)} needs, and no other will do`, async () => {
      const others = grantable.filter((other) => other !== permission)
      const granted = await call(route, await bearer({ permissions: others }))
      assert.strictEqual(await verdict(route, granted), "forbidden")
      const parent = await gateway.grant({ permissions: grantable })
      const child = await gateway.attenuate(parent, { permissions: others })
      assert.strictEqual(await verdict(route, await call(route, `Bearer ${child}`)), "forbidden")
    })
  }
})

describe("a token that is bound to a service", () => {
  for (const { on, permission, route } of forTenants) {
    it(`is kept to it by ${nameOf(route)}`, async () => {
      const terms = { permissions: grantable }
      const here = await call(route, await bearer({ ...terms, serviceId: "matrix" }))
      const met = await verdict(route, here)
      if (on === "tenant") assert.strictEqual(met, "forbidden")
      else assert.notInclude(refusals, met)
      const elsewhere = await call(route, await bearer({ ...terms, serviceId: "elsewhere" }))
      const text = await elsewhere.clone().text()
      // A deployment says in its body which service it is about.
      if (on !== "own" || permission === "deploy") {
        assert.strictEqual(await verdict(route, elsewhere), "forbidden")
      } else {
        assert.strictEqual(await verdict(route, elsewhere), "")
        assert.notInclude(text, '"matrix"')
      }
    })
  }
})

describe("another tenant's token", () => {
  for (const [index, { on, route }] of forTenants.entries()) {
    it(`sees no trace in ${nameOf(route)} (promise 6)`, async () => {
      const stranger = await bearer({ permissions: grantable }, `stranger${index}`)
      const named = await verdict(route, await call(route, stranger, { "x-tenant-id": "acme" }))
      assert.strictEqual(named, isIngress(route) ? "service-not-found" : "forbidden")

      const answer = await call(route, stranger)
      const text = await answer.clone().text()
      assert.notInclude(text, "acme")
      const met = await verdict(route, answer)
      if (isIngress(route) || on === "service") assert.strictEqual(met, "service-not-found")
      else assert.notInclude(refusals, met)

      // What it answers does not depend on whether there is such a thing elsewhere.
      const nobody = await bearer({ permissions: grantable }, `nobody${index}`)
      const empty = await call(route, nobody)
      const own = /"(?:requestId|token|grantedAt)":"[^"]*"|[0-9a-f]{64}|(?:stranger|nobody)\d+/g
      const masked = (text: string) => text.replaceAll(own, "")
      assert.strictEqual(empty.status, answer.status)
      assert.strictEqual(masked(await empty.text()), masked(text))
    })
  }
})

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

describe("a spec that names services", () => {
  const deploy = async (grant: Record<string, unknown>, services: ReadonlyArray<string>) => {
    const token = await gateway.grant(grant)
    const response = await fetch(`${gateway.url}/v1/services`, {
      method: "POST",
      headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
      body: JSON.stringify({ ...spec("caller"), services }),
    })
    return response.status
  }

  it("is deployed only by who may call them (promise 6)", async () => {
    const bound = { permissions: ["deploy", "invoke"], serviceId: "caller" }
    assert.strictEqual(await deploy({ permissions: ["deploy"] }, ["other"]), 403)
    assert.strictEqual(await deploy({ permissions: ["deploy"] }, ["*"]), 403)
    assert.strictEqual(await deploy(bound, ["other"]), 403)
    assert.strictEqual(await deploy(bound, ["*"]), 403)
    assert.isBelow(await deploy(bound, ["caller"]), 300)
    const token = await gateway.grant(bound)
    const swap = async (services: ReadonlyArray<string>) =>
      fetch(`${gateway.url}/v1/services/caller`, {
        method: "PUT",
        headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
        body: JSON.stringify({ ...spec("caller"), services }),
      })
    await assertProblem(await swap(["other"]), 403, "forbidden")
    await assertProblem(await swap(["*"]), 403, "forbidden")
    assert.notStrictEqual((await swap(["caller"])).status, 403)
  })

  it("names ids of services or all of them", async () => {
    const all = { permissions: ["deploy", "invoke"] }
    for (const odd of ["a/b", "a b", "**", "\u{e4}"])
      assert.strictEqual(await deploy(all, [odd]), 400)
  })
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

  it("is rolled back to with deploy alone, as docs/security.md says", async () => {
    const json = { ...spec("reader"), secrets: ["key"] }
    assert.strictEqual((await gateway.deploy(json)).status, 201)
    const authorization = await bearer({ permissions: ["deploy"] })
    const call = (method: string, path: string, sent?: object) =>
      gateway.call(path, { method, json: sent, headers: { authorization } })
    const put = await call("PUT", "/v1/services/reader", spec("reader", "export default 2"))
    assert.strictEqual(put.status, 200)
    assert.strictEqual((await call("POST", "/v1/services/reader/rollback")).status, 200)
    await assertProblem(await call("PUT", "/v1/services/reader", json), 403, "forbidden")
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
