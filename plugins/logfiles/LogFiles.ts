/**
 * The files below one directory: `<tenant>/<service>/<first id>.jsonl`, modes 0700 and 0600. A
 * service's log is a ring of such segments: lines are appended to the newest, and the oldest goes
 * where all are more than a service may have. Nothing is synced: lines survive the process, and
 * the machine only by luck.
 */
import * as fs from "node:fs/promises"
import { join } from "node:path"

import { type KeptLine, type LogFilter, maxLinesRead, passes, type ServiceName } from "solo"

import { firstIdOf, nameOf, parse, readTexts, segmentBytes, spell } from "./Segment.ts"

/** Segments of one service, however small they are. */
const maxSegments = 64

interface Segment {
  readonly first: number
  bytes: number
}

/** A service's segments, oldest first, as far as they are known to this process. */
interface Shelf {
  readonly segments: Array<Segment>
  /** Whether the newest may end in the middle of a line. */
  mayBeTorn: boolean
}

const codeOf = (error: unknown): string | undefined => (error as NodeJS.ErrnoException).code

/** What is in a directory, or nothing where it is none. */
export const namesIn = async (directory: string): Promise<ReadonlyArray<string>> => {
  try {
    return await fs.readdir(directory)
  } catch (error) {
    if (["ENOENT", "ENOTDIR"].includes(codeOf(error) ?? "")) return []
    throw error
  }
}

/** Lines as texts of at most a segment each; the newest ones, where all are more than `maximum`. */
const portions = (lines: ReadonlyArray<KeptLine>, maximum: number) => {
  const found: Array<{ first: number; text: string; bytes: number }> = []
  let total = 0
  for (const line of lines.toReversed()) {
    const text = spell(line)
    const bytes = Buffer.byteLength(text)
    const current = found.at(-1)
    if ((total += bytes) > maximum) break
    if (current === undefined || current.bytes + bytes > segmentBytes)
      found.push({ first: line.id, text, bytes })
    else {
      current.first = line.id
      current.text = text + current.text
      current.bytes += bytes
    }
  }
  return found.toReversed()
}

/** The logs of all services as files. One call at a time may be about one service. */
export class LogFiles {
  readonly directory: string
  readonly #serviceBytes: number
  #shelves = new Map<string, Shelf>()
  /** Bytes written since this was last set to 0. */
  written = 0

  constructor(directory: string, serviceBytes: number) {
    this.directory = directory
    this.#serviceBytes = serviceBytes
  }

  #directoryOf({ serviceId, tenantId }: ServiceName): string {
    return join(this.directory, tenantId, serviceId)
  }

  async #firstIds(name: ServiceName): Promise<ReadonlyArray<number>> {
    const found = (await namesIn(this.#directoryOf(name))).map(firstIdOf)
    return found.filter((first) => first !== undefined).sort((left, right) => left - right)
  }

  async #shelfOf(name: ServiceName): Promise<Shelf> {
    const directory = this.#directoryOf(name)
    const known = this.#shelves.get(directory)
    if (known !== undefined) return known
    const segments: Array<Segment> = []
    for (const first of await this.#firstIds(name)) {
      const path = join(directory, nameOf(first))
      const stats = await fs.stat(path)
      const isWritable = await fs.access(path, fs.constants.W_OK).then(
        () => stats.isFile(),
        () => false,
      )
      // Into what is full nothing is written.
      segments.push({ first, bytes: isWritable ? stats.size : segmentBytes })
    }
    const shelf = { segments, mayBeTorn: segments.length > 0 }
    this.#shelves.set(directory, shelf)
    return shelf
  }

  /** Looks again at what is there before the next line is written: files went from under it. */
  forget(): void {
    this.#shelves = new Map()
  }

  async #write(directory: string, { first, bytes }: Segment, text: string): Promise<void> {
    if (bytes === 0) await fs.mkdir(directory, { recursive: true, mode: 0o700 })
    await fs.appendFile(join(directory, nameOf(first)), text, { mode: 0o600 })
  }

  /** @see LogStore.append */
  async append(name: ServiceName, lines: ReadonlyArray<KeptLine>): Promise<void> {
    const directory = this.#directoryOf(name)
    try {
      const shelf = await this.#shelfOf(name)
      for (const { bytes, first, text } of portions(lines, this.#serviceBytes)) {
        let segment = shelf.segments.at(-1)
        if (segment === undefined || segment.bytes + bytes > segmentBytes) {
          segment = { first, bytes: 0 }
          shelf.segments.push(segment)
          shelf.mayBeTorn = false
        }
        await this.#write(directory, segment, shelf.mayBeTorn ? `\n${text}` : text)
        shelf.mayBeTorn = false
        segment.bytes += bytes
        this.written += bytes
        await this.#shorten(directory, shelf)
      }
    } catch (error) {
      this.#shelves.delete(directory)
      throw error
    }
  }

  async #shorten(directory: string, { segments }: Shelf): Promise<void> {
    const isTooMuch = () =>
      segments.length > maxSegments ||
      segments.reduce((total, { bytes }) => total + bytes, 0) > this.#serviceBytes
    while (segments.length > 1 && isTooMuch()) {
      await fs.rm(join(directory, nameOf(segments[0]!.first)), { force: true, recursive: true })
      segments.shift()
    }
  }

  /** The texts of one segment; none where it is gone or cannot be read. */
  async #texts(name: ServiceName, first: number): Promise<ReadonlyArray<string>> {
    return await readTexts(join(this.#directoryOf(name), nameOf(first))).catch(() => [])
  }

  /** @see LogStore.read */
  async read(name: ServiceName, filter: LogFilter): Promise<ReadonlyArray<KeptLine>> {
    const firsts = await this.#firstIds(name)
    const limit = filter.limit ?? maxLinesRead
    // Ids are at least the time in microseconds, so what is before `since` need not be opened.
    const since = filter.since === undefined ? 0 : filter.since * 1000 - 1
    const after = Math.max(filter.after ?? 0, since)
    const lines: Array<KeptLine> = []
    let last = 0
    for (const [index, first] of firsts.entries()) {
      const next = firsts[index + 1]
      if (next !== undefined && next <= after) continue
      for (const text of await this.#texts(name, first)) {
        const line = parse(text)
        // A line can be there twice, where writing it failed at first.
        if (line === undefined || line.id <= last) continue
        last = line.id
        if (!passes(filter, line)) continue
        lines.push(line)
        if (lines.length >= limit) return lines
      }
    }
    return lines
  }

  /** @see LogStore.lastId */
  async lastId(name: ServiceName): Promise<number> {
    const newest = (await this.#firstIds(name)).at(-1)
    if (newest === undefined) return 0
    for (const text of (await this.#texts(name, newest)).toReversed()) {
      const line = parse(text)
      if (line !== undefined) return Math.max(line.id, newest)
    }
    return newest
  }
}
