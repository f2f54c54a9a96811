/**
 * The way into services: `/services/{tenantId}/{serviceId}/…`. It checks the caller, hands the
 * request over as a stream and the response back as one. A raw route, because it is the hot path
 * and its bodies belong to the service.
 */
import * as Effect from "effect/Effect"
import * as HttpRouter from "effect/http/HttpRouter"
import type { HttpServerRequest } from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Stream from "effect/Stream"
import {
  CapabilityManager,
  Ingress,
  type ServiceId,
  ServiceNotFound,
  type ServiceResponse,
  type TenantId,
} from "solo"

import { admit, bearerToken } from "./Caller.ts"
import { CurrentRequest } from "./CurrentRequest.ts"
import { fromKernel, invalidRequest } from "./Failures.ts"
import type { GatewayConfig } from "./GatewayConfig.ts"
import { LoadShedder } from "./LoadShedder.ts"
import { Problem, problem } from "./Problem.ts"
import { ingressPermission } from "./RawRoutes.ts"
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
export const isIngress = (url: string): boolean => url.startsWith("/services/")

/** The origin a service sees: the one the client used, if that can be part of a URL. */
const makeOriginOf = () => {
  let known = "localhost"
  return (host: string | undefined): string => {
    if (host === undefined || host === known) return known
    if (!/^[A-Za-z0-9.\-_:[\]]{1,255}$/.test(host) || !URL.canParse(`http://${host}/`)) return known
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

/** Statuses that never have a body, whatever a service sends with them. */
const bodiless: ReadonlySet<number> = new Set([204, 205, 304])

/** Node holds a head back until something is written, which a stream of events may do much later. */
const nothing = Stream.make(new Uint8Array(0))

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
    body === null || isHeadOnly || bodiless.has(status)
      ? HttpServerResponse.empty(options)
      : whole === undefined
        ? HttpServerResponse.stream(Stream.concat(nothing, body), options)
        : HttpServerResponse.uint8Array(whole, options)
  const written = response.headers as Record<string, string | Array<string>>
  // Node writes one header per cookie when given a list, which Effect's header type cannot say.
  if (cookies !== undefined) written["set-cookie"] = cookies
  // Effect gives a stream a type; a service that gave none is left without.
  if (rest["content-type"] === undefined) delete written["content-type"]
  return Effect.succeed(response)
}

/** Adds the route. */
export const IngressRoute = (config: Pick<GatewayConfig, "maxIngressBodyBytes">) =>
  HttpRouter.use(
    Effect.fnUntraced(function* (router) {
      const capabilities = yield* CapabilityManager
      const shedder = yield* LoadShedder
      const ingress = yield* Ingress
      const originOf = makeOriginOf()

      const handle = Effect.fnUntraced(function* (request: HttpServerRequest) {
        const { headers, method, url } = request
        const target = pattern.exec(url)
        const token = bearerToken(headers["authorization"])
        if (target === null) {
          yield* admit(capabilities, token, { permission: ingressPermission, on: "own" })
          return yield* malformedName
        }
        const tenantId = target[1] as TenantId
        const serviceId = target[2] as ServiceId
        const caller = yield* admit(
          capabilities,
          token,
          { permission: ingressPermission, on: { serviceId }, tenantId },
          // Another tenant's service and one that is not there are the same to the caller.
          () => fromKernel(new ServiceNotFound({ serviceId })),
        )
        yield* shedder.enter(caller)
        if (method === "TRACE") return yield* untraceable
        const { body, exceeded, tooLarge } = bounded(request, config.maxIngressBodyBytes)
        if (exceeded()) return yield* tooLarge()
        const { id } = yield* CurrentRequest
        const rest = target[3]!
        const response = yield* ingress
          .request(
            { tenantId, serviceId },
            {
              method,
              url: `http://${originOf(headers["host"])}${rest.startsWith("/") ? "" : "/"}${rest}`,
              headers: toService(headers, id),
              body,
            },
          )
          .pipe(Effect.mapError((error) => (exceeded() ? tooLarge() : fromKernel(error))))
        return yield* respond(method, response, id)
      })

      yield* router.add("*", "/services/:tenantId/:serviceId/*", handle)
    }),
  )
