/**
 * Chooses the strongest box that stands on this machine, and says in words which walls there are.
 */
import type { Wall } from "solo"

import { Enclosure, type Level, type Tools } from "./Enclosure.ts"
import type { Seal } from "./inside/Seal.ts"
import { tryOut, type Verdict } from "./Trial.ts"

/** What an operator may demand, the weakest first. */
export const demands = ["none", "seccomp", "landlock", "bubblewrap"] as const
/** @see {@link demands} */
type Demand = (typeof demands)[number]

/** What was found. */
export interface Findings {
  readonly enclosure: Enclosure
  readonly walls: ReadonlyArray<Wall>
  /** The strongest demand that is met. */
  readonly meets: Demand
}

const unsealed: Seal = { landlock: false, seccomp: false, leash: false }

interface Found {
  readonly enclosure: Enclosure
  readonly sealed: Seal
}

const judge = (verdict: Verdict): string | undefined => {
  if (verdict._tag === "Failed") return verdict.reason
  if (verdict.breaches.length === 0) return undefined
  return `a trial box could still do this: ${verdict.breaches.join(", ")}`
}

/** Tries boxes of a level, as another user first; gives the reason where none stands. */
const tryLevel = async (level: Level, tools: Tools, probe: string): Promise<Found | string> => {
  let why = ""
  for (const asOther of process.getuid?.() === 0 ? [true, false] : [false]) {
    const enclosure = new Enclosure(level, tools, asOther)
    const verdict = await tryOut(enclosure, probe)
    const reason = judge(verdict)
    if (reason === undefined && verdict._tag === "Ran") return { enclosure, sealed: verdict.sealed }
    enclosure.close()
    why = why === "" ? reason! : why
  }
  return why
}

/** As root, without any wall: at least another user. */
const openAir = async (tools: Tools, probe: string): Promise<Found> => {
  for (const asOther of process.getuid?.() === 0 ? [true, false] : [false]) {
    const enclosure = new Enclosure("none", tools, asOther)
    if ((await tryOut(enclosure, probe))._tag === "Ran") return { enclosure, sealed: unsealed }
    enclosure.close()
  }
  return { enclosure: new Enclosure("none", tools, false), sealed: unsealed }
}

const meetsOf = ({ enclosure, sealed }: Found): Demand => {
  if (enclosure.level === "bubblewrap") return "bubblewrap"
  if (enclosure.level === "none") return "none"
  return sealed.landlock ? "landlock" : "seccomp"
}

const describe = (
  { enclosure, sealed }: Found,
  tools: Tools,
  why: ReadonlyMap<Level, string>,
): ReadonlyArray<Wall> => {
  const wall = (name: string, stands: boolean, holds: string, else_: string): Wall => ({
    name,
    stands,
    detail: stands ? holds : else_,
  })
  const missing = (level: Level) => why.get(level) ?? "not asked for by the configuration"
  return [
    wall(
      "bubblewrap",
      enclosure.level === "bubblewrap",
      "namespaces of its own for users, processes, network, IPC and mounts; nothing mounted but Node, read-only; no capabilities",
      missing("bubblewrap"),
    ),
    wall(
      "user",
      enclosure.isOtherUser,
      "a user of its own for every box, without any rights",
      process.getuid?.() === 0
        ? "boxes run as root: no other user can start Node here"
        : "boxes run as the kernel's user, since only root can change users",
    ),
    wall(
      "limits",
      tools.prlimit !== undefined || sealed.leash,
      "memory, descriptors and file size bounded by the system",
      "prlimit is not installed",
    ),
    wall("landlock", sealed.landlock, "no file can be opened", "the system has no Landlock"),
    wall(
      "seccomp",
      sealed.seccomp,
      "nothing can be opened, executed, connected or created: only the calls that running takes",
      why.get("sealed") ?? "the runner cannot seal itself here",
    ),
    wall("permission", true, "Node's permission system with nothing allowed", ""),
    wall("realm", true, "a global object with nothing ambient in it", ""),
  ]
}

/** Finds the strongest level among `levels`; the last resort is permissions and realm alone. */
export const findWalls = async (
  levels: ReadonlyArray<Level>,
  tools: Tools,
  probe: string,
): Promise<Findings> => {
  const why = new Map<Level, string>()
  let found: Found | undefined
  for (const level of levels) {
    if (level === "none") break
    const outcome =
      process.platform !== "linux"
        ? "it exists on Linux only"
        : level === "bubblewrap" && tools.bwrap === undefined
          ? "bubblewrap is not installed"
          : level === "bubblewrap" && tools.libraries.length === 0
            ? "ldd does not tell which libraries Node needs"
            : await tryLevel(level, tools, probe)
    if (typeof outcome !== "string") {
      found = outcome
      break
    }
    why.set(level, outcome)
  }
  found ??= await openAir(tools, probe)
  const { enclosure } = found
  return { enclosure, walls: describe(found, tools, why), meets: meetsOf(found) }
}
