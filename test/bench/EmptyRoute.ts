/**
 * The baseline of the ingress benchmark, a process of its own: one route of Effect's HttpRouter
 * that answers with a text, on a free port that it prints.
 */
import { createServer } from "node:http"

import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"

const node = createServer()
node.on("listening", () => {
  const address = node.address()
  if (typeof address === "object") process.stdout.write(`${address?.port}\n`)
})

const route = HttpRouter.add("GET", "/", HttpServerResponse.text("hello"))

NodeRuntime.runMain(
  HttpRouter.serve(route, { disableLogger: true, disableListenLog: true }).pipe(
    Layer.provide(NodeHttpServer.layer(() => node, { host: "127.0.0.1", port: 0 })),
    Layer.launch,
  ),
)
