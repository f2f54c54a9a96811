/**
 * The open connections of one server: answers bytes that are no request, and at shutdown closes
 * each connection as soon as it owes nobody an answer. Node alone would keep an idle connection
 * for its whole keep-alive time, and a silent one for ever. It tells clients that sent all they
 * have to say from those that left.
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

/** How long a client that sends no more is left alone before it is asked whether it still reads. */
const firstAskMs = 100

const malformed = problem("malformed-http", "the bytes received are not an HTTP/1.1 request")

const unmetExpectation = problem("expectation-failed", "Expect knows only 100-continue")

/** What Node's parser refuses, as the problem it is. */
const refusals: Record<string, Problem> = {
  HPE_HEADER_OVERFLOW: problem("headers-too-large", "request line and headers are too large"),
  HPE_CHUNK_EXTENSIONS_OVERFLOW: problem("body-too-large", "the chunk extensions are too large"),
  ERR_HTTP_REQUEST_TIMEOUT: problem("request-timeout", "the request did not arrive in time"),
}

/** Whole answer to a request that never reaches a route. It ends the connection. */
const answer = (refused: Problem, requestId: string) => {
  const { status, title } = problemKind(refused.problem)
  const body = JSON.stringify(problemBody(refused, requestId))
  const headers = {
    "Content-Type": ProblemDetails.contentType,
    "Content-Length": Buffer.byteLength(body),
    "X-Request-Id": requestId,
    Connection: "close",
  }
  return {
    through: (response: ServerResponse): void => {
      response.writeHead(status, headers)
      response.end(body)
    },
    raw: [
      `HTTP/1.1 ${status} ${title}`,
      ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
      "",
      body,
    ].join("\r\n"),
  }
}

const close = (socket: Socket, lastWords = ""): void => {
  if (socket.destroyed) return
  const timer = setTimeout(() => socket.destroy(), lingerMs)
  socket.once("close", () => clearTimeout(timer))
  socket.end(lastWords)
}

/** What one connection still has to answer. */
interface Owed {
  readonly responses: Set<ServerResponse>
  /** Once what came cannot be read: with what the connection ends when it owes nothing more. */
  lastWords: string | undefined
  /** Asks a client that sends no more whether it still reads. */
  asking: NodeJS.Timeout | undefined
}

/** The answer that is to be written next. */
const nextOf = ({ responses }: Owed): ServerResponse | undefined =>
  [...responses].find(({ destroyed, writableEnded }) => !destroyed && !writableEnded)

/**
 * Asks a client that sends no more whether it still reads, less and less often. One that left says
 * nothing more, but refuses what is written to it, and the write after that one fails.
 */
const ask = (owed: Owed, waitMs: number): void => {
  owed.asking = setTimeout(() => {
    const next = nextOf(owed)
    if (next === undefined) return
    if (!next.headersSent) next.writeContinue()
    ask(owed, 2 * waitMs)
  }, waitMs)
}

/** Keeps what a client that sends no more has asked for, where it can be told from one that left. */
const onHalfClosed = (socket: Socket, owed: Owed): void => {
  const next = nextOf(owed)
  if (next === undefined) return
  // Nothing may come before an answer of HTTP/1.0, nor in the middle of one: it is taken to have left.
  if (next.headersSent || next.req.httpVersionMinor === 0) socket.end()
  else ask(owed, firstAskMs)
}

/** Ends a request that cannot come to its end, for whoever works on it too. Its connection stays. */
const abandon = (response: ServerResponse, socket: Socket): void => {
  if (response.socket === socket) response.detachSocket(socket)
  response.destroy()
}

/** Answers bytes that Node's parser refuses, without breaking answers that are on their way. */
const refuse = (error: NodeJS.ErrnoException, socket: Socket, owed: Owed, requestId: string) => {
  if (error.code === "ECONNRESET" || !socket.writable) return socket.destroy()
  if (owed.lastWords !== undefined) return undefined
  const { raw } = answer(refusals[error.code ?? ""] ?? malformed, requestId)
  const open = [...owed.responses]
  if (open.length === 0) return close(socket, raw)
  const unfinished = open.find(({ req }) => !req.complete)
  // Half an answer cannot be taken back; a second one after it would be taken for its end.
  const isBegun = unfinished?.headersSent === true
  if (open.length === 1 && isBegun && !unfinished.writableEnded) return socket.destroy()
  // The requests before it are answered first, each in full.
  owed.lastWords = unfinished === undefined || isBegun ? "" : raw
  if (unfinished?.writableEnded === false) abandon(unfinished, socket)
}

/** Watches the connections of `server`. */
export const watchConnections = (server: Server, nameRequest: NameRequest) => {
  const connections = new Map<Socket, Owed>()
  let draining = false
  let whenEmpty = () => {}
  // Without it Node ends a connection whose client sends no more, whatever it still owes.
  Object.assign(server, { httpAllowHalfOpen: true })

  server.on("connection", (socket: Socket) => {
    const owed: Owed = { responses: new Set(), lastWords: undefined, asking: undefined }
    connections.set(socket, owed)
    socket.on("end", () => onHalfClosed(socket, owed))
    socket.on("close", () => {
      connections.delete(socket)
      clearTimeout(owed.asking)
      if (connections.size === 0) whenEmpty()
    })
    // A connection that breaks is the client's affair; unhandled, it would be the kernel's.
    socket.on("error", () => {})
  })

  const onRequest = ({ headers, socket }: IncomingMessage, response: ServerResponse): void => {
    const owed = connections.get(socket)
    if (owed === undefined) return
    // Node reads nothing more from a connection once an upgrade was asked for and declined.
    if (headers.upgrade !== undefined) response.shouldKeepAlive = false
    owed.responses.add(response)
    response.on("close", () => {
      owed.responses.delete(response)
      if (owed.responses.size > 0) return
      if (draining || owed.lastWords !== undefined) close(socket, owed.lastWords)
    })
  }
  server.prependListener("request", onRequest)
  server.prependListener("checkContinue", onRequest)

  server.on("checkExpectation", (_request: IncomingMessage, response: ServerResponse) => {
    answer(unmetExpectation, nameRequest(undefined)).through(response)
  })

  server.on("clientError", (error: NodeJS.ErrnoException, socket: Socket) => {
    const owed = connections.get(socket)
    if (owed === undefined) socket.destroy()
    else refuse(error, socket, owed, nameRequest(undefined))
  })

  return {
    /** Takes no more connections, closes each that owes no answer, and waits for the others. */
    drain: Effect.callback<void>((resume) => {
      draining = true
      whenEmpty = () => resume(Effect.void)
      server.close()
      for (const [socket, { responses }] of connections) {
        if (responses.size === 0) close(socket)
      }
      if (connections.size === 0) whenEmpty()
    }),
    /** Closes whatever is left, at once. Returns how many connections that were. */
    destroy: Effect.sync(() => {
      const { size } = connections
      for (const socket of connections.keys()) socket.destroy()
      return size
    }),
  }
}
