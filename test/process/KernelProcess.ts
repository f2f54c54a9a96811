/**
 * A real kernel: `node dist/main.js` in a process of its own, on a free port and a directory of its
 * own, and what a client needs to talk to it. What is tested with it stands in the test files.
 */
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"

import * as Effect from "effect/Effect"

const main = fileURLToPath(new URL("../../dist/main.js", import.meta.url))

/** How long a kernel may take to listen before a test fails with what it printed. */
const listenTimeoutMs = 60_000

/** How a kernel's process ended. */
export interface ProcessEnd {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

/** A running kernel. */
export interface KernelProcess {
  readonly url: string
  readonly pid: number
  readonly token: string
  readonly dataDir: string
  /** Everything printed so far, standard output and standard error. */
  readonly output: () => { readonly stdout: string; readonly stderr: string }
  /** Sends a signal without waiting. */
  readonly signal: (signal: NodeJS.Signals) => void
  /** Sends a signal and waits for the end. */
  readonly end: (signal: NodeJS.Signals) => Promise<ProcessEnd>
  readonly ended: Promise<ProcessEnd>
}

/** Settings of a kernel under test. */
export interface KernelProcessOptions {
  readonly dataDir: string
  readonly env?: Readonly<Record<string, string>>
  /** What its configuration file says, if it has one: written beside the data directory. */
  readonly config?: unknown
}

const configFile = ({ config, dataDir }: KernelProcessOptions): string => {
  const path = `${dataDir}.config.json`
  writeFileSync(path, JSON.stringify(config))
  return path
}

const environment = (options: KernelProcessOptions) => ({
  PATH: process.env["PATH"] ?? "",
  HOME: tmpdir(),
  SOLO_DATA_DIR: options.dataDir,
  SOLO_PORT: "0",
  SOLO_LOG_FORMAT: "json",
  ...(options.config === undefined ? {} : { SOLO_CONFIG: configFile(options) }),
  ...options.env,
})

/** Starts the process and only that: for commands, and kernels that are not expected to come up. */
export const spawnKernel = (
  options: KernelProcessOptions,
  args: ReadonlyArray<string> = [],
): ChildProcess =>
  spawn(process.execPath, [main, ...args], {
    env: environment(options),
    cwd: tmpdir(),
    stdio: ["ignore", "pipe", "pipe"],
  })

const collect = (child: ChildProcess) => {
  const output = { stdout: "", stderr: "" }
  child.stdout?.on("data", (data: Buffer) => (output.stdout += String(data)))
  child.stderr?.on("data", (data: Buffer) => (output.stderr += String(data)))
  return output
}

const endOf = async (child: ChildProcess): Promise<ProcessEnd> => {
  const [code, signal] = (await once(child, "close")) as [number | null, NodeJS.Signals | null]
  return { code, signal }
}

/** Runs a kernel that is expected to end by itself; answers how, and what it printed. */
export const runKernel = async (options: KernelProcessOptions) => {
  const child = spawnKernel(options)
  const output = collect(child)
  return { ...(await endOf(child)), ...output }
}

const listening = (child: ChildProcess, output: { stdout: string; stderr: string }) =>
  new Promise<string>((resolve, reject) => {
    const fail = (why: string) => reject(new Error(`${why}\n${output.stdout}\n${output.stderr}`))
    const timer = setTimeout(() => fail("the kernel did not listen in time"), listenTimeoutMs)
    child.stdout!.on("data", () => {
      const url = /solo listening on (http:\S+)/.exec(output.stdout)?.[1]
      if (url === undefined) return
      clearTimeout(timer)
      resolve(url)
    })
    child.once("close", () => {
      clearTimeout(timer)
      fail("the kernel ended before it listened")
    })
  })

/** Starts a kernel and waits until it listens; `onSpawn` sees its process before that. */
export const startKernel = async (
  options: KernelProcessOptions,
  onSpawn: (child: ChildProcess) => unknown = () => undefined,
): Promise<KernelProcess> => {
  const child = spawnKernel(options)
  onSpawn(child)
  const output = collect(child)
  const ended = endOf(child)
  const url = await listening(child, output)
  return {
    url,
    pid: child.pid!,
    token:
      options.env?.["SOLO_ROOT_TOKEN"] ??
      readFileSync(join(options.dataDir, "root-token"), "utf8").trim(),
    dataDir: options.dataDir,
    output: () => ({ ...output }),
    signal: (signal) => void child.kill(signal),
    end: (signal) => {
      child.kill(signal)
      return ended
    },
    ended,
  }
}

/** A kernel for as long as the scope lives; it is killed at the end, if it still runs. */
export const kernel = (options: KernelProcessOptions) =>
  Effect.acquireRelease(
    Effect.promise(() => startKernel(options)),
    (running) => Effect.promise(() => running.end("SIGKILL")),
  )

/** A data directory of its own for as long as the scope lives. */
export const dataDirectory = Effect.acquireRelease(
  Effect.sync(() => join(mkdtempSync(join(tmpdir(), "solo-process-")), "data")),
  (path) => Effect.sync(() => rmSync(join(path, ".."), { recursive: true, force: true })),
)

/** An answer with its body read as JSON where it is JSON. */
export interface Answer {
  readonly status: number
  readonly headers: Headers
  readonly text: string
  // oxlint-disable-next-line typescript/no-explicit-any -- tests look into whatever came back
  readonly json: any
}

/** What to send. */
export interface Call {
  readonly tenant?: string
  readonly token?: string
  readonly body?: unknown
  readonly headers?: Readonly<Record<string, string>>
}

/** Sends a request with the root token. */
export const call = async (
  running: Pick<KernelProcess, "url" | "token">,
  method: string,
  path: string,
  { tenant, token = running.token, body, headers }: Call = {},
): Promise<Answer> => {
  const response = await fetch(`${running.url}${path}`, {
    method,
    redirect: "manual",
    headers: {
      authorization: `Bearer ${token}`,
      ...(tenant === undefined ? {} : { "x-tenant-id": tenant }),
      ...(body === undefined ? {} : { "content-type": "application/json" }),
      ...headers,
    },
    ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
  })
  const text = await response.text()
  const isJson = /json/.test(response.headers.get("content-type") ?? "")
  return {
    status: response.status,
    headers: response.headers,
    text,
    json: isJson ? JSON.parse(text) : undefined,
  }
}

/** Waits until the kernel is ready; answers how often it was asked. */
export const ready = async (running: Pick<KernelProcess, "url" | "token">): Promise<number> => {
  for (let asked = 1; ; asked++) {
    const response = await fetch(`${running.url}/health/ready`)
    await response.arrayBuffer()
    if (response.status === 200) return asked
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

/** All events a kernel has, page by page. */
export const allEvents = async (
  running: Pick<KernelProcess, "url" | "token">,
  query = "",
): Promise<ReadonlyArray<Record<string, unknown>>> => {
  const items: Array<Record<string, unknown>> = []
  let cursor: string | null = null
  do {
    const from: string = cursor === null ? "" : `&cursor=${encodeURIComponent(cursor)}`
    const page = await call(running, "GET", `/v1/events?limit=1000${query}${from}`)
    items.push(...page.json.items)
    cursor = page.json.next
  } while (cursor !== null)
  return items
}
