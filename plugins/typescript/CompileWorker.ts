/**
 * The thread that compiles. A source nested deeply enough exhausts the type stripper's stack and
 * leaves its WebAssembly memory broken for every later source, so it runs where it can be thrown
 * away; this file says when that is due.
 */
import { parentPort } from "node:worker_threads"

import { type Outcome, compileSource } from "./ServiceSource.ts"

/** What the thread is asked. */
export interface CompileRequest {
  readonly source: string
  readonly format: "typescript" | "javascript"
}

/** What it answers; `overflow` means that the thread must not be used again. */
export interface CompileReply {
  readonly outcome: Outcome | "overflow"
}

parentPort?.on("message", ({ source, format }: CompileRequest) => {
  let outcome: CompileReply["outcome"]
  try {
    outcome = compileSource(source, format)
  } catch {
    outcome = "overflow"
  }
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread has none
  parentPort?.postMessage({ outcome } satisfies CompileReply)
})
