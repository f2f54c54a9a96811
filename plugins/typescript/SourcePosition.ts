/**
 * Turns offsets, and what the type stripper prints, into lines and columns of the author's source.
 */

/** A place in a source: both count from 1, columns in UTF-16 code units. */
export interface Position {
  readonly line: number
  readonly column: number
}

/** The position of an offset into `source`. */
export const positionAt = (source: string, offset: number): Position => {
  const breaks = /\r\n|[\n\r\u2028\u2029]/g
  let line = 1
  let start = 0
  for (let match = breaks.exec(source); match !== null; match = breaks.exec(source)) {
    if (breaks.lastIndex > offset) break
    line++
    start = breaks.lastIndex
  }
  return { line, column: Math.max(1, Math.min(offset, source.length) - start + 1) }
}

const wide =
  /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}\p{Emoji_Presentation}\u3000-\u303f\uff01-\uff60]/u
const zeroWidth = /\p{Mn}|\p{Me}|\p{Cf}/u
const tabStop = 4

/** The column whose printed offset is `printed`: the stripper aligns its carets for a terminal. */
const columnOf = (text: string, printed: number): number => {
  let width = 0
  let column = 1
  for (const character of text) {
    if (width >= printed) break
    if (character === "\t") width += tabStop - (width % tabStop)
    else if (!zeroWidth.test(character)) width += wide.test(character) ? 2 : 1
    column += character.length
  }
  return Math.min(column, text.length + 1)
}

const keyword = /\b(?:export|declare|const\s+enum|enum|namespace|module)\b|\S/

/**
 * The position in an error of `stripTypeScriptTypes`: its stack opens with `:line`, up to a few
 * lines of source, and a row of carets, or `>` marks when the fault spans lines.
 */
export const fromStripError = (source: string, error: Error): Position => {
  const stack = error.stack ?? ""
  const line = Number(/^:(\d{1,9})\n/.exec(stack)?.[1] ?? "1")
  const lines = source.split(/\r\n|\n|\r/, line)
  const text = lines[line - 1] ?? ""
  const caret = /\n( *)\^+ *\n/.exec(stack)
  return caret === null
    ? { line, column: (keyword.exec(text)?.index ?? 0) + 1 }
    : { line, column: columnOf(text, caret[1]!.length) }
}
