/**
 * A kernel's stores on a real database file in a temporary directory, to be opened, broken, closed
 * and opened again by tests.
 */
import { dirname } from "node:path"
import { DatabaseSync } from "node:sqlite"

import * as Aead from "effect/crypto/Aead"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"

import { layerSqlite } from "../../plugins/sqlite/index.ts"
import { type Capability, TokenHash } from "../../src/domain/Capability.ts"
import { TenantId } from "../../src/domain/Identifier.ts"
import {
  type CapabilityOptions,
  defaultCapabilityOptions,
  layerCapabilityManager,
} from "../../src/kernel/capability/CapabilityManagerIndexed.ts"
import { RootToken, RootTokenKept } from "../../src/kernel/capability/RootToken.ts"
import { layerTokenStore } from "../../src/kernel/capability/TokenStoreSql.ts"
import { layerEventStore } from "../../src/kernel/log/EventStoreSql.ts"
import { layerVault } from "../../src/kernel/vault/VaultSql.ts"
import { layerMasterKeyFile } from "../../src/main/MasterKeyFile.ts"
import { makeDisk } from "./harness/Disk.ts"
import { layerDigest, sha256 } from "./Sha256.ts"

/** A path for a database that is not there yet. */
export const newFile = (): string => makeDisk().database

export const rootSecret = Redacted.make("root-token-of-a-test-kernel-0123456789")

/** A root token in memory; rotation makes `<secret>+1`, and so on. */
const layerRootToken = Layer.sync(RootToken, () => {
  let current = Redacted.value(rootSecret)
  return RootToken.of({
    verify: (digest) => digest === sha256(current),
    rotate: Effect.suspend(() => {
      if (current.endsWith("+2"))
        return Effect.fail(new RootTokenKept({ reason: "fixed", message: "enough" }))
      current = current.endsWith("+1") ? current.replace("+1", "+2") : `${current}+1`
      return Effect.succeed(Redacted.make(current))
    }),
  })
})

/** Database and log. */
const layerLog = (filename: string) =>
  layerEventStore.pipe(
    Layer.provideMerge(layerSqlite({ filename, busyTimeoutMs: 1 })),
    Layer.provideMerge(layerDigest),
  )

/** Database, log and token store. */
export const layerTokens = (filename: string) =>
  layerTokenStore.pipe(Layer.provideMerge(layerLog(filename)))

/** All that a capability manager stands on, and the manager. */
export const layerCapabilities = (filename: string, options: Partial<CapabilityOptions> = {}) =>
  layerCapabilityManager({ ...defaultCapabilityOptions, ...options }).pipe(
    Layer.provideMerge(layerTokens(filename)),
    Layer.provideMerge(Layer.mergeAll(layerRootToken, SecureRandom.layerWebCrypto)),
  )

/** The vault, with its master keys in the database's directory. */
export const layerVaults = (filename: string) =>
  layerVault.pipe(
    Layer.provideMerge(layerMasterKeyFile(dirname(filename))),
    Layer.provideMerge(layerLog(filename)),
    Layer.provideMerge(Aead.layerWebCrypto),
    Layer.provideMerge(SecureRandom.layerWebCrypto),
  )

/** Runs SQL on the file from outside, as another program would. */
export const outside = <A>(filename: string, use: (database: DatabaseSync) => A): A => {
  const database = new DatabaseSync(filename, { timeout: 1000 })
  try {
    return use(database)
  } finally {
    database.close()
  }
}

/** Takes the database's write lock from outside; the result gives it back. */
export const lockOut = (filename: string): (() => void) => {
  const database = new DatabaseSync(filename, { timeout: 1000 })
  database.exec("BEGIN IMMEDIATE")
  return () => {
    database.exec("ROLLBACK")
    database.close()
  }
}

/** A capability of the tenant `a` that may read, unless told otherwise. */
export const capability = (
  name: string,
  terms: { readonly [K in keyof Capability]?: Capability[K] } = {},
): Capability => ({
  tokenHash: TokenHash.make(sha256(name)),
  tenantId: TenantId.make("a"),
  permissions: ["read"],
  serviceId: null,
  grantedAt: 0,
  grantedBy: "root",
  expiresAt: null,
  rateLimit: null,
  metadata: {},
  parent: null,
  ...terms,
})
