/**
 * `ctx.store`: checks and spells what a service asks of its store, and hands back the answer. It
 * asks for no more at once than the kernel takes; what is more waits here. Nothing is remembered.
 */
import type { Condition, Entry, Write } from "solo"

import {
  Outbound,
  maxBodyBytes,
  maxPendingStore,
  maxPendingStoreBytes,
  maxQueuedStore,
  maxStoreKey,
} from "../Frame.ts"
import { type StoreAnswer, decodeAnswer, encodeBatch, encodeRead } from "../StoreWire.ts"
import { sendBytes } from "./Host.ts"
import { decodeValue, encodeValue } from "./StoreValue.ts"
import { text } from "./Text.ts"

interface Question {
  readonly type: number
  readonly body: Uint8Array
  readonly resolve: (answer: StoreAnswer) => void
  readonly reject: (error: unknown) => void
}

// Taken before the service can replace them.
const { Error, TypeError, RangeError, Promise } = globalThis
const { isArray } = Array
const { isSafeInteger } = Number
const { apply, defineProperty } = Reflect
const { isWellFormed } = String.prototype
const { delete: remove, get: find, set: put } = Map.prototype

const pending = new Map<number, Question>()
let count = 0
let bytes = 0
let lastId = 0
/** Questions behind those, the next one first; `head` is the place of the next one. */
let queue: Array<Question> = []
let head = 0

const ask = (question: Question): void => {
  const id = (lastId = (lastId + 1) >>> 0)
  // Nothing is sent where the stack is about to overflow: no answer would come.
  if (!sendBytes(question.type, id, question.body)) {
    question.reject(new Error("the store was not asked"))
    return
  }
  apply(put, pending, [id, question])
  count++
  bytes += question.body.length
}

const hasRoom = ({ body }: Question): boolean =>
  count < maxPendingStore && bytes + body.length <= maxPendingStoreBytes

const askNext = (): void => {
  while (head < queue.length && hasRoom(queue[head]!)) ask(queue[head++]!)
  if (head < queue.length && head < maxQueuedStore) return
  queue = queue.slice(head)
  head = 0
}

const question = (type: number, body: Uint8Array): Promise<StoreAnswer> =>
  new Promise((resolve, reject) => {
    if (body.length > maxBodyBytes) throw new RangeError("the values of a batch are too large")
    if (queue.length - head >= maxQueuedStore)
      throw new RangeError(`at most ${maxQueuedStore} questions to the store may wait`)
    queue[queue.length] = { type, body, resolve, reject }
    askNext()
  })

const keyOf = (key: unknown, what = "a key"): string => {
  if (typeof key !== "string") throw new TypeError(`${what} is a string`)
  // A lone surrogate would be another text once it is UTF-8.
  if (!apply(isWellFormed, key, []))
    throw new TypeError(`${what} is well-formed Unicode: no lone surrogates`)
  if (key.length > maxStoreKey)
    throw new RangeError(`${what} has at most ${maxStoreKey} bytes in UTF-8`)
  return key
}

const entryOf = ({ key, version, value }: Entry) => ({ key, version, value: decodeValue(value) })

const single = async (key: unknown) => {
  const body = encodeRead({ _tag: "Get", key: keyOf(key) }, text)
  const answer = await question(Outbound.storeRead, body)
  const found = answer._tag === "Page" ? answer.entries[0] : undefined
  return found === undefined ? undefined : entryOf(found)
}

const write = async (
  writes: ReadonlyArray<Write>,
  conditions: ReadonlyArray<Condition>,
): Promise<number> => {
  const body = encodeBatch({ writes, conditions }, text)
  const answer = await question(Outbound.storeWrite, body)
  return answer._tag === "Written" ? answer.version : 0
}

const fieldsOf = (value: unknown, what: string): Readonly<Record<string, unknown>> => {
  if (typeof value !== "object" || value === null) throw new TypeError(`${what} is an object`)
  return value as Record<string, unknown>
}

const itemsOf = <A>(value: unknown, what: string, read: (item: unknown) => A): Array<A> => {
  if (!isArray(value)) throw new TypeError(`${what} are an array`)
  const length = value.length
  if (length > maxQueuedStore) throw new RangeError(`${what} are too many`)
  const items: Array<A> = []
  for (let index = 0; index < length; index++) items[index] = read(value[index])
  return items
}

const writeOf = (item: unknown): Write => {
  const { type, key, value } = fieldsOf(item, "a write")
  if (type === "delete") return { key: keyOf(key), value: null }
  if (type !== "put") throw new TypeError('the type of a write is "put" or "delete"')
  return { key: keyOf(key), value: encodeValue(value) }
}

const conditionOf = (item: unknown): Condition => {
  const { key, version } = fieldsOf(item, "a condition")
  if (version !== null && !(isSafeInteger(version) && (version as number) >= 0))
    throw new TypeError("the version of a condition is a version, or null for no entry")
  return { key: keyOf(key), version: version as number | null }
}

const listOf = async (options: unknown = {}) => {
  const { prefix = "", cursor, limit = 100 } = fieldsOf(options, "the query of a list")
  if (typeof limit !== "number" || !(limit >= 1 && limit <= 1000) || !isSafeInteger(limit))
    throw new RangeError("the limit of a list is from 1 to 1000")
  const after = cursor === undefined || cursor === null ? null : keyOf(cursor, "a cursor")
  const query = { prefix: keyOf(prefix, "a prefix"), after, limit }
  const answer = await question(Outbound.storeRead, encodeRead({ _tag: "List", query }, text))
  if (answer._tag !== "Page") return { entries: [], cursor: undefined }
  const entries: Array<unknown> = []
  let last: string | undefined
  for (const entry of answer.entries) {
    entries[entries.length] = entryOf(entry)
    last = entry.key
  }
  return { entries, cursor: answer.hasMore ? last : undefined }
}

const methods = {
  /** The value under a key, or `undefined`. */
  get: async (key: unknown) => (await single(key))?.value,
  /** The same with its version: `{ key, value, version }`, or `undefined`. */
  entry: (key: unknown) => single(key),
  put: async (key: unknown, value: unknown) =>
    write([{ key: keyOf(key), value: encodeValue(value) }], []),
  delete: async (key: unknown) => write([{ key: keyOf(key), value: null }], []),
  list: (options?: unknown) => listOf(options),
  batch: async (writes: unknown, options: unknown = {}) => {
    const { conditions = [] } = fieldsOf(options, "the options of a batch")
    return write(
      itemsOf(writes, "the writes of a batch", writeOf),
      itemsOf(conditions, "the conditions of a batch", conditionOf),
    )
  },
}

for (const method of Object.values(methods)) Object.freeze(method)

/** What the service gets. */
export const store = Object.freeze(methods)

const errorOf = ({ refusal }: Extract<StoreAnswer, { readonly _tag: "Refused" }>): Error => {
  if (refusal.code === "invalid") return new RangeError(refusal.message)
  const error = new Error(refusal.message)
  const fields = { name: "StoreError", code: refusal.code, ...refusal.conflict }
  for (const [name, value] of Object.entries(fields))
    defineProperty(error, name, { value, configurable: true, writable: true, enumerable: false })
  return error
}

/** The kernel has answered. */
export const answerStore = (id: number, body: Uint8Array): void => {
  const question = apply(find, pending, [id]) as Question | undefined
  if (question === undefined) return
  apply(remove, pending, [id])
  count--
  bytes -= question.body.length
  const answer = decodeAnswer(body, text)
  if (answer._tag === "Refused") question.reject(errorOf(answer))
  else question.resolve(answer)
  askNext()
}
