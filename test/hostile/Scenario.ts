/**
 * What a hostile service is, as data, and the tools its source may use. Whether it did harm is not
 * its to say: `CrimeScene` looks from outside.
 */

/** A hostile service. */
export interface Scenario {
  readonly name: string
  /** What it tries, in a few words. */
  readonly tries: string
  /** The source, given what there is to steal or break. */
  readonly source: (target: Target) => string
  /**
   * What is to become of it. `answers`: it is contained and goes on. `dies`: it cannot answer, and
   * is ended. `refused`: it does not even start. `either`: it may answer or die.
   */
  readonly fate: "answers" | "dies" | "refused" | "either"
  /** What its spec names: nothing, unless it says so. */
  readonly grants?: (target: Target) => {
    readonly services?: ReadonlyArray<string>
    readonly network?: ReadonlyArray<string>
  }
}

/** What there is to steal or break. */
export interface Target {
  /** A file that everybody may read, with a secret in it. */
  readonly file: string
  /** A path that everybody may write to, where nothing is. */
  readonly fresh: string
  /** A port on the loopback interface that listens. */
  readonly port: number
  /** A process to kill. */
  readonly pid: number
  readonly kernelPid: number
  readonly database: string
}

/**
 * Tools of a thief, for the inside of a realm. `plunder(x)` walks over everything reachable from
 * `x` in search of an object of another realm, and of Node behind it; `ravage(g)` does whatever
 * can be done with such a global object. What they find is thrown away: harm shows outside.
 */
export const thief = (target: Target): string => `
const target = ${JSON.stringify(target)}
const attempt = (f) => { try { return f() } catch {} }
const ravage = (g) => attempt(() => {
  const p = g.process ?? g
  const load = (name) => attempt(() => p.getBuiltinModule(name)) ?? attempt(() => p.mainModule.require(name)) ?? attempt(() => g.require(name))
  const fs = load("fs")
  const stolen = attempt(() => fs.readFileSync(target.file, "utf8"))
  attempt(() => fs.writeFileSync(target.fresh, "mine"))
  attempt(() => fs.appendFileSync(target.database, "garbage"))
  attempt(() => load("net").connect(target.port, "127.0.0.1"))
  attempt(() => p.kill(target.pid, 9))
  attempt(() => p.kill(target.kernelPid, 9))
  attempt(() => load("child_process").execFileSync("/bin/sh", ["-c", "echo mine > " + target.fresh]))
  return [stolen, attempt(() => JSON.stringify(p.env)), "ESCAPED"].join(" ")
})
const isOurs = (value) => {
  let at = value
  for (let n = 0; n < 50; n++) {
    const next = attempt(() => Reflect.getPrototypeOf(at))
    if (next === null || next === undefined) break
    at = next
  }
  return at === Object.prototype || at === value
}
const loot = []
let isPlundering = false
const plunder = (root) => {
  // What it looks at may call it again.
  if (isPlundering) return
  isPlundering = true
  try { search(root) } finally { isPlundering = false }
}
const search = (root) => {
  const seen = new Set(), todo = [root]
  while (todo.length > 0 && seen.size < 5000) {
    const value = todo.pop()
    if ((typeof value !== "object" && typeof value !== "function") || value === null || seen.has(value)) continue
    seen.add(value)
    if (!isOurs(value)) { loot.push("ESCAPED foreign object " + attempt(() => String(value))) }
    const made = attempt(() => value.constructor.constructor("return globalThis")()) ?? attempt(() => value.constructor.constructor("return process")())
    if (made !== undefined) loot.push(String(ravage(made)))
    if (attempt(() => typeof value.getBuiltinModule) === "function" || attempt(() => typeof value.readFileSync) === "function") loot.push(String(ravage({ process: value })))
    todo.push(attempt(() => Reflect.getPrototypeOf(value)))
    for (const key of attempt(() => Reflect.ownKeys(value)) ?? []) {
      const d = attempt(() => Reflect.getOwnPropertyDescriptor(value, key))
      if (d === undefined) continue
      todo.push(d.get, d.set, "value" in d ? d.value : attempt(() => value[key]))
    }
  }
}
const answer = (extra) => new Response(JSON.stringify([loot, attempt(() => String(extra))]))
`

/** A service whose `fetch` does this. */
export const fetching =
  (body: string) =>
  (target: Target): string =>
    `${thief(target)}\nexport default { async fetch(request, ctx) { ${body}\n return answer() } }`

/** A service whose module does this when it is loaded, and answers. */
export const loading =
  (body: string) =>
  (target: Target): string =>
    `${thief(target)}\n${body}\nexport default { fetch: () => answer() }`
