/**
 * The OpenAPI document is valid and complete, and the pages need no network.
 */
import { Validator } from "@seriousme/openapi-schema-validator"
import { afterAll, assert, beforeAll, describe, it } from "vitest"

import { problemKinds, problemType } from "../../../plugins/http/ProblemCatalogue.ts"
import { type RunningGateway, startGateway } from "./Harness.ts"
import { allRoutes } from "./RouteList.ts"

let gateway: RunningGateway
beforeAll(async () => {
  gateway = await startGateway()
})
afterAll(() => gateway.stop())

interface Operation {
  readonly summary?: string
  readonly description?: string
  readonly security?: ReadonlyArray<unknown>
  readonly responses: Record<string, { readonly content?: Record<string, MediaType> }>
}
interface MediaType {
  readonly schema?: DescribedSchema
}
interface DescribedSchema {
  readonly $ref?: string
  readonly properties?: { readonly type?: { readonly const?: string } }
  readonly oneOf?: ReadonlyArray<DescribedSchema>
  readonly anyOf?: ReadonlyArray<DescribedSchema>
}
interface Document {
  readonly paths: Record<string, Record<string, Operation>>
}

const fetchDocument = async () =>
  (await (await fetch(`${gateway.url}/openapi.json`)).json()) as Document

/** The problems that a status of an operation may mean, by what names them in the document. */
const problemsOf = ({ responses }: Operation) =>
  Object.entries(responses).flatMap(([status, { content }]) => {
    const schema = content?.["application/problem+json"]?.schema
    if (schema === undefined) return []
    return (schema.oneOf ?? schema.anyOf ?? [schema]).map(
      ({ $ref, properties }) => `${status} ${$ref ?? properties?.type?.const}`,
    )
  })

describe("/openapi.json", () => {
  it("is a valid OpenAPI document", async () => {
    const result = await new Validator().validate((await fetchDocument()) as never)
    assert.isTrue(result.valid, JSON.stringify(result.errors))
  })

  it("describes every route, with a summary, a description and its security", async () => {
    const { paths } = await fetchDocument()
    for (const { guard, method, template } of allRoutes) {
      if (method === "PROPFIND") continue
      const operation = paths[template]?.[method.toLowerCase()]
      assert.isDefined(operation, `${method} ${template}`)
      assert.isNotEmpty(operation!.summary, `${method} ${template}`)
      assert.isNotEmpty(operation!.description, `${method} ${template}`)
      assert.strictEqual(
        (operation!.security ?? []).length > 0,
        guard.permission !== "public",
        `${method} ${template}`,
      )
    }
  })

  it("says of every route that takes a spec what the spec needs", async () => {
    const { paths } = await fetchDocument()
    const { post } = paths["/v1/services"]!
    const { put } = paths["/v1/services/{serviceId}"]!
    for (const operation of [post, put]) {
      assert.match(operation!.description!, /`secrets` also needs the permission secrets/)
      assert.match(operation!.description!, /`services` the permission invoke on each/)
    }
  })

  it("describes every problem that ingress answers with, also where they share a status", async () => {
    const { paths } = await fetchDocument()
    const methods = paths["/services/{tenantId}/{serviceId}/{path}"]!
    const names = [
      "invalid-request",
      "unauthenticated",
      "forbidden",
      "service-not-found",
      "body-too-large",
      "headers-too-large",
      "rate-exceeded",
      "tenant-overloaded",
      "internal-error",
      "service-failed",
      "service-not-running",
      "service-overloaded",
      "kernel-overloaded",
      "kernel-stopping",
      "service-timed-out",
    ] as const
    for (const [method, operation] of Object.entries(methods)) {
      assert.sameMembers(
        problemsOf(operation),
        names.map((name) => `${problemKinds[name].status} ${problemType(name)}`),
        method,
      )
    }
  })

  it("declares no problem of recovering again that cannot be", async () => {
    const { paths } = await fetchDocument()
    const declared = problemsOf(paths["/v1/recovery/replay"]!["post"]!).join(" ")
    assert.include(declared, "RequestTimedOut")
    assert.notMatch(declared, /Storage|LogOverloaded/)
  })

  it("gives every problem its own type", () => {
    const types = Object.keys(problemKinds).map((name) => problemType(name as never))
    assert.strictEqual(new Set(types).size, types.length)
  })
})

describe("/docs", () => {
  it("is one page that loads nothing from elsewhere", async () => {
    const response = await fetch(`${gateway.url}/docs`)
    assert.strictEqual(response.status, 200)
    assert.include(response.headers.get("content-type"), "text/html")
    const policy = response.headers.get("content-security-policy") ?? ""
    assert.include(policy, "default-src 'none'")
    assert.notMatch(policy, /https?:|\*/)
    const page = await response.text()
    assert.include(page, "Deploy a service")
    const outside = page.replaceAll(/<script>.*?<\/script>/gs, "")
    assert.notMatch(outside, /(?:src|href)\s*=/)
    const again = await fetch(`${gateway.url}/docs`)
    assert.strictEqual((await again.text()).length, page.length)
  })
})
