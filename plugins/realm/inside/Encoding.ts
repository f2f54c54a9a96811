/**
 * TextDecoder and its stream for the encodings that the realm has: UTF-8, UTF-16 and those of one
 * byte a character. The tables of the others are larger than all the rest of the realm.
 */
import * as bytes from "@exodus/bytes/encoding-lite.js"

const absent = new Set(["gbk", "gb18030", "big5", "euc-jp", "iso-2022-jp", "shift_jis", "euc-kr"])

type Options = ConstructorParameters<typeof bytes.TextDecoder>[1]

const check = (encoding: string): void => {
  if (absent.has(encoding)) throw new RangeError(`the encoding ${encoding} is not there`)
}

/** https://encoding.spec.whatwg.org/#interface-textdecoder */
export class TextDecoder extends bytes.TextDecoder {
  constructor(label?: string, options?: Options) {
    super(label, options)
    check(this.encoding)
  }
}

/** https://encoding.spec.whatwg.org/#interface-textdecoderstream */
export class TextDecoderStream extends bytes.TextDecoderStream {
  constructor(label?: string, options?: Options) {
    super(label, options)
    check(this.encoding)
  }
}
