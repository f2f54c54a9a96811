/**
 * Servers on the loopback interface for tests of the network, and what they saw. The certificate is
 * for the name `trusted.test`, signs itself, and is good for nothing else.
 */
import * as http from "node:http"
import * as https from "node:https"
import * as net from "node:net"

import * as Effect from "effect/Effect"

export const certificate = `-----BEGIN CERTIFICATE-----
MIIBnjCCAUSgAwIBAgIUKD31z3Pm4TNLNkYDLTGbsqzdNXswCgYIKoZIzj0EAwIw
FzEVMBMGA1UEAwwMdHJ1c3RlZC50ZXN0MCAXDTI2MTEyMzA3MjEyM1oYDzIxMjYx
MDMwMDcyMTIzWjAXMRUwEwYDVQQDDAx0cnVzdGVkLnRlc3QwWTATBgcqhkjOPQIB
BggqhkjOPQMBBwNCAAQzbC3kf5vNduXzneIZtP37wrD/NnoXTkmzoDr10a1ud+5S
a8/SdevYrEcRCvKAGtRBA8Yx3qGFQSlaC//Gph9ao2wwajAdBgNVHQ4EFgQUZkHi
T1EYpHAyB5XhI/IZbbxSjikwHwYDVR0jBBgwFoAUZkHiT1EYpHAyB5XhI/IZbbxS
jikwDwYDVR0TAQH/BAUwAwEB/zAXBgNVHREEEDAOggx0cnVzdGVkLnRlc3QwCgYI
KoZIzj0EAwIDSAAwRQIgMyzGRZdftqwuo0eeQ8zvnzJTKJERTME5yCOnYdC6hjkC
IQCNJ3ysEeZnLHQ0mdGhkjkWnwm99kw2N8lmUiH8YzyOVA==
-----END CERTIFICATE-----`

const key = `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgvnAELrYN1vVU3Mlq
RB8BoBkwM3qjgUW9qAfEW7KUa7qhRANCAAQzbC3kf5vNduXzneIZtP37wrD/NnoX
TkmzoDr10a1ud+5Sa8/SdevYrEcRCvKAGtRBA8Yx3qGFQSlaC//Gph9a
-----END PRIVATE KEY-----`

/** A server that listens, and its connections. */
interface Listening {
  readonly port: number
  readonly sockets: ReadonlyArray<net.Socket>
}

const listen = (server: net.Server) =>
  Effect.acquireRelease(
    Effect.callback<Listening & { readonly close: () => void }>((resume) => {
      const sockets: Array<net.Socket> = []
      server.on("connection", (socket: net.Socket) => {
        socket.on("error", () => {})
        sockets.push(socket)
      })
      server.listen(0, "127.0.0.1", () => {
        const { port } = server.address() as net.AddressInfo
        const close = () => {
          server.close()
          for (const socket of sockets) socket.destroy()
        }
        resume(Effect.succeed({ port, sockets, close }))
      })
    }),
    ({ close }) => Effect.sync(close),
  )

/** A web server. */
export const serve = (handle: http.RequestListener) => listen(http.createServer(handle))

/** A web server behind TLS. */
export const serveSecurely = (handle: http.RequestListener) =>
  listen(https.createServer({ key, cert: certificate }, handle))

/** A server that speaks whatever it likes. */
export const serveRaw = (handle: (socket: net.Socket) => void) => listen(net.createServer(handle))
