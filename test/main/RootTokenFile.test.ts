/**
 * The root token: made once, closed, rotated durably, never told (promise 8).
 */
import * as fs from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

import { assert, describe, it } from "@effect/vitest"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Redacted from "effect/Redacted"

import { RootToken } from "../../src/kernel/capability/RootToken.ts"
import { MasterKeys } from "../../src/kernel/vault/MasterKeys.ts"
import * as KernelFile from "../../src/main/KernelFile.ts"
import { layerMasterKeyFile } from "../../src/main/MasterKeyFile.ts"
import * as RootTokenFile from "../../src/main/RootTokenFile.ts"
import { sha256 } from "../kernel/Sha256.ts"

const directory = Effect.acquireRelease(
  Effect.sync(() => fs.mkdtempSync(join(tmpdir(), "solo-token-"))),
  (path) => Effect.sync(() => fs.rmSync(path, { recursive: true })),
)

const readJson = (path: string): Record<string, unknown> =>
  JSON.parse(fs.readFileSync(path, "utf8"))

const readOrGenerate = (directory: string) =>
  Effect.provide(RootTokenFile.readOrGenerate(directory), SecureRandom.layerWebCrypto)

const layer = (directory: string, configured?: Redacted.Redacted) =>
  Layer.provide(RootTokenFile.layer(directory, configured), SecureRandom.layerWebCrypto)

const verify = (directory: string, presented: string, configured?: Redacted.Redacted) =>
  Effect.provide(
    Effect.map(RootToken, ({ verify }) => verify(sha256(presented))),
    layer(directory, configured),
  )

describe("RootTokenFile", () => {
  it.live(
    "generates a token once, mode 0600, and logs its path but never the token (promise 8)",
    () =>
      Effect.gen(function* () {
        const path = yield* directory
        const logged: Array<string> = []
        const logger = Logger.map(Logger.formatJson, (line) => void logged.push(line))
        const first = yield* Effect.provide(readOrGenerate(path), Logger.layer([logger]))
        const token = fs.readFileSync(join(path, "root-token"), "utf8").trim()
        assert.match(token, /^solo_[A-Za-z0-9_-]{43}$/)
        assert.strictEqual(Redacted.value(first), token)
        assert.strictEqual(fs.statSync(join(path, "root-token")).mode & 0o777, 0o600)
        assert.include(logged.join(), join(path, "root-token"))
        assert.notInclude(logged.join(), token)
        assert.strictEqual(Redacted.value(yield* readOrGenerate(path)), token)
        assert.deepStrictEqual(fs.readdirSync(path), ["root-token"])
        assert.isTrue(yield* verify(path, token))
        assert.isFalse(yield* verify(path, `${token}x`))
        assert.isFalse(yield* verify(path, ""))
      }),
  )

  it.live("prefers the configured token and writes no file then", () =>
    Effect.gen(function* () {
      const path = yield* directory
      const configured = Redacted.make("c".repeat(40))
      assert.isTrue(yield* verify(path, "c".repeat(40), configured))
      assert.isFalse(yield* verify(path, "d".repeat(40), configured))
      assert.deepStrictEqual(fs.readdirSync(path), [])
    }),
  )

  it.live("closes a file that others may read, and refuses one without a token", () =>
    Effect.gen(function* () {
      const path = yield* directory
      const file = join(path, "root-token")
      fs.writeFileSync(file, `${"a".repeat(32)}\n`, { mode: 0o644 })
      yield* readOrGenerate(path)
      assert.strictEqual(fs.statSync(file).mode & 0o777, 0o600)
      fs.writeFileSync(file, "torn")
      const error = yield* Effect.flip(Layer.build(layer(path)))
      assert.include(error.message, "delete it to have a new one generated")
      assert.notInclude(error.message, "torn")
    }),
  )

  it.live("is not disturbed by what a crash left of an earlier attempt", () =>
    Effect.gen(function* () {
      const path = yield* directory
      fs.writeFileSync(join(path, "root-token.new"), "half")
      yield* readOrGenerate(path)
      assert.deepStrictEqual(fs.readdirSync(path), ["root-token"])
    }),
  )
})

describe("the secrets of a data directory", () => {
  it.live("are made of what SecureRandom gives", () =>
    Effect.gen(function* () {
      const path = yield* directory
      let calls = 0
      const random = Layer.mock(SecureRandom.SecureRandom, {
        randomBytes: (size) => Effect.sync(() => new Uint8Array(size).fill(++calls)),
      })
      const base64 = (byte: number) => Buffer.alloc(32, byte).toString("base64url")
      yield* Effect.gen(function* () {
        const token = yield* RootTokenFile.readOrGenerate(path)
        assert.strictEqual(Redacted.value(token), `solo_${base64(1)}`)
        const keys = yield* MasterKeys
        const [first] = yield* keys.keys
        const second = yield* keys.add
        assert.deepStrictEqual(
          [first, second].map((key) => Buffer.from(Redacted.value(key)).toString("base64url")),
          [base64(2), base64(3)],
        )
        const { rotate } = yield* RootToken
        assert.strictEqual(Redacted.value(yield* rotate), `solo_${base64(4)}`)
      }).pipe(
        Effect.provide(
          layerMasterKeyFile(path).pipe(
            Layer.provideMerge(RootTokenFile.layer(path, undefined)),
            Layer.provideMerge(random),
          ),
        ),
      )
    }),
  )
})

describe("KernelFile", () => {
  it.live("is there, closed to others, while its scope is open, and gone after", () =>
    Effect.gen(function* () {
      const path = yield* directory
      const file = join(path, "kernel.json")
      yield* Effect.scoped(
        Effect.gen(function* () {
          yield* KernelFile.publish(path, "http://127.0.0.1:1")
          const written = readJson(file)
          assert.deepInclude(written, { pid: process.pid, url: "http://127.0.0.1:1" })
          assert.match(String(written["startedAt"]), /^\d{4}-\d\d-\d\dT[\d:.]+Z$/)
          assert.strictEqual(fs.statSync(file).mode & 0o777, 0o600)
        }),
      )
      assert.isFalse(fs.existsSync(file))
      yield* KernelFile.remove(path)
    }),
  )
})
