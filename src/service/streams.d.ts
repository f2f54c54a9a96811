/**
 * The streams among the globals of a service.
 */

interface QueuingStrategy<T = any> {
  readonly highWaterMark?: number
  readonly size?: (chunk: T) => number
}
interface CountQueuingStrategy extends QueuingStrategy {
  readonly highWaterMark: number
  readonly size: () => 1
}
declare var CountQueuingStrategy: {
  prototype: CountQueuingStrategy
  new (init: { readonly highWaterMark: number }): CountQueuingStrategy
}
interface ByteLengthQueuingStrategy extends QueuingStrategy<ArrayBufferView> {
  readonly highWaterMark: number
  readonly size: (chunk: ArrayBufferView) => number
}
declare var ByteLengthQueuingStrategy: {
  prototype: ByteLengthQueuingStrategy
  new (init: { readonly highWaterMark: number }): ByteLengthQueuingStrategy
}

interface UnderlyingSource<R = any> {
  readonly type?: undefined
  start?(controller: ReadableStreamDefaultController<R>): unknown
  pull?(controller: ReadableStreamDefaultController<R>): void | PromiseLike<void>
  cancel?(reason?: any): void | PromiseLike<void>
}
interface UnderlyingByteSource {
  readonly type: "bytes"
  readonly autoAllocateChunkSize?: number
  start?(controller: ReadableByteStreamController): unknown
  pull?(controller: ReadableByteStreamController): void | PromiseLike<void>
  cancel?(reason?: any): void | PromiseLike<void>
}
interface ReadableStreamDefaultController<R = any> {
  readonly desiredSize: number | null
  close(): void
  enqueue(chunk: R): void
  error(reason?: any): void
}
declare var ReadableStreamDefaultController: { prototype: ReadableStreamDefaultController }
interface ReadableStreamBYOBRequest {
  readonly view: ArrayBufferView<ArrayBuffer> | null
  respond(bytesWritten: number): void
  respondWithNewView(view: ArrayBufferView<ArrayBuffer>): void
}
declare var ReadableStreamBYOBRequest: { prototype: ReadableStreamBYOBRequest }
interface ReadableByteStreamController {
  readonly byobRequest: ReadableStreamBYOBRequest | null
  readonly desiredSize: number | null
  close(): void
  enqueue(chunk: ArrayBufferView<ArrayBuffer>): void
  error(reason?: any): void
}
declare var ReadableByteStreamController: { prototype: ReadableByteStreamController }

type ReadableStreamReadResult<T> =
  | { readonly done: false; readonly value: T }
  | { readonly done: true; readonly value: T | undefined }
interface ReadableStreamDefaultReader<R = any> {
  readonly closed: Promise<undefined>
  cancel(reason?: any): Promise<void>
  read(): Promise<ReadableStreamReadResult<R>>
  releaseLock(): void
}
declare var ReadableStreamDefaultReader: {
  prototype: ReadableStreamDefaultReader
  new <R = any>(stream: ReadableStream<R>): ReadableStreamDefaultReader<R>
}
interface ReadableStreamBYOBReader {
  readonly closed: Promise<undefined>
  cancel(reason?: any): Promise<void>
  read<T extends ArrayBufferView>(
    view: T,
    options?: { readonly min?: number },
  ): Promise<ReadableStreamReadResult<T>>
  releaseLock(): void
}
declare var ReadableStreamBYOBReader: {
  prototype: ReadableStreamBYOBReader
  new (stream: ReadableStream<Uint8Array>): ReadableStreamBYOBReader
}

interface StreamPipeOptions {
  readonly preventAbort?: boolean
  readonly preventCancel?: boolean
  readonly preventClose?: boolean
  readonly signal?: AbortSignal
}
interface ReadableStream<R = any> {
  readonly locked: boolean
  cancel(reason?: any): Promise<void>
  getReader(): ReadableStreamDefaultReader<R>
  getReader(options: { readonly mode: "byob" }): ReadableStreamBYOBReader
  pipeThrough<T>(
    transform: { readonly readable: ReadableStream<T>; readonly writable: WritableStream<R> },
    options?: StreamPipeOptions,
  ): ReadableStream<T>
  pipeTo(destination: WritableStream<R>, options?: StreamPipeOptions): Promise<void>
  tee(): [ReadableStream<R>, ReadableStream<R>]
  values(options?: { readonly preventCancel?: boolean }): AsyncIterableIterator<R>
  [Symbol.asyncIterator](options?: { readonly preventCancel?: boolean }): AsyncIterableIterator<R>
}
declare var ReadableStream: {
  prototype: ReadableStream
  new (
    source: UnderlyingByteSource,
    strategy?: { readonly highWaterMark?: number },
  ): ReadableStream<Uint8Array>
  new <R = any>(source?: UnderlyingSource<R>, strategy?: QueuingStrategy<R>): ReadableStream<R>
  from<R>(values: Iterable<R> | AsyncIterable<R>): ReadableStream<R>
}

interface UnderlyingSink<W = any> {
  start?(controller: WritableStreamDefaultController): unknown
  write?(chunk: W, controller: WritableStreamDefaultController): void | PromiseLike<void>
  close?(): void | PromiseLike<void>
  abort?(reason?: any): void | PromiseLike<void>
}
interface WritableStreamDefaultController {
  readonly signal: AbortSignal
  error(reason?: any): void
}
declare var WritableStreamDefaultController: { prototype: WritableStreamDefaultController }
interface WritableStreamDefaultWriter<W = any> {
  readonly closed: Promise<undefined>
  readonly desiredSize: number | null
  readonly ready: Promise<undefined>
  abort(reason?: any): Promise<void>
  close(): Promise<void>
  releaseLock(): void
  write(chunk: W): Promise<void>
}
declare var WritableStreamDefaultWriter: {
  prototype: WritableStreamDefaultWriter
  new <W = any>(stream: WritableStream<W>): WritableStreamDefaultWriter<W>
}
interface WritableStream<W = any> {
  readonly locked: boolean
  abort(reason?: any): Promise<void>
  close(): Promise<void>
  getWriter(): WritableStreamDefaultWriter<W>
}
declare var WritableStream: {
  prototype: WritableStream
  new <W = any>(sink?: UnderlyingSink<W>, strategy?: QueuingStrategy<W>): WritableStream<W>
}

interface Transformer<I = any, O = any> {
  start?(controller: TransformStreamDefaultController<O>): unknown
  transform?(chunk: I, controller: TransformStreamDefaultController<O>): void | PromiseLike<void>
  flush?(controller: TransformStreamDefaultController<O>): void | PromiseLike<void>
  cancel?(reason?: any): void | PromiseLike<void>
}
interface TransformStreamDefaultController<O = any> {
  readonly desiredSize: number | null
  enqueue(chunk: O): void
  error(reason?: any): void
  terminate(): void
}
declare var TransformStreamDefaultController: { prototype: TransformStreamDefaultController }
interface TransformStream<I = any, O = any> {
  readonly readable: ReadableStream<O>
  readonly writable: WritableStream<I>
}
declare var TransformStream: {
  prototype: TransformStream
  new <I = any, O = any>(
    transformer?: Transformer<I, O>,
    writableStrategy?: QueuingStrategy<I>,
    readableStrategy?: QueuingStrategy<O>,
  ): TransformStream<I, O>
}

interface TextDecoderStream {
  readonly readable: ReadableStream<string>
  readonly writable: WritableStream<ArrayBuffer | ArrayBufferView>
  readonly encoding: string
  readonly fatal: boolean
  readonly ignoreBOM: boolean
}
declare var TextDecoderStream: {
  prototype: TextDecoderStream
  new (label?: string, options?: TextDecoderOptions): TextDecoderStream
}
interface TextEncoderStream {
  readonly readable: ReadableStream<Uint8Array<ArrayBuffer>>
  readonly writable: WritableStream<string>
  readonly encoding: string
}
declare var TextEncoderStream: { prototype: TextEncoderStream; new (): TextEncoderStream }
