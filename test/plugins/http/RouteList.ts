/**
 * Every route of the gateway, taken from its own declaration, with a request that is good for it.
 * A route that is added appears in every matrix without anybody remembering to add it.
 */
import * as Context from "effect/Context"
import * as HttpApi from "effect/http-api/HttpApi"

import { Api } from "../../../plugins/http/Api.ts"
import { type Permission, RequiredPermission } from "../../../plugins/http/Authorization.ts"
import { docsPath, ingressPermission, openApiPath } from "../../../plugins/http/RawRoutes.ts"
import { spec } from "./Harness.ts"

/** One route, as a test calls it. */
export interface TestedRoute {
  readonly method: string
  readonly path: string
  readonly permission: Permission
  readonly hasBody: boolean
}

const declared = (): ReadonlyArray<TestedRoute> => {
  const routes: Array<TestedRoute> = []
  HttpApi.reflect(Api, {
    onGroup: () => {},
    onEndpoint: ({ endpoint }) => {
      routes.push({
        method: endpoint.method,
        path: endpoint.path.replace(":serviceId", "matrix"),
        permission: Context.getUnsafe(endpoint.annotations, RequiredPermission),
        hasBody: endpoint.payload.size > 0,
      })
    },
  })
  return routes
}

/** All of them. */
export const allRoutes: ReadonlyArray<TestedRoute> = [
  ...declared(),
  { method: "GET", path: openApiPath, permission: "public", hasBody: false },
  { method: "GET", path: docsPath, permission: "public", hasBody: false },
  ...["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "PROPFIND"].map((method) => ({
    method,
    path: "/services/acme/matrix/a?b=c",
    permission: ingressPermission,
    hasBody: false,
  })),
]

/** A body that suits the route. */
export const goodBody = (route: TestedRoute): RequestInit =>
  route.hasBody
    ? {
        body: JSON.stringify(spec("matrix")),
        headers: { "content-type": "application/json" },
      }
    : {}
