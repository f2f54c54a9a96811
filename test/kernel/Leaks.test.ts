/**
 * Recognisable tokens, secrets and keys are planted, everything is done with them including what
 * fails, and then every log line, error, event, metric and byte on disk is searched for them, in
 * every spelling that a slip might use (promise 8).
 */
import { readdirSync, readFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { inspect } from "node:util"

import { assert, it } from "@effect/vitest"
import * as Aead from "effect/crypto/Aead"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Metric from "effect/Metric"
import * as Redacted from "effect/Redacted"
import * as References from "effect/References"
import * as Tracer from "effect/Tracer"

import { type Bearer, root } from "../../src/domain/Capability.ts"
import { ServiceId, TenantId } from "../../src/domain/Identifier.ts"
import { SecretName } from "../../src/domain/Secret.ts"
import { CapabilityManager, type Granted } from "../../src/kernel/capability/CapabilityManager.ts"
import { MasterKeys } from "../../src/kernel/vault/MasterKeys.ts"
import { Vault } from "../../src/kernel/vault/Vault.ts"
import { layerVault } from "../../src/kernel/vault/VaultSql.ts"
import { layerMasterKeyFile } from "../../src/main/MasterKeyFile.ts"
import { layerCapabilities, lockOut, newFile, outside, rootSecret } from "./Workbench.ts"

const a = { tenantId: TenantId.make("a"), actor: "root" }
const planted = "PLANTED-sEcReT-2b9f41c7d8"
const plantedAgain = "PLANTED-another-5500aa11ee"
const guess = "PLANTED-guessed-token-99ff"

/** A text as it is, in base64 at each offset, in hex, and as UTF-16. */
const spellings = (text: string): ReadonlyArray<Buffer> => {
  const bytes = Buffer.from(text)
  const base64 = [0, 1, 2].map((offset) =>
    Buffer.concat([Buffer.alloc(offset), bytes])
      .toString("base64")
      .slice(4, -4),
  )
  return [
    text,
    bytes.toString("hex"),
    ...base64,
    ...base64.map((encoded) => encoded.replaceAll("+", "-").replaceAll("/", "_")),
  ]
    .map((spelling) => Buffer.from(spelling))
    .concat([Buffer.from(text, "utf16le")])
}

it.live("nothing secret is told or left anywhere", () =>
  Effect.gen(function* () {
    const filename = newFile()
    const files = () => readdirSync(dirname(filename)).map((file) => join(dirname(filename), file))
    const output: Array<string> = []
    /** What is on disk, while the kernel runs and after it has ended. */
    const images: Array<Buffer> = []
    const say = (value: unknown) =>
      output.push(inspect(value, { depth: 12, showHidden: true }), String(value))
    const logger = Logger.layer([
      Logger.make((entry) => say([entry.message, entry.cause, entry.fiber])),
      Logger.make((entry) =>
        output.push(Logger.formatJson.log(entry), Logger.formatLogFmt.log(entry)),
      ),
    ])
    const tracer = Tracer.make({
      span: (options) => {
        const span = new Tracer.NativeSpan(options)
        const { end } = span
        span.end = (time, exit) => {
          say([span.name, [...span.attributes], exit])
          end.call(span, time, exit)
        }
        return span
      },
    })
    const secrets: Array<string> = [planted, plantedAgain, guess, Redacted.value(rootSecret)]
    const keep = (granted: Granted) => {
      secrets.push(Redacted.value(granted.token))
      return granted
    }
    const attempt = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
      Effect.map(Effect.exit(effect), (exit) => {
        say(exit)
        if (Exit.isFailure(exit)) say(exit.cause)
      })

    const everything = Effect.gen(function* () {
      const manager = yield* CapabilityManager
      const vault = yield* Vault
      const name = SecretName.make("api-key")
      const service = { tenantId: a.tenantId, serviceId: ServiceId.make("s") }
      const use = Effect.gen(function* () {
        const granted = keep(yield* manager.grant(root, a.tenantId, { permissions: ["read"] }))
        const bearer: Bearer = { _tag: "Tenant", capability: granted.capability }
        say(granted)
        say(bearer)
        yield* attempt(Effect.map(manager.attenuate(bearer, {}), keep))
        yield* attempt(manager.attenuate(bearer, { permissions: ["kill"] }))
        yield* attempt(manager.verify(granted.token, { permission: "kill", on: "tenant" }))
        yield* attempt(manager.verify(granted.token, { permission: "read", on: "tenant" }))
        yield* attempt(manager.authenticate(Redacted.make(guess)))
        yield* attempt(manager.authenticate(rootSecret))
        yield* attempt(manager.list(a.tenantId, { limit: 100 }))
        yield* attempt(vault.store(a, name, Redacted.make(planted)))
        yield* attempt(vault.store(a, name, Redacted.make(plantedAgain)))
        yield* attempt(vault.store(a, name, Redacted.make(planted.repeat(10_000))))
        yield* attempt(vault.retrieve(a, name))
        yield* attempt(vault.read(service, [name], name))
        yield* attempt(vault.read(service, [], name))
        yield* attempt(vault.list(a.tenantId, { limit: 10 }))
        yield* attempt(vault.rotateMasterKey)
        yield* attempt(manager.revoke(root, a.tenantId, granted.capability.tokenHash))
      })
      yield* use
      const unlock = lockOut(filename)
      yield* use
      unlock()
      outside(filename, (db) =>
        db.exec(`CREATE TRIGGER fault BEFORE INSERT ON events
                 BEGIN SELECT RAISE(FAIL, 'x'); END`),
      )
      yield* use
      outside(filename, (db) => db.exec("DROP TRIGGER fault"))
      outside(filename, (db) => db.exec("UPDATE secrets SET sealed = x'0102'"))
      yield* use
      yield* attempt(manager.rotateRoot(root))
      say(yield* Metric.snapshot)
      say(yield* vault.list(a.tenantId, { limit: 10 }))
      const keys = yield* MasterKeys.use((ring) => ring.keys)
      say(keys)
      for (const file of files()) if (!file.endsWith("master-key")) images.push(readFileSync(file))
      for (const key of keys) secrets.push(Buffer.from(Redacted.value(key)).toString("base64"))
    })
    const layer = layerVault.pipe(
      Layer.provideMerge(layerMasterKeyFile(dirname(filename))),
      Layer.provideMerge(layerCapabilities(filename)),
      Layer.provideMerge(Aead.layerWebCrypto.pipe(Layer.provide(SecureRandom.layerWebCrypto))),
      Layer.provideMerge(logger),
    )
    yield* everything.pipe(
      Effect.provide(layer),
      Effect.withTracer(tracer),
      Effect.provideService(References.MinimumLogLevel, "All"),
    )

    const text = Buffer.from(output.join("\n"))
    assert.isAbove(output.length, 200, "there was something to search")
    assert.isTrue(files().some((file) => file.endsWith("solo.db")))
    for (const file of files()) if (!file.endsWith("master-key")) images.push(readFileSync(file))
    for (const secret of secrets)
      for (const spelling of spellings(secret)) {
        assert.isFalse(text.includes(spelling), `told: ${spelling}`)
        for (const image of images) assert.isFalse(image.includes(spelling), `kept: ${spelling}`)
      }
  }),
)
