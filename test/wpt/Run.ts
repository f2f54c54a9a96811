/**
 * Runs files of web-platform-tests inside the realm that services get: the harness, the file's own
 * scripts and the file itself are one service, which answers with the outcome of every case.
 */
import * as fs from "node:fs"
import { dirname, join, resolve } from "node:path"

import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

import { layer as threads } from "../../plugins/threads/index.ts"
import { ask, startService } from "../contract/RuntimeClient.ts"

/** How long one file may take, in milliseconds. Only a broken realm ever takes so long. */
const patienceMs = 30_000

const Outcomes = Schema.fromJsonString(
  Schema.Array(
    Schema.Struct({
      name: Schema.String,
      /** 0 is a pass. */
      status: Schema.Int,
      message: Schema.NullOr(Schema.String),
    }),
  ),
)

/** What the tests expect of the global object and services do not have. */
const before = (resources: Readonly<Record<string, string>>) => `
const resources = ${JSON.stringify(resources)}
const location = { href: "http://localhost/", search: "", pathname: "/", protocol: "http:" }
const fetch = async (path) => {
  if (!(path in resources)) throw new TypeError("no such resource: " + path)
  return { json: async () => JSON.parse(resources[path]), text: async () => resources[path] }
}
const GLOBAL = { isWindow: () => false, isWorker: () => false, isShadowRealm: () => false }
self.GLOBAL = GLOBAL
self.location = location
// Relative URLs have a document to be relative to there.
const Request = class extends globalThis.Request {
  constructor(input, init) {
    super(typeof input === "string" || input instanceof URL ? new URL(input, location.href) : input, init)
  }
}
const gc = undefined
`

const after = `
;const finished = new Promise((resolve) => add_completion_callback((tests) => resolve(
  tests.map(({ name, status, message }) => ({ name, status, message: message ?? null })))))
done()
export default { async fetch() { return Response.json(await finished) } }
`

const scriptsOf = (text: string): ReadonlyArray<string> =>
  [...text.matchAll(/^\/\/ META: script=(\S+)/gm)].map(([, path]) => path!)

const resourcesOf = (text: string, directory: string): Readonly<Record<string, string>> =>
  Object.fromEntries(
    [...text.matchAll(/fetch\(["']([^"']+\.json)["']\)/g)].map(([, path]) => [
      path!,
      fs.readFileSync(join(directory, path!), "utf8"),
    ]),
  )

/** Runs the file `path` of the checkout `root`. */
export const runFile = Effect.fn(
  function* (root: string, path: string) {
    const file = join(root, path)
    const text = fs.readFileSync(file, "utf8")
    const scripts = scriptsOf(text).map((script) =>
      script.startsWith("/") ? join(root, script) : resolve(dirname(file), script),
    )
    const parts = [join(root, "resources/testharness.js"), ...scripts].map((script) =>
      fs.readFileSync(script, "utf8"),
    )
    const code = [before(resourcesOf(text, dirname(file))), ...parts, text, after].join("\n;")
    const instance = yield* startService(code)
    return yield* Schema.decodeEffect(Outcomes)((yield* ask(instance)).text)
  },
  Effect.scoped,
  Effect.timeout(patienceMs),
  Effect.provide(threads),
)
