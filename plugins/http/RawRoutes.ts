/**
 * The routes that are not part of the declared API, because they have no schema of their own:
 * ingress to services and the API's own pages. It owns their paths and permissions and describes
 * them in the OpenAPI document.
 */
import type { Permission } from "solo"

import { ingressProblems } from "./Failures.ts"
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

const problemSchema = (name: ProblemName) => ({
  type: "object",
  required: ["type", "title", "status", "detail", "requestId"],
  properties: {
    type: { type: "string", const: problemType(name) },
    title: { type: "string" },
    status: { type: "integer" },
    detail: { type: "string" },
    requestId: { type: "string" },
  },
})

/** The response that is one of `names`, which have their status in common. */
const describeStatus = (names: ReadonlyArray<ProblemName>) => ({
  description: names
    .map((name) => `${problemKind(name).title}. ${problemKind(name).about}`)
    .join("\n\n"),
  content: { "application/problem+json": { schema: { oneOf: names.map(problemSchema) } } },
})

const describeProblems = (names: ReadonlyArray<ProblemName>) =>
  Object.fromEntries(
    [...Map.groupBy(names, (name) => String(problemKind(name).status))].map(([status, some]) => [
      status,
      describeStatus(some),
    ]),
  )

/** What a request to a service may come to: on its way to `Ingress`, and there. */
const problems: ReadonlyArray<ProblemName> = [
  "invalid-request",
  "unauthenticated",
  "forbidden",
  "rate-exceeded",
  "tenant-overloaded",
  "kernel-overloaded",
  "kernel-stopping",
  "body-too-large",
  "internal-error",
  ...ingressProblems,
]

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
    ...describeProblems(problems),
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
