/**
 * What every request passes through, whatever its route: its id, the refusal while the kernel is
 * stopping, the time bound, problem details for whatever goes wrong, and one log line. Routing and
 * meaning are below it, the network above.
 */
import type { IncomingMessage } from "node:http"

import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as HttpApi from "effect/http-api/HttpApi"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import type * as Scope from "effect/Scope"
import * as SubscriptionRef from "effect/SubscriptionRef"
import { Readiness } from "solo"

import { Api } from "./Api.ts"
import { apartFromToken } from "./Caller.ts"
import { CurrentRequest, makeNameRequest, type RequestRecord } from "./CurrentRequest.ts"
import { invalidRequest, problemOf, respondToFailure } from "./Failures.ts"
import type { GatewayConfig } from "./GatewayConfig.ts"
import { type CarryIngress, ingressTarget } from "./IngressRoute.ts"
import { Problem, problem } from "./Problem.ts"
import { docsPath, openApiPath } from "./RawRoutes.ts"
import { isDecodable, pathOf } from "./RequestPath.ts"

type Routed = Effect.Effect<
  HttpServerResponse.HttpServerResponse,
  unknown,
  HttpServerRequest.HttpServerRequest | Scope.Scope
>

/** Methods by path, for telling a wrong method from a wrong path. */
const makeMethodsOf = () => {
  const routes: Array<{ readonly pattern: RegExp; readonly method: string }> = [
    { pattern: new RegExp(`^${openApiPath}/?$`), method: "GET" },
    { pattern: new RegExp(`^${docsPath}/?$`), method: "GET" },
  ]
  HttpApi.reflect(Api, {
    onGroup: () => {},
    onEndpoint: ({ endpoint }) => {
      const pattern = new RegExp(`^${endpoint.path.replaceAll(/:[A-Za-z]+/g, "[^/]+")}/?$`)
      routes.push({ pattern, method: endpoint.method })
    },
  })
  return (path: string): ReadonlyArray<string> => {
    const methods = routes.filter(({ pattern }) => pattern.test(path)).map(({ method }) => method)
    return methods.includes("GET") ? [...methods, "HEAD"] : methods
  }
}

/** Says more precisely why no route was found. */
const makeExplain = () => {
  const methodsOf = makeMethodsOf()
  return (request: HttpServerRequest.HttpServerRequest): Problem | undefined => {
    const path = pathOf(request.url)
    if (!isDecodable(path)) {
      return invalidRequest([
        { path: ["path"], message: "Expected percent-encoding of valid UTF-8, such as %20" },
      ])
    }
    const allow = methodsOf(path)
    return allow.length === 0
      ? undefined
      : new Problem({
          problem: "method-not-allowed",
          detail: `this path has no ${request.method}, only ${allow.join(", ")}`,
          allow,
        })
  }
}

const stopping = problem("kernel-stopping", "the kernel is stopping; try again when it is back")

const noHost = problem("malformed-http", "an HTTP/1.1 request needs exactly one Host header")

/** Routes that answer while the kernel is stopping. */
const isHealth = (url: string): boolean => url.startsWith("/health/")

const strangeCoding = problem(
  "not-implemented",
  "no transfer coding but chunked is understood; send the body with Content-Encoding instead",
)

/** Node keeps the first of several. */
const countHosts = ({ headers, rawHeaders }: IncomingMessage): number => {
  if (headers.host === undefined) return 0
  let count = 0
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const name = rawHeaders[at]!
    if (name.length === 4 && name.toLowerCase() === "host") count += 1
  }
  return count
}

/** Why what Node takes for a request is none that could be carried out. */
const flawOf = (request: IncomingMessage): Problem | undefined => {
  const hosts = countHosts(request)
  if (hosts > 1 || (hosts === 0 && request.httpVersion === "1.1")) return noHost
  // Where the last coding is another one, nobody knows the body's end: Node's parser refuses that.
  return /,\s*chunked\s*$/i.test(request.headers["transfer-encoding"] ?? "")
    ? strangeCoding
    : undefined
}

/** What is refused whatever it is for. */
const refusal = (
  request: HttpServerRequest.HttpServerRequest,
  isStopping: boolean,
): Problem | undefined => {
  const flaw = flawOf(request.source as IncomingMessage)
  if (flaw !== undefined) return flaw
  return isStopping && !isHealth(request.url) ? stopping : undefined
}

/** Makes what answers with what `answering` comes to, or with the problem that it fails with. */
const makeAnswer = () => {
  const explain = makeExplain()
  return (
    request: HttpServerRequest.HttpServerRequest,
    record: RequestRecord,
    answering: Routed,
  ): Routed =>
    Effect.catchCause(answering, (cause) => {
      const found = problemOf(cause)
      const better = found?.problem === "route-not-found" ? explain(request) : undefined
      return Effect.provideService(
        respondToFailure(better === undefined ? cause : Cause.fail(better)),
        CurrentRequest,
        record,
      )
    })
}

const logLine = (
  request: HttpServerRequest.HttpServerRequest,
  response: HttpServerResponse.HttpServerResponse,
  record: RequestRecord,
  ms: number,
) =>
  Effect.annotateLogs(Effect.logDebug("request"), {
    method: request.method,
    route: record.route,
    status: response.status,
    ms,
    requestId: record.id,
    tenantId: record.tenantId,
  })

/** What requests are handed to: the routes, and what carries those of ingress past them. */
export interface Destinations {
  readonly routed: Routed
  readonly carryIngress: CarryIngress
}

/** Makes what the server runs for each request. It never fails. */
export const makeRequests = Effect.fnUntraced(function* (
  { carryIngress, routed }: Destinations,
  { requestTimeoutMs }: Pick<GatewayConfig, "requestTimeoutMs">,
) {
  const readiness = yield* Readiness
  const nameRequest = yield* makeNameRequest

  const timed = Effect.timeoutOrElse(routed, {
    duration: requestTimeoutMs,
    orElse: () =>
      Effect.fail(
        problem("request-timed-out", `the call did not finish within ${requestTimeoutMs} ms`),
      ),
  })

  const answer = makeAnswer()

  const handleApi = Effect.fnUntraced(function* (
    request: HttpServerRequest.HttpServerRequest,
    record: RequestRecord,
    answering: Routed,
  ) {
    const started = yield* Clock.currentTimeMillis
    const response = yield* answer(
      request,
      record,
      Effect.provideService(answering, CurrentRequest, record),
    )
    const ended = yield* Clock.currentTimeMillis
    yield* logLine(request, response, record, ended - started)
    return HttpServerResponse.setHeaders(response, { ...apiHeaders, "x-request-id": record.id })
  })

  const handle = (request: HttpServerRequest.HttpServerRequest) => {
    const record: RequestRecord = {
      id: nameRequest(apartFromToken(request.headers, "x-request-id")),
      route: null,
      tenantId: null,
    }
    const refused = refusal(request, SubscriptionRef.getUnsafe(readiness).status === "stopping")
    const target = ingressTarget(request.url)
    if (target === undefined) return handleApi(request, record, refused ?? timed)
    // The server runs all this without interruption, as the router does until it has a route.
    const carried = refused ?? Effect.interruptible(carryIngress(request, target, record.id))
    return answer(request, record, carried)
  }
  return { handle: Effect.flatMap(HttpServerRequest.HttpServerRequest, handle) }
})

/** No answer of the API is to be stored or taken for another type than it says. */
const apiHeaders = { "cache-control": "no-store", "x-content-type-options": "nosniff" }
