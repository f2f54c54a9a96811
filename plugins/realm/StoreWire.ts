/**
 * The bodies of the frames of `ctx.store`, both ways: lengths before everything, numbers big-endian.
 * Kernel and realm share it; each brings what turns texts into bytes, for the realm has no `Buffer`.
 *
 * A reader throws a `RangeError` where a body is not what it should be.
 */
import type { Batch, Entry, StorePage, StoredValue, StoreQuery, StoreRefusal } from "solo"

/** Turns texts into bytes and back; `decode` throws where bytes are no text. */
export interface TextCodec {
  readonly encode: (text: string) => Uint8Array
  readonly decode: (bytes: Uint8Array) => string
}

/** What a service asks of its store. */
export type StoreRead =
  | { readonly _tag: "Get"; readonly key: string }
  | { readonly _tag: "List"; readonly query: StoreQuery }

/** What the store answers. */
export type StoreAnswer =
  | { readonly _tag: "Refused"; readonly refusal: StoreRefusal }
  | ({ readonly _tag: "Page" } & StorePage)
  | { readonly _tag: "Written"; readonly version: number }

/** Stands for `null` where a version may be one. */
const noVersion = -1

const formats = ["json", "bytes"] as const
/** Stands for a write that removes its key; formats count from 1. */
const removal = 0

class Writer {
  readonly #parts: Array<Uint8Array> = []
  readonly #text: TextCodec
  #length = 0

  constructor(text: TextCodec) {
    this.#text = text
  }

  #add(part: Uint8Array): void {
    this.#parts.push(part)
    this.#length += part.length
  }

  byte(value: number): void {
    this.#add(new Uint8Array([value]))
  }

  short(value: number): void {
    this.#add(new Uint8Array([value >> 8, value & 0xff]))
  }

  number(value: number | null): void {
    const part = new Uint8Array(8)
    new DataView(part.buffer).setFloat64(0, value ?? noVersion)
    this.#add(part)
  }

  text(value: string): void {
    const bytes = this.#text.encode(value)
    this.short(bytes.length)
    this.#add(bytes)
  }

  value(value: StoredValue | null): void {
    if (value === null) {
      this.byte(removal)
      return
    }
    const length = new Uint8Array(4)
    new DataView(length.buffer).setUint32(0, value.bytes.length)
    this.byte(formats.indexOf(value.format) + 1)
    this.#add(length)
    this.#add(value.bytes)
  }

  get bytes(): Uint8Array {
    const all = new Uint8Array(this.#length)
    let at = 0
    for (const part of this.#parts) {
      all.set(part, at)
      at += part.length
    }
    return all
  }
}

class Reader {
  readonly #bytes: Uint8Array
  readonly #view: DataView
  readonly #text: TextCodec
  #at = 0

  constructor(bytes: Uint8Array, text: TextCodec) {
    this.#bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.#text = text
  }

  #skip(length: number): number {
    const from = this.#at
    if (from + length > this.#bytes.length) throw new RangeError("it ends too soon")
    this.#at = from + length
    return from
  }

  #take(length: number): Uint8Array {
    const from = this.#skip(length)
    return this.#bytes.slice(from, from + length)
  }

  byte(): number {
    return this.#view.getUint8(this.#skip(1))
  }

  short(): number {
    return this.#view.getUint16(this.#skip(2))
  }

  number(): number {
    return this.#view.getFloat64(this.#skip(8))
  }

  version(): number | null {
    const number = this.number()
    return number === noVersion ? null : number
  }

  text(): string {
    return this.#text.decode(this.#take(this.short()))
  }

  value(): StoredValue | null {
    const format = this.byte()
    if (format === removal) return null
    const name = formats[format - 1]
    if (name === undefined) throw new RangeError("there is no such format")
    return { format: name, bytes: this.#take(this.#view.getUint32(this.#skip(4))) }
  }

  list<A>(read: () => A): ReadonlyArray<A> {
    const count = this.short()
    const items: Array<A> = []
    for (let index = 0; index < count; index++) items.push(read())
    return items
  }

  end(): void {
    if (this.#at !== this.#bytes.length) throw new RangeError("it goes on")
  }
}

/** Spells a question. */
export const encodeRead = (question: StoreRead, text: TextCodec): Uint8Array => {
  const writer = new Writer(text)
  if (question._tag === "Get") {
    writer.byte(0)
    writer.text(question.key)
    return writer.bytes
  }
  const { limit, prefix, after } = question.query
  writer.byte(1)
  writer.short(limit)
  writer.text(prefix)
  writer.text(after ?? "")
  return writer.bytes
}

/** Reads a question. */
export const decodeRead = (bytes: Uint8Array, text: TextCodec): StoreRead => {
  const reader = new Reader(bytes, text)
  const question: StoreRead =
    reader.byte() === 0
      ? { _tag: "Get", key: reader.text() }
      : {
          _tag: "List",
          query: { limit: reader.short(), prefix: reader.text(), after: reader.text() || null },
        }
  reader.end()
  return question
}

/** Spells a batch. */
export const encodeBatch = ({ writes, conditions }: Batch, text: TextCodec): Uint8Array => {
  const writer = new Writer(text)
  writer.short(writes.length)
  for (const { key, value } of writes) {
    writer.text(key)
    writer.value(value)
  }
  writer.short(conditions.length)
  for (const { key, version } of conditions) {
    writer.text(key)
    writer.number(version)
  }
  return writer.bytes
}

/** Reads a batch. */
export const decodeBatch = (bytes: Uint8Array, text: TextCodec): Batch => {
  const reader = new Reader(bytes, text)
  const writes = reader.list(() => ({ key: reader.text(), value: reader.value() }))
  const conditions = reader.list(() => ({ key: reader.text(), version: reader.version() }))
  reader.end()
  return { writes, conditions }
}

const refused = 0
const page = 1
const written = 2

/** Spells an answer. */
export const encodeAnswer = (answer: StoreAnswer, text: TextCodec): Uint8Array => {
  const writer = new Writer(text)
  if (answer._tag === "Written") {
    writer.byte(written)
    writer.number(answer.version)
  } else if (answer._tag === "Page") {
    writer.byte(page)
    writer.byte(answer.hasMore ? 1 : 0)
    writer.short(answer.entries.length)
    for (const { key, version, value } of answer.entries) {
      writer.text(key)
      writer.number(version)
      writer.value(value)
    }
  } else {
    const { code, message, conflict } = answer.refusal
    writer.byte(refused)
    writer.text(code)
    writer.text(message)
    writer.byte(conflict === undefined ? 0 : 1)
    writer.text(conflict?.key ?? "")
    writer.number(conflict?.version ?? null)
  }
  return writer.bytes
}

const readEntry = (reader: Reader): Entry => {
  const key = reader.text()
  const version = reader.number()
  const value = reader.value()
  if (value === null) throw new RangeError("an entry has a value")
  return { key, version, value }
}

/** Reads an answer. */
export const decodeAnswer = (bytes: Uint8Array, text: TextCodec): StoreAnswer => {
  const reader = new Reader(bytes, text)
  const kind = reader.byte()
  if (kind === written) return { _tag: "Written", version: reader.number() }
  if (kind === page) {
    const hasMore = reader.byte() === 1
    return { _tag: "Page", hasMore, entries: reader.list(() => readEntry(reader)) }
  }
  const refusal = { code: reader.text() as StoreRefusal["code"], message: reader.text() }
  const isConflict = reader.byte() === 1
  const conflict = { key: reader.text(), version: reader.version() }
  return { _tag: "Refused", refusal: isConflict ? { ...refusal, conflict } : refusal }
}
