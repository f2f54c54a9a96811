/**
 * The command that starts Node inside a box: which walls go around it from outside, and what of
 * the machine is visible within. It starts nothing; whether the walls stand is found by `Trial`.
 */
import { execFileSync } from "node:child_process"
import {
  accessSync,
  closeSync,
  constants,
  mkdtempSync,
  openSync,
  rmSync,
  writeFileSync,
} from "node:fs"
import { tmpdir } from "node:os"
import { delimiter, join } from "node:path"

import { stackTracesFlag } from "../realm/StackTraces.ts"
import { type Command, firstDescriptor } from "./Command.ts"
import { maxDescriptors } from "./inside/Seal.ts"
import { assemble } from "./Seccomp.ts"
import { isProcessor } from "./Syscalls.ts"

/** How far a box is closed: by bubblewrap, by its own seal, or by permissions and realm alone. */
export type Level = "bubblewrap" | "sealed" | "none"

/** Where Node is inside the box. */
const nodeInside = "/node"

/** What is used to build boxes. */
export interface Tools {
  readonly bwrap: string | undefined
  readonly prlimit: string | undefined
  /** Files that Node needs to be loaded. */
  readonly libraries: ReadonlyArray<string>
}

const inPath = (name: string): string | undefined => {
  const places = [...(process.env["PATH"] ?? "").split(delimiter), "/usr/bin", "/bin"]
  return places
    .filter((place) => place.startsWith("/"))
    .map((place) => join(place, name))
    .find((file) => {
      try {
        accessSync(file, constants.X_OK)
        return true
      } catch {
        return false
      }
    })
}

/** The shared libraries of this Node, and the loader: absolute paths out of what `ldd` prints. */
const librariesOf = (node: string): ReadonlyArray<string> => {
  try {
    const text = execFileSync("ldd", [node], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
    })
    const paths = text.split("\n").map((line) => /(?:=> |^\s*)(\/\S+) \(0x/.exec(line)?.[1])
    return [...new Set(paths.filter((path) => path !== undefined))]
  } catch {
    return []
  }
}

/** Looks for the tools this machine has. */
export const findTools = (): Tools => {
  if (process.platform !== "linux") return { bwrap: undefined, prlimit: undefined, libraries: [] }
  const bwrap = inPath("bwrap")
  return {
    bwrap,
    prlimit: inPath("prlimit"),
    libraries: bwrap === undefined ? [] : librariesOf(process.execPath),
  }
}

/** Users that boxes run as when the kernel is root: nobody's, one for each box in turn. */
const firstUid = 1_900_000_000
const uidCount = 65_536
let uids = 0

/** Namespaces, identity and end of a box. As process 1 it leaves nothing behind when it ends. */
const bubblewrapFlags = [
  ...["user", "pid", "net", "ipc", "uts", "cgroup-try"].map((space) => `--unshare-${space}`),
  ..."--hostname box --die-with-parent --as-pid-1 --cap-drop ALL".split(" "),
  "--clearenv",
]

/** Bubblewrap leaves the root writable unless it is told not to. */
const finish = "--remount-ro / --chdir /".split(" ")

/** Node's own limits and what it must not have, wherever the box stands. */
export const nodeFlags = (heapMb: number): ReadonlyArray<string> => [
  "--permission",
  "--allow-ffi",
  "--no-experimental-sqlite",
  "--disallow-code-generation-from-strings",
  "--experimental-vm-modules",
  "--disable-sigusr1",
  stackTracesFlag,
  "--no-warnings",
  "--v8-pool-size=1",
  `--max-old-space-size=${heapMb}`,
]

/** What makes boxes of one level. Close it when no more are needed. */
export class Enclosure {
  readonly level: Level
  readonly #tools: Tools
  readonly #asOther: boolean
  readonly #filter: number | undefined

  /** `asOther`: as root, run boxes as users of their own. */
  constructor(level: Level, tools: Tools, asOther: boolean) {
    this.level = level
    this.#tools = tools
    this.#asOther = asOther && process.getuid?.() === 0
    this.#filter = level === "bubblewrap" ? openFilter() : undefined
  }

  /** Whether boxes run as another user than the kernel. */
  get isOtherUser(): boolean {
    return this.#asOther
  }

  /** Whether a seccomp filter is put up from outside. */
  get hasFilter(): boolean {
    return this.#filter !== undefined
  }

  /** Files that every box gets, from descriptor 3 on. */
  get files(): ReadonlyArray<number> {
    return this.#filter === undefined ? [] : [this.#filter]
  }

  /** Starts Node with `args` in a box; `dataBytes` bounds its memory, 0 leaves it unbounded. */
  command(args: ReadonlyArray<string>, dataBytes: number): Command {
    const inside =
      this.level === "bubblewrap"
        ? [this.#tools.bwrap!, ...this.#bubblewrap(), nodeInside, ...args]
        : [process.execPath, ...args]
    const [file, ...rest] = [...this.#limits(dataBytes), ...inside]
    const uid = this.#asOther ? firstUid + (uids++ % uidCount) : undefined
    return { file: file!, args: rest, files: this.files, uid }
  }

  /** Node's flags and the script of a runner, which gets `handout` behind the other files. */
  runner(script: string, heapMb: number, dataBytes: number, handout?: number): Command {
    // Unless told what it is, Node tries whether a script is a module or TypeScript.
    const flags = [...nodeFlags(heapMb), "--input-type=commonjs", "-e", script]
    const command = this.command(flags, dataBytes)
    return handout === undefined ? command : { ...command, files: [...command.files, handout] }
  }

  #limits(dataBytes: number): ReadonlyArray<string> {
    if (this.#tools.prlimit === undefined) return []
    const data = dataBytes > 0 ? [`--data=${dataBytes}`] : []
    return [
      this.#tools.prlimit,
      ...data,
      "--core=0",
      "--fsize=0",
      `--nofile=${maxDescriptors}`,
      "--",
    ]
  }

  #bubblewrap(): ReadonlyArray<string> {
    const binds = this.#tools.libraries.flatMap((path) => ["--ro-bind", path, path])
    return [
      ...bubblewrapFlags,
      "--ro-bind",
      process.execPath,
      nodeInside,
      ...binds,
      ...finish,
      // The filter is the first of the files.
      ...(this.#filter === undefined ? [] : ["--seccomp", String(firstDescriptor)]),
      "--",
    ]
  }

  /** Closes what boxes are made from; those that run go on. */
  close(): void {
    if (this.#filter !== undefined) closeSync(this.#filter)
  }
}

/** The filter in a file that is gone as soon as it is open. */
const openFilter = (): number | undefined => {
  if (!isProcessor(process.arch)) return undefined
  const directory = mkdtempSync(join(tmpdir(), "solo-filter-"))
  try {
    const path = join(directory, "filter")
    writeFileSync(path, assemble({ processor: process.arch, sealedPid: undefined }), {
      mode: 0o600,
    })
    return openSync(path, "r")
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}
