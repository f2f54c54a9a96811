/**
 * A real kernel with things worth stealing and breaking around it, and the eyes that see from
 * outside whether any of them was touched.
 */
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { type AddressInfo, createServer, type Server } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"

import { call, type KernelProcess, ready, startKernel } from "../process/KernelProcess.ts"
import type { Scenario, Target } from "./Scenario.ts"

const secrets = {
  file: "canary-in-a-file-7d1f",
  environment: "canary-in-the-environment-91ac",
  neighbour: "canary-of-a-neighbour-c04e",
}

/** Limits of a hostile service: short, so that the suite is. */
const limits = { heapMb: 64, startupTimeoutMs: 1500, requestTimeoutMs: 2000 }

/** How a service ended up, and what it did to the world. */
export interface Verdict {
  readonly fate: Exclude<Scenario["fate"], "either">
  /** What was stolen, touched or hurt, in words; empty when nothing was. */
  readonly harm: ReadonlyArray<string>
  /** What the kernel answered, for messages. */
  readonly said: string
}

/** The scene. */
export class CrimeScene {
  readonly #directory = mkdtempSync(join(tmpdir(), "solo-hostile-"))
  readonly #victim: ChildProcess
  readonly #server: Server
  #connections = 0
  #kernel: KernelProcess | undefined
  #target: Target | undefined

  private constructor() {
    this.#victim = spawn("sleep", ["600"], { stdio: "ignore" })
    this.#server = createServer((socket) => {
      this.#connections++
      socket.destroy()
    }).listen(0, "127.0.0.1")
  }

  /** Sets the scene; `sandbox` is what the configuration says of it. */
  static async make(sandbox: Readonly<Record<string, string>>): Promise<CrimeScene> {
    const scene = new CrimeScene()
    await once(scene.#server, "listening")
    await scene.#furnish(sandbox)
    return scene
  }

  async #furnish(sandbox: Readonly<Record<string, string>>): Promise<void> {
    chmodSync(this.#directory, 0o777)
    const file = join(this.#directory, "canary")
    writeFileSync(file, secrets.file, { mode: 0o644 })
    const dataDir = join(this.#directory, "data")
    const kernel = await startKernel({
      dataDir,
      env: { CANARY: secrets.environment },
      config: { pluginConfig: { boxes: { sandbox, stallMs: 500 } } },
    })
    this.#kernel = kernel
    await ready(kernel)
    this.#target = {
      file,
      fresh: join(this.#directory, "fresh"),
      port: (this.#server.address() as AddressInfo).port,
      pid: this.#victim.pid!,
      kernelPid: kernel.pid,
      database: join(dataDir, "solo.db"),
    }
    const body = {
      serviceId: "neighbour",
      source: "export default { fetch: (_, { env }) => new Response(env.SECRET) }",
      env: { SECRET: secrets.neighbour },
    }
    const created = await call(kernel, "POST", "/v1/services", { tenant: "alice", body })
    if (created.status !== 201) throw new Error(created.text)
  }

  /** Lets a scenario loose and says what came of it. */
  async try(scenario: Scenario): Promise<Verdict> {
    const kernel = this.#kernel!
    const serviceId = scenario.name
    const body = {
      serviceId,
      source: scenario.source(this.#target!),
      format: "javascript",
      restart: "temporary",
      limits,
      ...scenario.grants?.(this.#target!),
    }
    const tenant = "mallory"
    const deployed = await call(kernel, "POST", "/v1/services", { tenant, body })
    const texts = [deployed.text]
    let fate: Verdict["fate"] = "refused"
    if (deployed.status === 201) {
      const answer = await call(kernel, "POST", `/services/mallory/${serviceId}/a?b=c`, {
        body: "payload",
      }).catch((error: unknown) => ({ status: 502, text: String(error), headers: new Headers() }))
      fate = answer.status === 200 ? "answers" : "dies"
      texts.push(answer.text, JSON.stringify([...answer.headers]))
      const logs = await call(kernel, "GET", `/v1/services/${serviceId}/logs`, { tenant })
      texts.push(logs.text)
      const harm = await this.#harm(texts)
      const path = `/v1/services/${serviceId}?force=true`
      const removed = await call(kernel, "DELETE", path, { tenant })
      if (removed.status !== 200) harm.push(`it cannot be killed: ${removed.text}`)
      return { fate, harm, said: `${answer.status} ${answer.text.slice(0, 500)}` }
    }
    return { fate, harm: await this.#harm(texts), said: deployed.text.slice(0, 500) }
  }

  async #harm(texts: ReadonlyArray<string>): Promise<Array<string>> {
    const kernel = this.#kernel!
    const { file, fresh } = this.#target!
    const harm: Array<string> = []
    const said = texts.join("\n")
    for (const [what, secret] of Object.entries({ ...secrets, token: kernel.token }))
      if (said.includes(secret)) harm.push(`the secret of the ${what} came out`)
    if (/ESCAPED/.test(said)) harm.push("it holds an object of another realm")
    if (readFileSync(file, "utf8") !== secrets.file) harm.push("the canary was changed")
    if (existsSync(fresh)) harm.push("a file was written")
    if (this.#connections > 0) harm.push("a connection was made")
    if (this.#victim.exitCode !== null || this.#victim.signalCode !== null)
      harm.push("the victim was killed")
    const neighbour = await call(kernel, "GET", "/services/alice/neighbour/").catch(() => undefined)
    if (neighbour?.text !== secrets.neighbour) harm.push("the neighbour does not answer")
    const alive = await call(kernel, "GET", "/health/live").catch(() => undefined)
    if (alive?.status !== 200) harm.push("the kernel does not answer")
    return harm
  }

  /** Whether the kernel's database is whole, and holds nothing of a hostile service's making. */
  databaseHarm(): ReadonlyArray<string> {
    const database = new DatabaseSync(this.#target!.database, { readOnly: true })
    try {
      const [check] = database.prepare("PRAGMA integrity_check").all()
      const result = Object.values(check ?? {})[0]
      return result === "ok" ? [] : [String(result)]
    } finally {
      database.close()
    }
  }

  /** Events of a type in the kernel's log. */
  async events(type: string): Promise<ReadonlyArray<Record<string, unknown>>> {
    const answer = await call(this.#kernel!, "GET", `/v1/events?limit=1000&type=${type}`)
    return answer.json.items
  }

  /** Ends the kernel as a person would; answers its exit code. */
  async close(): Promise<number | null> {
    const end = await this.#kernel?.end("SIGTERM")
    this.#victim.kill("SIGKILL")
    this.#server.close()
    rmSync(this.#directory, { recursive: true, force: true })
    return end?.code ?? null
  }
}
