/**
 * Where each setting comes from, and what is said about every mistake.
 */
import * as fs from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"

import { load } from "../../src/main/Config.ts"
import { settingKeys, settings } from "../../src/main/Setting.ts"

const directory = Effect.acquireRelease(
  Effect.sync(() => fs.mkdtempSync(join(tmpdir(), "solo-config-"))),
  (path) => Effect.sync(() => fs.rmSync(path, { recursive: true })),
)

const toText = (content: unknown) =>
  typeof content === "string" ? content : JSON.stringify(content)

const withFile = (content: unknown) =>
  Effect.tap(directory, (cwd) =>
    Effect.sync(() => fs.writeFileSync(join(cwd, "solo.config.json"), toText(content))),
  )

const linesOf = (env: Record<string, string>, content: unknown = {}) =>
  Effect.gen(function* () {
    const cwd = yield* withFile(content)
    const error = yield* Effect.flip(load({ env, cwd }))
    assert.strictEqual(error.code, 78)
    return [...error.lines].sort()
  })

describe("Config", () => {
  it.effect("has a default for everything", () =>
    Effect.gen(function* () {
      const cwd = yield* directory
      const config = yield* load({ env: { PATH: "/bin" }, cwd })
      assert.strictEqual(config.dataDir, join(cwd, "data"))
      assert.deepInclude(config, {
        host: "127.0.0.1",
        port: 8080,
        rootToken: undefined,
        masterKey: undefined,
        autoFix: false,
        shutdownTimeoutMs: 10_000,
        tokenCleanupIntervalMs: 3_600_000,
        logLevel: "info",
        logFormat: undefined,
        plugins: [],
      })
    }),
  )

  it.effect("lets the environment win over the file, and the file over defaults", () =>
    Effect.gen(function* () {
      const cwd = yield* withFile({
        port: 1000,
        host: "::1",
        dataDir: "here",
        plugins: ["./a.ts", { from: "b", optional: true, config: { x: 1 } }],
        pluginConfig: { http: { y: 2 } },
      })
      const config = yield* load({ env: { SOLO_PORT: "0" }, cwd })
      assert.strictEqual(config.port, 0)
      assert.strictEqual(config.host, "::1")
      assert.strictEqual(config.dataDir, join(cwd, "here"))
      assert.deepStrictEqual(config.plugins, [
        { from: "./a.ts", optional: false, config: undefined },
        { from: "b", optional: true, config: { x: 1 } },
      ])
      assert.deepStrictEqual(config.pluginConfig, { http: { y: 2 } })
      const fromEnv = yield* load({ env: { SOLO_PLUGINS: "./c.js, d" }, cwd })
      assert.deepStrictEqual(
        fromEnv.plugins.map(({ from }) => from),
        ["./c.js", "d"],
      )
    }),
  )

  it.effect("resolves paths of a file against the file, those of the environment against cwd", () =>
    Effect.gen(function* () {
      const [cwd, elsewhere] = [
        yield* directory,
        yield* withFile({ dataDir: "d", plugins: ["./p.ts"] }),
      ]
      const path = join(elsewhere, "solo.config.json")
      const config = yield* load({ env: { SOLO_CONFIG: path }, cwd })
      assert.deepInclude(config, { dataDir: join(elsewhere, "d"), pluginBase: elsewhere })
      const other = yield* load({ env: { SOLO_CONFIG: path, SOLO_DATA_DIR: "d" }, cwd })
      assert.strictEqual(other.dataDir, join(cwd, "d"))
    }),
  )

  it.effect("keeps secrets redacted (promise 8)", () =>
    Effect.gen(function* () {
      const cwd = yield* directory
      const token = "t".repeat(32)
      const key = Buffer.alloc(32, 7).toString("base64")
      const config = yield* load({ env: { SOLO_ROOT_TOKEN: token, SOLO_MASTER_KEY: key }, cwd })
      assert.strictEqual(Redacted.value(config.rootToken!), token)
      assert.strictEqual(Redacted.value(config.masterKey!), key)
      assert.notInclude(toText(config), token)
    }),
  )

  it.effect("collects all mistakes, one line each, and repeats no secret", () =>
    Effect.gen(function* () {
      const secret = "hunter2-hunter2"
      const lines = yield* linesOf(
        { SOLO_PORT: "80a", SOLO_ROOT_TOKEN: secret, SOLO_PROT: "1", SOLO_LOG_LEVEL: "a\nb" },
        {
          host: 7,
          rootTokn: secret,
          masterKey: secret,
          autoFix: "yes",
          plugins: [{ form: "./x.ts" }, 3],
          pluginConfig: { http: [] },
        },
      )
      assert.notInclude(lines.join("\n"), secret)
      assert.deepStrictEqual(
        lines,
        [
          'SOLO_LOG_LEVEL: found "a�b", expected one of trace, debug, info, warn, error, fatal, none',
          'SOLO_PORT: found "80a", expected a whole number from 0 to 65535',
          "SOLO_PROT: is not a known variable (did you mean SOLO_PORT?)",
          "SOLO_ROOT_TOKEN: found a secret of 15 characters, expected at least 32 characters without spaces",
          './solo.config.json: autoFix: found "yes", expected true or false',
          "./solo.config.json: host: found 7, expected a host name or an IP address",
          "./solo.config.json: masterKey: found a secret of 15 characters, expected 32 bytes in base64",
          "./solo.config.json: pluginConfig.http: found a list, expected an object",
          "./solo.config.json: plugins[0].form: is not a known key",
          "./solo.config.json: plugins[0].from: is missing",
          "./solo.config.json: plugins[1]: found 3, expected string | object",
          "./solo.config.json: rootTokn: is not a known key (did you mean rootToken?)",
        ].sort(),
      )
    }),
  )

  it.effect("says what is wrong with a file that is no object, no JSON, or not there", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* linesOf({}, "[]"), [
        "./solo.config.json: found a list, expected an object",
      ])
      assert.include((yield* linesOf({}, '{"rootToken": "se"'))[0], "is not JSON")
      assert.deepStrictEqual(yield* linesOf({ SOLO_CONFIG: "no.json" }), [
        'SOLO_CONFIG: "no.json": there is no such file',
      ])
      assert.include((yield* linesOf({ SOLO_CONFIG: "/" }))[0], 'SOLO_CONFIG: "/": ')
    }),
  )

  it.effect("says which destination of a list is none", () =>
    Effect.gen(function* () {
      const lines = yield* linesOf({ SOLO_NETWORK_ALLOW: "10.0.0.0/8, localhost,db:5432, ::/129" })
      const expected = "expected host:port, or an address and its prefix such as 10.0.0.0/8"
      assert.deepStrictEqual(lines, [
        `SOLO_NETWORK_ALLOW[1]: found a string, ${expected}`,
        `SOLO_NETWORK_ALLOW[3]: found a string, ${expected}`,
      ])
    }),
  )

  it.effect("takes an empty variable for a mistake", () =>
    Effect.gen(function* () {
      const lists = new Set<string>(["plugins", "networkAllow"])
      const single = settingKeys.filter((key) => !lists.has(key))
      const env = Object.fromEntries(single.map((key) => [settings[key].env, ""]))
      assert.strictEqual((yield* linesOf(env)).length, single.length)
    }),
  )

  it.effect("refuses a former master key without the one that replaces it", () =>
    Effect.gen(function* () {
      const key = Buffer.alloc(32, 1).toString("base64")
      const lines = yield* linesOf({ SOLO_MASTER_KEY_PREVIOUS: key })
      assert.match(lines.join(), /^SOLO_MASTER_KEY_PREVIOUS: .*SOLO_MASTER_KEY replaces/)
      assert.notInclude(lines.join(), key)
    }),
  )
})
