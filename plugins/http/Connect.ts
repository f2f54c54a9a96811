/**
 * CONNECT, which Node hands over with its connection instead of as a request: the gateway is no
 * proxy and says so. Unheard, Node would close the connection without a word.
 */
import { type IncomingMessage, type Server, ServerResponse } from "node:http"
import type { Socket } from "node:net"

import * as ProblemDetails from "effect/http/ProblemDetails"

import type { NameRequest } from "./CurrentRequest.ts"
import { problem, problemBody } from "./Problem.ts"
import { problemKind } from "./ProblemCatalogue.ts"

/** How long a client has to read the answer. */
const lingerMs = 500

const noProxy = problem("not-implemented", "the gateway is no proxy: CONNECT leads nowhere")

/** Answers every CONNECT with a problem, and ends its connection. */
export const refuseConnect = (server: Server, nameRequest: NameRequest): void => {
  server.on("connect", (request: IncomingMessage, socket: Socket) => {
    const requestId = nameRequest(undefined)
    const response = new ServerResponse(request)
    response.shouldKeepAlive = false
    try {
      response.assignSocket(socket)
    } catch {
      // An earlier answer is on its way, and one beside it would be taken for a part of it.
      return void socket.destroy()
    }
    const body = JSON.stringify(problemBody(noProxy, requestId))
    socket.setTimeout(lingerMs, () => socket.destroy())
    response.writeHead(problemKind(noProxy.problem).status, {
      "content-type": ProblemDetails.contentType,
      "content-length": Buffer.byteLength(body),
      "x-request-id": requestId,
    })
    response.end(body, () => socket.end())
  })
}
