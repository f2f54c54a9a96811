/**
 * The entry of a service's thread: a realm behind a message port.
 */
import { randomFillSync } from "node:crypto"
import { parentPort, workerData } from "node:worker_threads"

import { type Assignment, run } from "../realm/Runner.ts"

const port = parentPort!
// oxlint-disable-next-line unicorn/require-post-message-target-origin -- a port has none
const receive = run(workerData as Assignment, (frame) => port.postMessage(frame), randomFillSync)
port.on("message", receive)
