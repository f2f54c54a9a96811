/**
 * The way into services: `/services/{tenantId}/{serviceId}/…`. It checks the caller, hands the
 * request over as a stream and the response back as one. A raw route, because it is the hot path
 * and its bodies belong to the service.
 */
import { Buffer, isUtf8 } from "node:buffer"

import * as Effect from "effect/Effect"
import * as HttpRouter from "effect/http/HttpRouter"
import type { HttpServerRequest } from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import {
  CapabilityManager,
  Ingress,
  mayHaveBody,
  type ServiceId,
  type ServiceName,
  ServiceNotFound,
  type ServiceResponse,
  type TenantId,
} from "solo"

import { admit, bearerToken } from "./Caller.ts"
import { fromKernel, invalidRequest } from "./Failures.ts"
import type { GatewayConfig } from "./GatewayConfig.ts"
import { LoadShedder } from "./LoadShedder.ts"
import { Problem, problem } from "./Problem.ts"
import { ingressPermission } from "./RawRoutes.ts"
import { isDecodable, pathOf } from "./RequestPath.ts"
import { notHeaders, toClient, toService } from "./ServiceHeaders.ts"

// The ids are matched as they stand, before any decoding: what the router and the service would
// decode differently cannot name another tenant (promise 6).
const pattern = /^\/services\/([A-Za-z0-9_-]{1,128})\/([A-Za-z0-9_-]{1,128})(?=[/?]|$)(.*)$/s

const malformedName = invalidRequest([
  {
    path: ["params"],
    message:
      "Expected /services/{tenantId}/{serviceId}/…, each id 1 to 128 characters out of A-Z, a-z, 0-9, _ and -",
  },
])

const untraceable = new Problem({
  problem: "method-not-allowed",
  detail: "TRACE is not handed to services",
  allow: ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"],
})

/** Whether a URL is one of ingress. */
const isIngress = (url: string): boolean => url.startsWith("/services/")

/** The host a service sees where the client named none, or none that can be part of a URL. */
const noHost = "localhost"

const isHost = (host: string): boolean =>
  /^[A-Za-z0-9.\-_:[\]]{1,255}$/.test(host) && URL.canParse(`http://${host}/`)

/** The host a service sees: the one the client used, if that can be part of a URL. */
const makeHostOf = () => {
  // The last one that was good, which need not be looked at again; never the answer for another.
  let known = noHost
  return (host: string | undefined): string => {
    if (host === undefined) return noHost
    if (host === known) return host
    if (!isHost(host)) return noHost
    known = host
    return host
  }
}

/** Passes a body on while it stays within `maximum` bytes. */
const bounded = (request: HttpServerRequest, maximum: number) => {
  const { headers, method } = request
  const length = headers["content-length"]
  const tooLarge = () =>
    problem(
      "body-too-large",
      `the body is larger than the ${maximum} bytes that may go into a service`,
    )
  const has =
    method !== "GET" &&
    method !== "HEAD" &&
    (headers["transfer-encoding"] !== undefined || (length !== undefined && length !== "0"))
  let received = 0
  return {
    tooLarge,
    exceeded: () => received > maximum || Number(length ?? 0) > maximum,
    body: has
      ? Stream.mapArrayEffect(request.stream, (chunks) => {
          for (const chunk of chunks) received += chunk.length
          return received > maximum ? Effect.fail(tooLarge()) : Effect.succeed(chunks)
        })
      : null,
  }
}

const notAResponse = problem(
  "service-failed",
  "the service answered with a status or header that HTTP does not allow",
)

/** Node holds a head back until something is written, which a stream of events may do much later. */
const nothing = Stream.make(new Uint8Array(0))

/** Up to this many bytes, it is cheaper to turn a body into text than to write it by itself. */
const maxTextBytes = 16 * 1024

/** Node writes a text together with the head, in one call to the system instead of two. */
const wholeResponse = (whole: Uint8Array, options: { readonly headers: Record<string, string> }) =>
  whole.length <= maxTextBytes && isUtf8(whole)
    ? HttpServerResponse.text(
        Buffer.from(whole.buffer, whole.byteOffset, whole.length).toString(),
        options,
      )
    : HttpServerResponse.uint8Array(whole, options)

const respond = (
  method: string,
  { body, headers, status, whole }: ServiceResponse,
  requestId: string,
): Effect.Effect<HttpServerResponse.HttpServerResponse, Problem> => {
  // To HEAD and in a 304 a length is that of the body which is not sent.
  const isHeadOnly = method === "HEAD" || status === 304
  const passed = toClient(headers, !isHeadOnly)
  if (passed === notHeaders || !Number.isInteger(status) || status < 200 || status > 599) {
    return Effect.fail(notAResponse)
  }
  const { "set-cookie": cookies, ...rest } = passed
  if (body === null && !isHeadOnly) rest["content-length"] = "0"
  const options = {
    status,
    headers: { ...rest, "x-request-id": requestId } as Record<string, string>,
  }
  const response =
    body === null || !mayHaveBody(method, status)
      ? HttpServerResponse.empty(options)
      : whole === undefined
        ? HttpServerResponse.stream(Stream.concat(nothing, body), options)
        : wholeResponse(whole, options)
  const written = response.headers as Record<string, string | Array<string>>
  // Node writes one header per cookie when given a list, which Effect's header type cannot say.
  if (cookies !== undefined) written["set-cookie"] = cookies
  // Effect gives a stream a type; a service that gave none is left without.
  if (rest["content-type"] === undefined) delete written["content-type"]
  return Effect.succeed(response)
}

/** The name a service has in a URL, and what of the URL it sees. */
export interface IngressTarget extends ServiceName {
  readonly rest: string
}

/**
 * Which service a URL is for; `undefined` where it names none, or where what the service would see
 * is no text that is percent-encoded.
 */
export const ingressTarget = (url: string): IngressTarget | undefined => {
  if (!isIngress(url)) return undefined
  const match = pattern.exec(url)
  if (match === null) return undefined
  const rest = match[3]!
  if (rest.includes("%") && !isDecodable(pathOf(rest))) return undefined
  return { tenantId: match[1] as TenantId, serviceId: match[2] as ServiceId, rest }
}

/** Carries one request to its service. Its scope is the request's. */
export type CarryIngress = (
  request: HttpServerRequest,
  target: IngressTarget,
  requestId: string,
) => Effect.Effect<HttpServerResponse.HttpServerResponse, Problem, Scope.Scope>

/** Makes what carries requests to services. It is no route of the router, which would cost it more. */
export const makeCarryIngress = Effect.fnUntraced(function* (
  config: Pick<GatewayConfig, "maxIngressBodyBytes">,
) {
  const capabilities = yield* CapabilityManager
  const shedder = yield* LoadShedder
  const ingress = yield* Ingress
  const hostOf = makeHostOf()

  const carry: CarryIngress = Effect.fnUntraced(function* (
    request,
    { rest, serviceId, tenantId },
    id,
  ) {
    const { headers, method } = request
    const caller = yield* admit(
      capabilities,
      bearerToken(headers["authorization"]),
      { permission: ingressPermission, on: { serviceId }, tenantId },
      // Another tenant's service and one that is not there are the same to the caller.
      () => fromKernel(new ServiceNotFound({ serviceId })),
    )
    yield* shedder.enter(caller, "ingress")
    if (method === "TRACE") return yield* untraceable
    const { body, exceeded, tooLarge } = bounded(request, config.maxIngressBodyBytes)
    if (exceeded()) return yield* tooLarge()
    const response = yield* Effect.mapError(
      ingress.request(
        { tenantId, serviceId },
        {
          method,
          url: `http://${hostOf(headers["host"])}${rest.startsWith("/") ? "" : "/"}${rest}`,
          headers: toService(headers, id),
          body,
        },
      ),
      (error) => (exceeded() ? tooLarge() : fromKernel(error)),
    )
    return yield* respond(method, response, id)
  })
  return carry
})

/** The route of URLs that look like those of services and name none. */
export const IngressRoute = HttpRouter.use(
  Effect.fnUntraced(function* (router) {
    const capabilities = yield* CapabilityManager
    const refuse = ({ headers }: HttpServerRequest) =>
      Effect.andThen(
        admit(capabilities, bearerToken(headers["authorization"]), {
          permission: ingressPermission,
          on: "own",
        }),
        malformedName,
      )
    yield* router.add("*", "/services/:tenantId/:serviceId/*", refuse)
  }),
)
