/**
 * The walls that a box puts up around itself before it sees a service, through the C library: it
 * dies with its parent, gains no privileges, opens no file (Landlock), and makes no system call
 * but those that running takes (seccomp). None of them can be taken down again.
 */
import { Buffer } from "node:buffer"
import { closeSync } from "node:fs"

import { assemble } from "../Seccomp.ts"
import { isProcessor } from "../Syscalls.ts"
import type { Library } from "./Library.ts"

const calls = {
  x64: { prctl: 157, prlimit64: 302, seccomp: 317 },
  arm64: { prctl: 167, prlimit64: 261, seccomp: 277 },
} as const
const landlockCreateRuleset = 444
const landlockRestrictSelf = 446

const PR_SET_PDEATHSIG = 1
const PR_SET_NO_NEW_PRIVS = 38
const SIGKILL = 9
const SECCOMP_SET_MODE_FILTER = 1
const SECCOMP_FILTER_FLAG_TSYNC = 1
const LANDLOCK_CREATE_RULESET_VERSION = 1
/** Reading and writing of files, by the version of Landlock that first knew the right. */
const fileRights = [0, 0x1fff, 0x3fff, 0x7fff, 0x7fff, 0xffff] as const
const networkRights = 3
const networkSince = 4
const scopes = 3
const scopesSince = 6
const rlimits = { fsize: 1, data: 2, core: 4, nofile: 7 } as const

/** Descriptors a box may have open: those Node opens itself, and few more. */
export const maxDescriptors = 64

/** Which walls went up. */
export interface Seal {
  readonly landlock: boolean
  readonly seccomp: boolean
  /** Dies with its parent. */
  readonly leash: boolean
}

const none: Seal = { landlock: false, seccomp: false, leash: false }

const limit = ({ call, pointerTo }: Library, prlimit64: number, dataBytes: number): void => {
  const set = (resource: number, value: number) => {
    const pair = Buffer.alloc(16)
    pair.writeBigUInt64LE(BigInt(value), 0)
    pair.writeBigUInt64LE(BigInt(value), 8)
    call(prlimit64, 0, resource, pointerTo(pair), 0)
  }
  set(rlimits.core, 0)
  set(rlimits.fsize, 0)
  set(rlimits.nofile, maxDescriptors)
  if (dataBytes > 0) set(rlimits.data, dataBytes)
}

/** Landlock holds for this thread and those it starts; the seccomp filter is put on all. */
const landlock = ({ call, pointerTo }: Library): boolean => {
  const version = call(landlockCreateRuleset, 0, 0, LANDLOCK_CREATE_RULESET_VERSION)
  if (version < 1) return false
  const rules = Buffer.alloc(24)
  rules.writeBigUInt64LE(BigInt(fileRights[Math.min(version, fileRights.length - 1)]!), 0)
  if (version >= networkSince) rules.writeBigUInt64LE(BigInt(networkRights), 8)
  if (version >= scopesSince) rules.writeBigUInt64LE(BigInt(scopes), 16)
  const size = version >= scopesSince ? 24 : version >= networkSince ? 16 : 8
  const ruleset = call(landlockCreateRuleset, pointerTo(rules), size, 0)
  if (ruleset < 0) return false
  const isRestricted = call(landlockRestrictSelf, ruleset, 0) === 0
  closeSync(ruleset)
  return isRestricted
}

const seccomp = ({ call, pointerTo }: Library, number: number): boolean => {
  if (!isProcessor(process.arch)) return false
  const program = assemble({ processor: process.arch, sealedPid: process.pid })
  const header = Buffer.alloc(16)
  header.writeUInt16LE(program.length / 8, 0)
  header.writeBigUInt64LE(pointerTo(program), 8)
  return call(number, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, pointerTo(header)) === 0
}

/** How to seal. */
export interface SealOptions {
  /** Memory limit of the process (`RLIMIT_DATA`), or 0 for none. */
  readonly dataBytes: number
  /** Whether somebody else sees to it that the box dies with its parent. */
  readonly leashed: boolean
  /** Whether to put up Landlock and seccomp, or only the leash and the limits. */
  readonly walls: boolean
}

/**
 * Puts up whatever walls can be had here, with the C library where it could be opened. Drops the
 * permission that opening it took. Never throws.
 */
export const seal = (
  library: Library | undefined,
  { dataBytes, leashed, walls }: SealOptions,
): Seal => {
  const numbers = isProcessor(process.arch) ? calls[process.arch] : undefined
  if (process.platform !== "linux" || numbers === undefined || library === undefined) {
    drop()
    return none
  }
  try {
    const { call } = library
    const leash = leashed || call(numbers.prctl, PR_SET_PDEATHSIG, SIGKILL) === 0
    limit(library, numbers.prlimit64, dataBytes)
    const isHeld = call(numbers.prctl, PR_SET_NO_NEW_PRIVS, 1) === 0
    if (!walls || !isHeld) return { ...none, leash }
    const isLandlocked = landlock(library)
    return { landlock: isLandlocked, seccomp: seccomp(library, numbers.seccomp), leash }
  } catch {
    return none
  } finally {
    drop()
  }
}

const drop = (): void => {
  try {
    process.permission?.drop("ffi")
  } catch {
    // Without the permission system there is nothing to drop.
  }
}
