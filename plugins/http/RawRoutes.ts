/**
 * The routes that are not part of the declared API, because they have no schema of their own:
 * ingress to services and the API's own pages. It owns their paths and permissions and describes
 * them in the OpenAPI document.
 */
import type { Permission } from "solo"

import { problemKind, problemType, type ProblemName } from "./ProblemCatalogue.ts"

/** The path of ingress, as the document writes it. */
const ingressPath = "/services/{tenantId}/{serviceId}/{path}"
/** What a caller of a service needs. */
export const ingressPermission: Permission = "invoke"
/** Where the OpenAPI document is. Public. */
export const openApiPath = "/openapi.json"
/** Where the API's pages are. Public. */
export const docsPath = "/docs"

/** Methods of ingress that OpenAPI can express. */
const ingressMethods = ["get", "put", "post", "delete", "options", "head", "patch"] as const

const problemContent = (name: ProblemName) => ({
  description: `${problemKind(name).title}. ${problemKind(name).about}`,
  content: {
    "application/problem+json": {
      schema: {
        type: "object",
        required: ["type", "title", "status", "detail", "requestId"],
        properties: {
          type: { type: "string", const: problemType(name) },
          title: { type: "string" },
          status: { type: "integer" },
          detail: { type: "string" },
          requestId: { type: "string" },
        },
      },
    },
  },
})

const ingressProblems = [
  "invalid-request",
  "unauthenticated",
  "forbidden",
  "service-not-found",
  "rate-exceeded",
  "tenant-overloaded",
  "kernel-overloaded",
  "body-too-large",
  "service-failed",
  "service-not-running",
  "service-timed-out",
] as const satisfies ReadonlyArray<ProblemName>

const parameter = (name: string, description: string) => ({
  name,
  in: "path",
  required: true,
  description,
  schema: { type: "string" },
})

const ingressOperation = (method: string) => ({
  tags: ["Ingress"],
  operationId: `ingress.${method}`,
  summary: "Call a service",
  description:
    "Hands the request to the service's `fetch`: any method, path and query after the service id, headers, and the body as a stream. `Authorization` and `X-Tenant-ID` never reach the service; `X-Request-Id` always does. The response is the service's own, streamed.",
  security: [{ token: [] }],
  parameters: [
    parameter("tenantId", "The tenant that owns the service."),
    parameter("serviceId", "The service's name within its tenant."),
    parameter("path", "What the service sees as its path; may be empty and may hold slashes."),
  ],
  responses: {
    default: { description: "What the service answers." },
    ...Object.fromEntries(
      ingressProblems.map((name) => [String(problemKind(name).status), problemContent(name)]),
    ),
  },
})

const page = (operationId: string, summary: string, contentType: string) => ({
  get: {
    tags: ["Documentation"],
    operationId,
    summary,
    description: "Needs no token.",
    security: [],
    responses: { "200": { description: summary, content: { [contentType]: {} } } },
  },
})

/** Adds the raw routes to an OpenAPI document. */
export const describeRawRoutes = (document: Record<string, unknown>): Record<string, unknown> => ({
  ...document,
  tags: [
    ...(Array.isArray(document["tags"]) ? document["tags"] : []),
    { name: "Ingress", description: "The way into services." },
    { name: "Documentation", description: "What you are reading." },
  ],
  paths: {
    ...(document["paths"] as Record<string, unknown>),
    [ingressPath]: Object.fromEntries(
      ingressMethods.map((method) => [method, ingressOperation(method)]),
    ),
    [openApiPath]: page("openapi", "This API as an OpenAPI document", "application/json"),
    [docsPath]: page("docs", "This API as pages for people", "text/html"),
  },
})
