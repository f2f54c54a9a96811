/**
 * Bodies of requests and responses: https://fetch.spec.whatwg.org/#body-mixin. Text and bytes stay
 * what they are until somebody asks for a stream, so that small answers cost no stream.
 */
import { TextDecoder, TextEncoder } from "@exodus/bytes/encoding-lite.js"
import { ReadableStream } from "web-streams-polyfill"

/** What a body may be made of. */
export type BodyInit = string | ArrayBuffer | ArrayBufferView | URLSearchParams | ReadableStream

type Source = string | Uint8Array | ReadableStream | null

const bytesOf = (value: ArrayBuffer | ArrayBufferView): Uint8Array =>
  ArrayBuffer.isView(value)
    ? new Uint8Array(value.buffer, value.byteOffset, value.byteLength).slice()
    : new Uint8Array(value).slice()

/** The source of a body and the content type it implies. */
export const extract = (init: unknown): { source: Source; type: string | undefined } => {
  if (init === undefined || init === null) return { source: null, type: undefined }
  if (init instanceof ReadableStream) {
    if (init.locked || disturbed(init))
      throw new TypeError("the stream of a body must be neither locked nor read from")
    return { source: init, type: undefined }
  }
  if (init instanceof ArrayBuffer || ArrayBuffer.isView(init))
    return { source: bytesOf(init), type: undefined }
  if (init instanceof URLSearchParams)
    return {
      source: String(init),
      type: "application/x-www-form-urlencoded;charset=UTF-8",
    }
  return { source: String(init), type: "text/plain;charset=UTF-8" }
}

const streamOf = (source: string | Uint8Array): ReadableStream =>
  new ReadableStream({
    start(controller) {
      const bytes = typeof source === "string" ? new TextEncoder().encode(source) : source
      if (bytes.length > 0) controller.enqueue(bytes)
      controller.close()
    },
  })

const collect = async (stream: ReadableStream): Promise<Uint8Array<ArrayBuffer>> => {
  const chunks: Array<Uint8Array> = []
  const reader = stream.getReader()
  let length = 0
  for (;;) {
    const { done, value } = await reader.read()
    if (done) break
    if (!(value instanceof Uint8Array)) throw new TypeError("a body consists of Uint8Arrays")
    chunks.push(value)
    length += value.length
  }
  const whole = new Uint8Array(length)
  let offset = 0
  for (const chunk of chunks) {
    whole.set(chunk, offset)
    offset += chunk.length
  }
  return whole
}

export let bodyOf: (body: Body) => Source
export let takeSource: (body: Body) => Source

/** What Request and Response share. */
export class Body {
  #source: Source
  #used = false

  constructor(source: Source) {
    this.#source = source
  }
  get body(): ReadableStream | null {
    if (typeof this.#source === "string" || this.#source instanceof Uint8Array) {
      this.#source = streamOf(this.#source)
      if (this.#used) this.#source.getReader()
    }
    return this.#source
  }
  get bodyUsed(): boolean {
    if (this.#used) return true
    return this.#source instanceof ReadableStream && disturbed(this.#source)
  }
  #take(): Source {
    if (this.bodyUsed || (this.#source instanceof ReadableStream && this.#source.locked))
      throw new TypeError("the body has been read already")
    if (this.#source !== null) this.#used = true
    return this.#source
  }
  async bytes(): Promise<Uint8Array> {
    const source = this.#take()
    if (source === null) return new Uint8Array()
    if (typeof source === "string") return new TextEncoder().encode(source)
    return source instanceof Uint8Array ? source : collect(source)
  }
  async arrayBuffer(): Promise<ArrayBuffer> {
    const bytes = await this.bytes()
    return bytes.buffer.byteLength === bytes.length
      ? (bytes.buffer as ArrayBuffer)
      : (bytes.slice().buffer as ArrayBuffer)
  }
  async text(): Promise<string> {
    if (typeof this.#source === "string")
      return (this.#take() as string).toWellFormed().replace(/^\uFEFF/, "")
    return new TextDecoder().decode(await this.bytes())
  }
  async json(): Promise<unknown> {
    return JSON.parse(await this.text())
  }
  static {
    bodyOf = (body) => {
      if (body.bodyUsed || (body.#source instanceof ReadableStream && body.#source.locked))
        throw new TypeError("the body has been read already")
      if (!(body.#source instanceof ReadableStream)) return body.#source
      const [kept, given] = body.#source.tee()
      body.#source = kept
      return given
    }
    takeSource = (body) => body.#take()
  }
}

/** Whether anything was read from a stream: its `_disturbed` slot in the streams library. */
const disturbed = (stream: ReadableStream): boolean =>
  (stream as unknown as { _disturbed?: boolean })._disturbed === true
