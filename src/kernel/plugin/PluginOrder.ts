/**
 * Which plugins can take part, and in which order they start. Pure: it looks at names, versions,
 * needs and provides alone. `PluginGraph` builds what it decides.
 */
import { type Plugin, pluginApiVersion, type ServiceKey } from "./Plugin.ts"
import {
  ApiVersionMismatch,
  NeedMissing,
  PluginCycle,
  type PluginError,
  PluginNameTaken,
  ServiceProvidedTwice,
} from "./PluginError.ts"

/** One plugin as the configuration lists it. */
export interface PluginEntry {
  readonly plugin: Plugin
  /** Where it came from, for people: `the kernel`, a path or a package name. */
  readonly source: string
  /** Whether the kernel starts without it when it cannot take part. */
  readonly optional: boolean
  /** Its section of the configuration, not decoded yet; `undefined` when there is none. */
  readonly config: unknown
}

/** An entry that cannot take part. */
export interface Refusal {
  readonly entry: PluginEntry
  readonly error: PluginError
}

/** Who takes part. */
export interface Arrangement {
  /** In the order in which they start: by need, then as listed. */
  readonly order: ReadonlyArray<PluginEntry>
  /** Those that cannot, in the order found. The set may start if all of them are optional. */
  readonly refused: ReadonlyArray<Refusal>
}

/** Names the host in messages: it provides the services that no plugin does. */
const host = "the kernel's host"

interface Selection {
  readonly remaining: Array<PluginEntry>
  readonly refused: Array<Refusal>
}

const refuse = (selection: Selection, entry: PluginEntry, error: PluginError): void => {
  selection.remaining.splice(selection.remaining.indexOf(entry), 1)
  selection.refused.push({ entry, error })
}

const refuseOtherVersions = (selection: Selection): void => {
  for (const entry of selection.remaining.slice()) {
    const { apiVersion, name } = entry.plugin
    if (apiVersion === pluginApiVersion) continue
    const found = String(apiVersion)
    refuse(
      selection,
      entry,
      new ApiVersionMismatch({ plugin: name, found, expected: pluginApiVersion }),
    )
  }
}

/** Of two that cannot both be there, the optional one goes; otherwise the one listed later. */
const loser = (first: PluginEntry, second: PluginEntry): PluginEntry =>
  first.optional && !second.optional ? first : second

const refuseTakenNames = (selection: Selection): void => {
  const owners = new Map<string, PluginEntry>()
  for (const entry of selection.remaining.slice()) {
    const { name } = entry.plugin
    const owner = owners.get(name)
    if (owner === undefined) {
      owners.set(name, entry)
      continue
    }
    const gone = loser(owner, entry)
    owners.set(name, gone === entry ? owner : entry)
    const sources = [owner.source, entry.source] as const
    refuse(selection, gone, new PluginNameTaken({ plugin: name, sources }))
  }
}

/** The first key that `entry` shares with one before it, and that one; `null` is the host. */
const conflictOf = (
  entry: PluginEntry,
  owners: ReadonlyMap<string, PluginEntry | null>,
): readonly [service: string, owner: PluginEntry | null] | undefined => {
  for (const { key } of entry.plugin.provides) {
    const owner = owners.get(key)
    if (owner !== undefined && owner !== entry) return [key, owner]
  }
  return undefined
}

const refuseSecondProviders = (selection: Selection, given: ReadonlyArray<ServiceKey>): void => {
  const owners = new Map<string, PluginEntry | null>(given.map(({ key }) => [key, null]))
  for (const entry of selection.remaining.slice()) {
    for (let conflict = conflictOf(entry, owners); conflict; conflict = conflictOf(entry, owners)) {
      const [service, owner] = conflict
      const gone = owner === null ? entry : loser(owner, entry)
      const stays = gone === entry ? owner : entry
      const other = stays === null ? host : stays.plugin.name
      refuse(
        selection,
        gone,
        new ServiceProvidedTwice({ service, plugin: gone.plugin.name, other }),
      )
      if (gone === entry) break
      for (const { key } of gone.plugin.provides) owners.delete(key)
    }
    if (!selection.remaining.includes(entry)) continue
    for (const { key } of entry.plugin.provides) owners.set(key, entry)
  }
}

const keysOf = (
  entries: ReadonlyArray<PluginEntry>,
  given: ReadonlyArray<ServiceKey>,
): ReadonlySet<string> =>
  new Set([...given, ...entries.flatMap(({ plugin }) => plugin.provides)].map(({ key }) => key))

/** The name of a refused plugin that would have provided `service`. */
export const wouldProvide = (
  service: string,
  refused: ReadonlyArray<{ readonly entry: PluginEntry }>,
): string | null =>
  refused.find(({ entry }) => entry.plugin.provides.some(({ key }) => key === service))?.entry
    .plugin.name ?? null

const refuseUnmet = (selection: Selection, given: ReadonlyArray<ServiceKey>): void => {
  for (;;) {
    const available = keysOf(selection.remaining, given)
    const unmet = (entry: PluginEntry) => entry.plugin.needs.find(({ key }) => !available.has(key))
    const entry = selection.remaining.find(unmet)
    if (entry === undefined) return
    const service = unmet(entry)!.key
    const { name } = entry.plugin
    refuse(
      selection,
      entry,
      new NeedMissing({
        plugin: name,
        service,
        wouldProvide: wouldProvide(service, selection.refused),
      }),
    )
  }
}

/** A circle among `stuck`, each of which needs something that another of them provides. */
const circleOf = (stuck: ReadonlyArray<PluginEntry>): ReadonlyArray<PluginEntry> => {
  const walked: Array<PluginEntry> = []
  let current = stuck[0]!
  while (!walked.includes(current)) {
    walked.push(current)
    const needs = new Set(current.plugin.needs.map(({ key }) => key))
    current = stuck.find(({ plugin }) => plugin.provides.some(({ key }) => needs.has(key)))!
  }
  return walked.slice(walked.indexOf(current))
}

const sort = (
  entries: ReadonlyArray<PluginEntry>,
  given: ReadonlyArray<ServiceKey>,
): { readonly order: ReadonlyArray<PluginEntry>; readonly stuck: ReadonlyArray<PluginEntry> } => {
  const waiting = [...entries]
  const order: Array<PluginEntry> = []
  for (;;) {
    const available = keysOf(order, given)
    const next = waiting.findIndex(({ plugin }) =>
      plugin.needs.every(({ key }) => available.has(key)),
    )
    if (next === -1) return { order, stuck: waiting }
    order.push(...waiting.splice(next, 1))
  }
}

/**
 * Decides who takes part and in which order. `given` are the services that are there before any
 * plugin starts; `refused` are entries already known to be unable to take part.
 */
export const arrange = (
  entries: ReadonlyArray<PluginEntry>,
  given: ReadonlyArray<ServiceKey> = [],
  refused: ReadonlyArray<Refusal> = [],
): Arrangement => {
  const selection: Selection = { remaining: [...entries], refused: [...refused] }
  refuseOtherVersions(selection)
  refuseTakenNames(selection)
  refuseSecondProviders(selection, given)
  for (;;) {
    refuseUnmet(selection, given)
    const { order, stuck } = sort(selection.remaining, given)
    if (stuck.length === 0) return { order, refused: selection.refused }
    const circle = circleOf(stuck)
    const gone = circle.find(({ optional }) => optional) ?? circle[0]!
    const names = circle.map(({ plugin }) => plugin.name)
    refuse(selection, gone, new PluginCycle({ path: [...names, names[0]!] }))
  }
}
