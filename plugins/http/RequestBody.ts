/**
 * The gate in front of every endpoint that takes a body: its type, size, encoding and arrival in
 * time. What the JSON must look like is the endpoint's own schema.
 */
import * as ByteSize from "effect/ByteSize"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as HttpApiMiddleware from "effect/http-api/HttpApiMiddleware"
import { MaxBodySize } from "effect/http/HttpIncomingMessage"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"

import type { GatewayConfig } from "./GatewayConfig.ts"
import { answers, type Problem, problem } from "./Problem.ts"

/** The middleware of endpoints with a JSON body. */
export class RequestBody extends HttpApiMiddleware.Service<RequestBody>()(
  "solo/plugins/http/RequestBody",
  {
    error: answers("malformed-body", "body-too-large", "unsupported-media-type", "request-timeout"),
  },
) {
  static readonly layer = (
    config: Pick<GatewayConfig, "bodyTimeoutMs" | "maxBodyBytes">,
  ): Layer.Layer<RequestBody> =>
    Layer.effect(
      RequestBody,
      Effect.map(Effect.scope, (scope) =>
        RequestBody.of((handled) =>
          Effect.flatMap(HttpServerRequest.HttpServerRequest, (request) =>
            Effect.andThen(readJson(request, config, scope), handled),
          ),
        ),
      ),
    )
}

const json = /^application\/json\s*(?:;|$)/i

const wrongType = (headers: HttpServerRequest.HttpServerRequest["headers"]): string | undefined => {
  const type = headers["content-type"]
  const encoding = headers["content-encoding"]
  if (type !== undefined && !json.test(type)) {
    return "send the body as JSON with the header Content-Type: application/json"
  }
  if (type !== undefined && /charset\s*=/i.test(type) && !/charset\s*=\s*"?utf-?8/i.test(type)) {
    return "send the JSON in UTF-8"
  }
  return encoding !== undefined && encoding.toLowerCase() !== "identity"
    ? "send the body without content encoding"
    : undefined
}

/** Reads the body into the request's own cache, where the endpoint's decoder finds it. */
const readJson = (
  request: HttpServerRequest.HttpServerRequest,
  { bodyTimeoutMs, maxBodyBytes }: Pick<GatewayConfig, "bodyTimeoutMs" | "maxBodyBytes">,
  gateway: Scope.Scope,
): Effect.Effect<void, Problem> => {
  const reason = wrongType(request.headers)
  if (reason !== undefined) return Effect.fail(problem("unsupported-media-type", reason))
  const tooLarge = problem(
    "body-too-large",
    `the body is larger than the ${maxBodyBytes} bytes this route takes`,
  )
  if (Number(request.headers["content-length"] ?? 0) > maxBodyBytes) return Effect.fail(tooLarge)
  return request.arrayBuffer.pipe(
    Effect.provideService(MaxBodySize, ByteSize.bytes(maxBodyBytes)),
    Effect.mapError((error) =>
      error.reason._tag === "RequestParseError" && error.reason.reason === "BodyTooLarge"
        ? tooLarge
        : problem("malformed-body", "the body could not be read to its end"),
    ),
    // Interrupting the read would destroy the connection before the client has its answer, so the
    // read outlives the request by as long as the connection does.
    Effect.forkIn(gateway),
    Effect.flatMap(Fiber.join),
    Effect.timeoutOrElse({
      duration: bodyTimeoutMs,
      orElse: () =>
        Effect.fail(
          problem("request-timeout", `the body did not arrive within ${bodyTimeoutMs} ms`),
        ),
    }),
    Effect.flatMap(checkJson),
  )
}

const decodeUtf8 = new TextDecoder("utf-8", { fatal: true })
const decodeJson = Schema.decodeUnknownEffect(Schema.fromJsonString(Schema.Unknown))

/** Whether the bytes are one JSON document. The endpoint parses again, from the same cache. */
const checkJson = (bytes: ArrayBuffer): Effect.Effect<void, Problem> =>
  Effect.try({
    try: () => decodeUtf8.decode(bytes),
    catch: () => problem("malformed-body", "the body is not valid UTF-8"),
  }).pipe(
    Effect.flatMap((text) =>
      text.trim() === ""
        ? Effect.fail(problem("malformed-body", "the body is empty; send a JSON object"))
        : Effect.mapError(decodeJson(text), (error) => {
            const place = /at position \d+(?: \(line \d+ column \d+\))?/.exec(String(error))?.[0]
            return problem(
              "malformed-body",
              `the body is not valid JSON${place === undefined ? "" : ` ${place}`}`,
            )
          }),
    ),
  )
