/**
 * The open connections of one server: answers bytes that are no request, and at shutdown closes
 * each connection as soon as it owes nobody an answer. Node alone would keep an idle connection
 * for its whole keep-alive time, and a silent one for ever.
 */
import type { IncomingMessage, Server, ServerResponse } from "node:http"
import type { Socket } from "node:net"

import * as Effect from "effect/Effect"
import * as ProblemDetails from "effect/http/ProblemDetails"

import type { NameRequest } from "./CurrentRequest.ts"
import { type Problem, problem, problemBody } from "./Problem.ts"
import { problemKind } from "./ProblemCatalogue.ts"

/** How long a client has to read the answer to bytes that are no request. */
const lingerMs = 500

const malformed = problem("malformed-http", "the bytes received are not an HTTP/1.1 request")

/** What Node's parser refuses, as the problem it is. */
const refusals: Record<string, Problem> = {
  HPE_HEADER_OVERFLOW: problem("headers-too-large", "request line and headers are too large"),
  HPE_CHUNK_EXTENSIONS_OVERFLOW: problem("body-too-large", "the chunk extensions are too large"),
  ERR_HTTP_REQUEST_TIMEOUT: problem("request-timeout", "the request did not arrive in time"),
}

const rawResponse = (refused: Problem, requestId: string): string => {
  const { status, title } = problemKind(refused.problem)
  const body = JSON.stringify(problemBody(refused, requestId))
  return [
    `HTTP/1.1 ${status} ${title}`,
    `Content-Type: ${ProblemDetails.contentType}`,
    `Content-Length: ${Buffer.byteLength(body)}`,
    `X-Request-Id: ${requestId}`,
    "Connection: close",
    "",
    body,
  ].join("\r\n")
}

const close = (socket: Socket, lastWords = ""): void => {
  if (socket.destroyed) return
  socket.setTimeout(lingerMs, () => socket.destroy())
  socket.end(lastWords)
}

/** Watches the connections of `server`. */
export const watchConnections = (server: Server, nameRequest: NameRequest) => {
  /** How many requests each connection waits for. */
  const owed = new Map<Socket, number>()
  let draining = false
  let whenEmpty = () => {}

  server.on("connection", (socket: Socket) => {
    owed.set(socket, 0)
    socket.on("close", () => {
      owed.delete(socket)
      if (owed.size === 0) whenEmpty()
    })
    // A connection that breaks is the client's affair; unhandled, it would be the kernel's.
    socket.on("error", () => {})
  })

  const onRequest = ({ socket }: IncomingMessage, response: ServerResponse): void => {
    owed.set(socket, (owed.get(socket) ?? 0) + 1)
    response.on("close", () => {
      const left = (owed.get(socket) ?? 1) - 1
      if (owed.has(socket)) owed.set(socket, left)
      if (draining && left === 0) close(socket)
    })
  }
  server.prependListener("request", onRequest)
  server.prependListener("checkContinue", onRequest)

  server.on("checkExpectation", (_request: IncomingMessage, response: ServerResponse) => {
    const refused = problem("expectation-failed", "Expect knows only 100-continue")
    const id = nameRequest(undefined)
    response.writeHead(problemKind(refused.problem).status, {
      "content-type": ProblemDetails.contentType,
      "x-request-id": id,
      connection: "close",
    })
    response.end(JSON.stringify(problemBody(refused, id)))
  })

  server.on("clientError", (error: NodeJS.ErrnoException, socket: Socket) => {
    if (error.code === "ECONNRESET" || !socket.writable) return socket.destroy()
    // A response on its way cannot be taken back; another one after it would be taken for its end.
    if ((owed.get(socket) ?? 0) > 0) return socket.destroy()
    close(socket, rawResponse(refusals[error.code ?? ""] ?? malformed, nameRequest(undefined)))
  })

  return {
    /** Takes no more connections, closes each that owes no answer, and waits for the others. */
    drain: Effect.callback<void>((resume) => {
      draining = true
      whenEmpty = () => resume(Effect.void)
      server.close()
      for (const [socket, count] of owed) if (count === 0) close(socket)
      if (owed.size === 0) whenEmpty()
    }),
    /** Closes whatever is left, at once. Returns how many connections that were. */
    destroy: Effect.sync(() => {
      const { size } = owed
      for (const socket of owed.keys()) socket.destroy()
      return size
    }),
  }
}
