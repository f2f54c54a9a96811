/**
 * The wire between a driver and the realm of one service: one frame is a type, an id and a body,
 * in bytes, over whatever carries messages in order. It owns the spelling and the bounds; what a
 * frame means is the business of `Session` on the kernel's side and of `inside/` on the other.
 *
 * Whatever comes out of a realm is hostile: `decode` checks lengths, `Session` the rest.
 */

/** Frame types into the realm. Types up to 31 that are not here are free. */
export const Inbound = {
  /** id; text: JSON `[method, url, headers, hasBody]`. */
  requestHead: 1,
  /** id; bytes of the request's body. */
  requestChunk: 2,
  requestEnd: 3,
  /** id; the request's body broke off. */
  requestBroken: 4,
  /** id; nobody waits for the response any more. */
  abort: 5,
  /** id; number: how much more of the response may be sent. */
  responseCredit: 6,
  stop: 7,
  /** id of the question; a byte, 1 for the secret and 0 for why there is none; text. */
  secretAnswer: 8,
  /** id of the question; bytes: what the store answers. @see StoreWire */
  storeAnswer: 9,
  /** id of the errand; number: how much more of its body may be sent. */
  errandCredit: 11,
  /** id of the errand; text: JSON `[status, headers, hasBody]` of the response. */
  errandHead: 12,
  /** id of the errand; bytes of the response's body. */
  errandChunk: 13,
  /** id of the errand; the response is complete. */
  errandEnd: 14,
  /** id of the errand; text: why there is no response, or not all of it. */
  errandFailed: 15,
  /** id; text: JSON `[cron, scheduledTime]`. `abort` ends the wait for it too. */
  scheduled: 16,
} as const

/** Frame types out of the realm. Types up to 63 that are not here are free. */
export const Outbound = {
  ready: 32,
  /** text: why the service could not start, or ended. */
  failed: 33,
  /** id; number: how much more of the request's body may be sent. */
  requestCredit: 34,
  /** id; text: JSON `[status, headers, hasBody]`. */
  responseHead: 35,
  /** id; bytes of the response's body. */
  responseChunk: 36,
  responseEnd: 37,
  /** id; text: what the service threw. */
  responseBroken: 38,
  /** id: level (0 debug … 3 error); text. */
  log: 39,
  stopped: 40,
  /** id of the question, none that waits for its answer; text: the name of a secret. */
  secretWanted: 41,
  /** id of the question, none that waits for its answer; bytes: what to read. @see StoreWire */
  storeRead: 42,
  /** The same, with a batch. */
  storeWrite: 43,
  /** id of `scheduled`, which has ended. */
  scheduledEnd: 53,
  /** id of `scheduled`; text: what the service threw. */
  scheduledBroken: 54,
  /** id: level as in `log`; text: a JSON object, a line break, the message. */
  logFields: 55,
  /** id of a new errand; text: JSON `[service or null, method, url, headers, length]`. */
  errandHead: 45,
  /** id of the errand; bytes of the request's body. */
  errandChunk: 46,
  errandEnd: 47,
  /** id of the errand; the request's body broke off. */
  errandBroken: 48,
  /** id of the errand; nobody waits for its response any more. */
  errandAbort: 49,
  /** id of the errand; number: how much more of the response may be sent. */
  errandCredit: 50,
} as const

/** Largest piece of a body in one frame, in bytes. */
export const maxChunkBytes = 64 * 1024
/** Largest body of any frame, in bytes: a head with its headers fits. */
export const maxBodyBytes = 128 * 1024
/** How much of one body may be under way before the receiver has taken any, in cost units. */
export const windowCost = 128 * 1024
/** What a piece of a body costs at least, so that tiny pieces cannot fill memory. */
const minChunkCost = 512
/** Requests one instance answers at once. */
export const maxPendingRequests = 256
/** Due times one instance works on at once. */
export const maxPendingScheduled = 64
/** Headers of one message, and their names and values together in UTF-16 code units. */
export const maxHeaders = 256
export const maxHeaderLength = 64 * 1024
/** What the name and the value of a header may be: what every client takes. */
export const headerName = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,256}$/
// oxlint-disable-next-line no-control-regex -- the control characters are what is refused
export const headerValue = /^[\t\u0020-\u007e\u0080-\u00ff]*$/
/** What a service's failure may say, in UTF-16 code units. */
export const maxMessageLength = 4096
/** One line of a service's log, in UTF-16 code units. */
export const maxLogLength = 8192
/** What a line says beside its message: JSON, in UTF-16 code units. */
export const maxFieldsLength = 4096
/** Lines a service may log in a burst, and per second after that. */
export const logBurst = 512
export const logsPerSecond = 128
/** Secrets one service may wait for at once. */
export const maxPendingSecrets = 64
/** The name of a secret a service asks for, in UTF-16 code units. */
export const maxSecretName = 128
/** Questions to its store one service may have under way, and their bodies together, in bytes. */
export const maxPendingStore = 64
export const maxPendingStoreBytes = 512 * 1024
/** A key of the store, or the prefix or cursor of a list, in UTF-16 code units: more never fit. */
export const maxStoreKey = 512
/** Questions to its store that may wait behind those inside the realm. */
export const maxQueuedStore = 4096
/** Errands (requests out of a service) that one service may have under way at once. */
export const maxPendingErrands = 64
/** The URL of an errand, in UTF-16 code units. */
export const maxErrandUrl = 16 * 1024
/** Redirects that one fetch follows. */
export const maxRedirects = 20
/** The id of a service that an errand is for, in UTF-16 code units. */
export const maxServiceId = 128
/** Timers one service may have set. */
export const maxTimers = 4096

/** What a piece of `bytes` bytes takes from the window. Never less than a fixed share. */
export const chunkCost = (bytes: number): number => (bytes < minChunkCost ? minChunkCost : bytes)

/**
 * A piece to be held on to: what would keep much more memory than its own is copied. Pieces are cut
 * out of what was read at once, and a window counts their own bytes.
 */
export const kept = (piece: Uint8Array): Uint8Array =>
  piece.buffer.byteLength > 2 * (piece.length + minChunkCost) ? new Uint8Array(piece) : piece

/** What a frame is before its body: the type, and the id in four bytes. */
export const headerBytes = 5

/** A frame. */
export interface Frame {
  readonly type: number
  readonly id: number
  readonly body: Uint8Array
}

/** Spells a frame with a body of bytes. The result owns its memory. */
export const encode = (type: number, id: number, body?: Uint8Array): Uint8Array => {
  const frame = new Uint8Array(headerBytes + (body === undefined ? 0 : body.length))
  frame[0] = type
  // By hand: a view for one number costs more than all the rest.
  frame[1] = id >>> 24
  frame[2] = id >>> 16
  frame[3] = id >>> 8
  frame[4] = id
  if (body !== undefined) frame.set(body, headerBytes)
  return frame
}

/** Spells a frame whose body is one number from 0 to 2³²−1. */
export const encodeNumber = (type: number, id: number, value: number): Uint8Array => {
  const frame = new Uint8Array(headerBytes + 4)
  frame[0] = type
  const view = new DataView(frame.buffer)
  view.setUint32(1, id)
  view.setUint32(headerBytes, value)
  return frame
}

/** Reads a frame, or `undefined` where the bytes are none. The body is a view, not a copy. */
export const decode = (bytes: unknown): Frame | undefined => {
  if (!(bytes instanceof Uint8Array)) return undefined
  if (bytes.length < headerBytes || bytes.length > headerBytes + maxBodyBytes) return undefined
  const id = ((bytes[1]! << 24) | (bytes[2]! << 16) | (bytes[3]! << 8) | bytes[4]!) >>> 0
  return { type: bytes[0]!, id, body: bytes.subarray(headerBytes) }
}

/** The number in a frame's body, or 0 where there is none. */
export const numberOf = ({ body }: Frame): number =>
  body.length === 4 ? new DataView(body.buffer, body.byteOffset).getUint32(0) : 0
