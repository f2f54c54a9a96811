/**
 * What is evaluated first in a service's realm: puts the web's classes onto the global object,
 * takes away what a service must not have, and hands the runner its few ways in.
 */
// oxlint-disable import/no-unassigned-import -- these libraries define globals
import "core-js/actual/dom-exception/index.js"
import "core-js/actual/url/index.js"
import "core-js/actual/url-search-params/index.js"
import "core-js/actual/structured-clone.js"
import "core-js/actual/atob.js"
import "core-js/actual/btoa.js"
// oxlint-enable import/no-unassigned-import
import { TextEncoder, TextEncoderStream } from "@exodus/bytes/encoding-lite.js"
import * as streams from "web-streams-polyfill"

import { console } from "./Console.ts"
import { crypto } from "./Crypto.ts"
import { TextDecoder, TextDecoderStream } from "./Encoding.ts"
import { AbortController, AbortSignal, CustomEvent, Event, EventTarget } from "./Events.ts"
import { reportError } from "./Failure.ts"
import { fetch } from "./Fetch.ts"
import { Headers } from "./Headers.ts"
import { inbound, now, outbound } from "./Host.ts"
import { fail, receive, start } from "./Instance.ts"
import { Request, Response } from "./Messages.ts"
import { SafeProxy } from "./SafeProxy.ts"
import { describeCalls } from "./Stack.ts"
import { clearTimer, setTimer, tick } from "./Timers.ts"

/** Where the script around this bundle looks for what it made. */
// oxlint-disable-next-line no-unused-vars -- see above
declare let realm: unknown

const timer =
  (repeat: boolean) =>
  (run: (...args: Array<unknown>) => unknown, delay?: unknown, ...args: Array<unknown>): number =>
    setTimer(run, delay, args, repeat)

const epoch = Date.now() - now()

const globals = {
  ...streams,
  TextDecoder,
  TextDecoderStream,
  TextEncoder,
  TextEncoderStream,
  AbortController,
  AbortSignal,
  CustomEvent,
  Event,
  EventTarget,
  Headers,
  Proxy: SafeProxy,
  Request,
  Response,
  console,
  crypto,
  fetch,
  performance: { now, timeOrigin: epoch },
  self: globalThis,
  setTimeout: timer(false),
  setInterval: timer(true),
  clearTimeout: clearTimer,
  clearInterval: clearTimer,
  reportError,
  queueMicrotask: (run: () => unknown): void => {
    if (typeof run !== "function") throw new TypeError("queueMicrotask takes a function")
    void Promise.resolve()
      .then(() => run())
      .catch(reportError)
  },
}

for (const name of ["WebAssembly", "SharedArrayBuffer", "Atomics", "console"])
  Reflect.deleteProperty(globalThis, name)
// Left by a library.
Reflect.deleteProperty(globalThis, "__core-js_shared__")
for (const [name, value] of Object.entries(globals)) {
  // The bundler renames a class whose name a library uses for a global.
  if (typeof value === "function") Object.defineProperty(value, "name", { value: name })
  Object.defineProperty(globalThis, name, {
    value,
    writable: true,
    configurable: true,
    enumerable: false,
  })
}

realm = {
  inbound: inbound.buffer,
  outbound: outbound.buffer,
  receive,
  start,
  fail,
  tick,
  reportError,
  describeCalls,
}
