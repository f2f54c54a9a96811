/**
 * The API described: the OpenAPI document and the page that shows it. Both work without a network;
 * the page's policy forbids its browser to load anything from elsewhere.
 */
import * as Effect from "effect/Effect"
import * as HttpApiScalar from "effect/http-api/HttpApiScalar"
import * as OpenApi from "effect/http-api/OpenApi"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import type * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"

import { Api } from "./Api.ts"
import { docsPath, openApiPath } from "./RawRoutes.ts"

const policy = [
  "default-src 'none'",
  "script-src 'unsafe-inline'",
  "style-src 'unsafe-inline'",
  "img-src 'self' data: blob:",
  "font-src data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join("; ")

/** The routes `/openapi.json` and `/docs`. */
export const Documentation: Layer.Layer<never, never, HttpRouter.HttpRouter> = HttpRouter.use(
  Effect.fnUntraced(function* (router) {
    const document = yield* Effect.cached(
      Effect.sync(() => HttpServerResponse.jsonUnsafe(OpenApi.fromApi(Api))),
    )
    yield* router.add("GET", openApiPath, document)

    // The page carries three megabytes of script: it is loaded when somebody first asks for it.
    const page = yield* Effect.cached(
      HttpRouter.toHttpEffect(
        HttpApiScalar.layer(Api, {
          path: docsPath,
          scalar: { withDefaultFonts: false, defaultOpenAllTags: true },
        }),
      ),
    )
    const scope = yield* Effect.scope
    yield* router.add(
      "GET",
      docsPath,
      Effect.map(
        Effect.orDie(Effect.flatten(Effect.provideService(page, Scope.Scope, scope))),
        HttpServerResponse.setHeader("content-security-policy", policy),
      ),
    )
  }),
)
