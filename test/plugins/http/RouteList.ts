/**
 * Every route of the gateway, taken from its own declaration, with a request that is good for it.
 * A route that is added appears in every matrix without anybody remembering to add it.
 */
import * as Context from "effect/Context"
import * as HttpApi from "effect/http-api/HttpApi"

import { Api } from "../../../plugins/http/Api.ts"
import { type Guard, needs, open, RequiredPermission } from "../../../plugins/http/Authorization.ts"
import { docsPath, ingressPermission, openApiPath } from "../../../plugins/http/RawRoutes.ts"
import { spec } from "./Harness.ts"

/** One route, as a test calls it. */
export interface TestedRoute {
  readonly method: string
  readonly path: string
  /** As the API writes it. */
  readonly template: string
  readonly guard: Guard
  readonly hasBody: boolean
}

const declared = (): ReadonlyArray<TestedRoute> => {
  const routes: Array<TestedRoute> = []
  HttpApi.reflect(Api, {
    onGroup: () => {},
    onEndpoint: ({ endpoint }) => {
      routes.push({
        method: endpoint.method,
        path: endpoint.path
          .replace(":serviceId", "matrix")
          .replace(":name", "matrix")
          .replace(":tokenHash", "0".repeat(64)),
        template: endpoint.path.replaceAll(/:([A-Za-z]+)/g, "{$1}"),
        guard: Context.getUnsafe(endpoint.annotations, RequiredPermission),
        hasBody: endpoint.payload.size > 0,
      })
    },
  })
  return routes
}

/** All of them. */
export const allRoutes: ReadonlyArray<TestedRoute> = [
  ...declared(),
  { method: "GET", path: openApiPath, template: openApiPath, guard: open, hasBody: false },
  { method: "GET", path: docsPath, template: docsPath, guard: open, hasBody: false },
  ...["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "PROPFIND"].map((method) => ({
    method,
    path: "/services/acme/matrix/a?b=c",
    template: "/services/{tenantId}/{serviceId}/{path}",
    guard: needs(ingressPermission, "service"),
    hasBody: false,
  })),
]

const bodies: Readonly<Record<string, unknown>> = {
  "/v1/services": spec("matrix"),
  "/v1/services/{serviceId}": spec("matrix"),
  "/v1/tokens": { permissions: ["read"] },
  "/v1/tokens/attenuate": {},
  "/v1/secrets/{name}": { value: "a value" },
}

/** A body that suits the route. */
export const goodBody = (route: TestedRoute): RequestInit =>
  route.hasBody
    ? {
        body: JSON.stringify(bodies[route.template]),
        headers: { "content-type": "application/json" },
      }
    : {}
