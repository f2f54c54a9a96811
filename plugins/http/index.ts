/**
 * The gateway plugin: REST, server-sent events, ingress to services, and the API's own pages, over
 * HTTP/1.1. It composes the parts; meaning is the kernel's.
 */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as Effect from "effect/Effect"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import * as HttpRouter from "effect/http/HttpRouter"
import * as Layer from "effect/Layer"
import {
  CapabilityManager,
  definePlugin,
  Deployer,
  EventStore,
  Gateway,
  Ingress,
  KeyValueStore,
  pluginApiVersion,
  Readiness,
  Replayer,
  Runtime,
  Scheduler,
  ServiceLogs,
  Vault,
  Verifier,
} from "solo"

import { Api } from "./Api.ts"
import { Authorization, checkGuards } from "./Authorization.ts"
import { Documentation } from "./Documentation.ts"
import { EventsHandlers } from "./EventsHandlers.ts"
import { GatewayConfig } from "./GatewayConfig.ts"
import { HealthHandlers } from "./HealthHandlers.ts"
import { IngressRoute, makeCarryIngress } from "./IngressRoute.ts"
import { LoadShedder } from "./LoadShedder.ts"
import { LogsHandlers } from "./LogsHandlers.ts"
import { OperationHandlers } from "./OperationHandlers.ts"
import { ProblemDetails } from "./ProblemDetails.ts"
import { RecoveryHandlers } from "./RecoveryHandlers.ts"
import { RequestBody } from "./RequestBody.ts"
import { makeRequests } from "./Requests.ts"
import { SchedulesHandlers } from "./SchedulesHandlers.ts"
import { SecretsHandlers } from "./SecretsHandlers.ts"
import { listen } from "./Server.ts"
import { ServicesHandlers } from "./ServicesHandlers.ts"
import { EventStreams } from "./Sse.ts"
import { StoreHandlers } from "./StoreHandlers.ts"
import { TokensHandlers } from "./TokensHandlers.ts"
import { VerificationHandlers } from "./VerificationHandlers.ts"

const routes = (config: GatewayConfig) =>
  Layer.mergeAll(
    HttpApiBuilder.layer(Api).pipe(
      Layer.provide([
        ServicesHandlers,
        StoreHandlers,
        LogsHandlers,
        SchedulesHandlers,
        EventsHandlers,
        HealthHandlers,
        RecoveryHandlers,
        TokensHandlers,
        SecretsHandlers,
        VerificationHandlers,
        OperationHandlers,
      ]),
      Layer.provide([Authorization.layer, ProblemDetails.layer, RequestBody.layer(config)]),
    ),
    IngressRoute,
    Documentation,
  )

/** The gateway. */
const gatewayLayer = (config: GatewayConfig) =>
  Layer.effect(
    Gateway,
    Effect.gen(function* () {
      yield* checkGuards(Api)
      const routed = yield* HttpRouter.toHttpEffect(routes(config)).pipe(
        Effect.provideService(HttpRouter.RouterConfig, {
          caseSensitive: true,
          ignoreDuplicateSlashes: false,
          maxParamLength: config.maxHeaderBytes,
        }),
      )
      const streams = yield* EventStreams
      const carryIngress = yield* makeCarryIngress(config)
      const { handle } = yield* makeRequests({ routed, carryIngress }, config)
      const url = yield* listen(config, handle, streams.endAll)
      yield* Effect.logDebug("the gateway listens").pipe(Effect.annotateLogs({ url }))
      return Gateway.of({ url })
    }),
  ).pipe(
    Layer.provide([
      EventStreams.layer(config),
      LoadShedder.layer(config),
      NodeHttpServer.layerHttpServices,
    ]),
  )

/** The plugin `http`. */
export default definePlugin({
  name: "http",
  version: "0.1.0",
  apiVersion: pluginApiVersion,
  needs: [
    Deployer,
    Ingress,
    EventStore,
    Replayer,
    Readiness,
    ServiceLogs,
    Scheduler,
    CapabilityManager,
    Vault,
    KeyValueStore,
    Verifier,
    Runtime,
  ],
  provides: [Gateway],
  config: GatewayConfig,
  layer: gatewayLayer,
})
