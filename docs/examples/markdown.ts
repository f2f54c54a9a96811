/**
 * Renders Markdown as HTML that is safe to embed: all text is escaped, raw HTML is shown as text,
 * and links lead only to http, https, mailto and relative addresses.
 *
 *   POST /            Markdown text → 200 text/html, a fragment
 *   POST /?page=Title the same as a whole page
 *
 * Knows headings, paragraphs, hard breaks, emphasis, strong, strikethrough, code spans, fenced and
 * indented code, block quotes, nested ordered and unordered lists, task lists, tables, links,
 * images, autolinks, rules and backslash escapes. At most 1 MiB of text.
 */

import type { Service } from "solo/service"

const maxLength = 1024 * 1024
const maxNesting = 16

const entities: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
}

const escapeHtml = (text: string): string =>
  text.replace(/[&<>"']/g, (character) => entities[character]!)

/** The address, or `undefined` where it would not be safe to follow. */
const safeUrl = (address: string): string | undefined => {
  // Browsers ignore control characters and spaces within a scheme.
  const bare = address.replace(/[\u0000-\u0020\u007f-\u00a0\u200b-\u200f\u2028\u2029\ufeff]/g, "")
  const scheme = /^([^/?#]*?):/.exec(bare)?.[1]
  if (scheme !== undefined && !/^(https?|mailto)$/i.test(scheme)) return undefined
  return bare.startsWith("//") || bare.startsWith("\\") ? undefined : bare
}

type Span = readonly [pattern: RegExp, render: (match: RegExpExecArray, depth: number) => string]

const link = (text: string, address: string, title: string | undefined): string => {
  const url = safeUrl(address)
  if (url === undefined) return text
  const extra = title === undefined ? "" : ` title="${escapeHtml(title)}"`
  return `<a href="${escapeHtml(url)}"${extra} rel="nofollow noopener">${text}</a>`
}

const image = (alt: string, address: string, title: string | undefined): string => {
  const url = safeUrl(address)
  if (url === undefined || /^mailto:/i.test(url)) return escapeHtml(alt)
  const extra = title === undefined ? "" : ` title="${escapeHtml(title)}"`
  return `<img src="${escapeHtml(url)}" alt="${escapeHtml(alt)}"${extra}>`
}

/** Spans by their first character; every pattern is bounded and starts where the text does. */
const spans: Readonly<Record<string, ReadonlyArray<Span>>> = {
  "\\": [
    [/^\\([!-/:-@[-`{-~])/, ([, character]) => escapeHtml(character!)],
    [/^\\\n/, () => "<br>\n"],
  ],
  "`": [
    [
      /^(`{1,8})(?!`)([^`]|[^`][^]{0,5000}?[^`])\1(?!`)/,
      ([, , code]) => `<code>${escapeHtml(code!.replace(/^ (.*[^ ].*) $/, "$1"))}</code>`,
    ],
    [/^`+/, ([ticks]) => ticks],
  ],
  "!": [
    [
      /^!\[([^\][]{0,1000})\]\(\s{0,10}<?([^\s()<>]{1,2000})>?(?:\s{1,10}"([^"]{0,500})")?\s{0,10}\)/,
      ([, alt, address, title]) => image(alt!, address!, title),
    ],
  ],
  "[": [
    [
      /^\[((?:[^\][]|\[[^\][]{0,200}\]){1,1000})\]\(\s{0,10}<?([^\s()<>]{1,2000}(?:\([^\s()<>]{0,200}\)[^\s()<>]{0,200})?)>?(?:\s{1,10}"([^"]{0,500})")?\s{0,10}\)/,
      ([, text, address, title], depth) => link(inline(text!, depth + 1), address!, title),
    ],
  ],
  "<": [
    [
      /^<((?:https?|mailto):[^\s<>]{1,2000})>/i,
      ([, url]) => link(escapeHtml(url!), url!, undefined),
    ],
    [
      /^<([A-Za-z0-9._+-]{1,64}@[A-Za-z0-9.-]{1,255})>/,
      ([, mail]) => link(escapeHtml(mail!), `mailto:${mail}`, undefined),
    ],
  ],
  "*": [
    [
      /^\*\*(?=[^\s*])([^]{0,5000}?[^\s])\*\*/,
      ([, text], depth) => `<strong>${inline(text!, depth + 1)}</strong>`,
    ],
    [
      /^\*(?=[^\s*])([^*]{0,5000}?[^\s*]|[^\s*])\*(?!\*)/,
      ([, text], depth) => `<em>${inline(text!, depth + 1)}</em>`,
    ],
  ],
  _: [
    [
      /^__(?=[^\s_])([^]{0,5000}?[^\s])__(?!\w)/,
      ([, text], depth) => `<strong>${inline(text!, depth + 1)}</strong>`,
    ],
    [
      /^_(?=[^\s_])([^_]{0,5000}?[^\s_]|[^\s_])_(?!\w)/,
      ([, text], depth) => `<em>${inline(text!, depth + 1)}</em>`,
    ],
  ],
  "~": [
    [
      /^~~(?=[^\s~])([^~]{1,5000})~~/,
      ([, text], depth) => `<del>${inline(text!, depth + 1)}</del>`,
    ],
  ],
  " ": [[/^ {2,}\n/, () => "<br>\n"]],
}

/** Longest text any span covers: what lies beyond is not looked at. */
const spanWindow = 6000

const inline = (text: string, depth = 0): string => {
  if (depth > maxNesting) return escapeHtml(text)
  let html = ""
  let plain = 0
  const flush = (to: number) => (html += escapeHtml(text.slice(plain, to)))
  for (let at = 0; at < text.length;) {
    const character = text[at]!
    const candidates = Object.hasOwn(spans, character) ? spans[character]! : []
    const inWord = character === "_" && /\w/.test(text[at - 1] ?? "")
    let taken = 0
    for (const [pattern, render] of inWord ? [] : candidates) {
      const match = pattern.exec(text.slice(at, at + spanWindow))
      if (match === null) continue
      flush(at)
      html += render(match, depth)
      taken = match[0].length
      break
    }
    at += taken === 0 ? 1 : taken
    if (taken > 0) plain = at
  }
  flush(text.length)
  return html
}

const bullet = /^( {0,3})([-*+]|\d{1,9}[.)])( +|$)/
const rule = /^ {0,3}(?:(?:\* *){3,}|(?:- *){3,}|(?:_ *){3,})$/
const heading = /^ {0,3}(#{1,6})(?: +(.*?))?(?: +#+)? *$/
const fence = /^ {0,3}(`{3,}|~{3,}) *([\w+#.-]{0,40})[^`]*$/
const divider = /^ {0,3}\|? *:?-+:? *(?:\| *:?-+:? *){0,100}\|? *$/

const startsBlock = (line: string): boolean =>
  rule.test(line) ||
  heading.test(line) ||
  fence.test(line) ||
  /^ {0,3}>/.test(line) ||
  /^ {0,3}(?:[-*+]|1[.)]) +\S/.test(line)

/** Lines of a text, and how far they are read. */
class Reader {
  readonly lines: ReadonlyArray<string>
  at = 0
  constructor(lines: ReadonlyArray<string>) {
    this.lines = lines
  }
  get line(): string | undefined {
    return this.lines[this.at]
  }
  take(): string {
    return this.lines[this.at++]!
  }
  takeWhile(test: (line: string) => boolean): ReadonlyArray<string> {
    const from = this.at
    while (this.line !== undefined && test(this.line)) this.at++
    return this.lines.slice(from, this.at)
  }
}

const fenced = (reader: Reader): string => {
  const [, marks, language] = fence.exec(reader.take())!
  const body = reader.takeWhile((line) => {
    const end = /^ {0,3}(`{3,}|~{3,}) *$/.exec(line)?.[1]
    return end === undefined || end[0] !== marks![0] || end.length < marks!.length
  })
  reader.at++
  const kind = language === "" ? "" : ` class="language-${escapeHtml(language!)}"`
  return `<pre><code${kind}>${body.map((line) => `${escapeHtml(line)}\n`).join("")}</code></pre>`
}

const quote = (reader: Reader, depth: number): string => {
  const lines = reader.takeWhile((line) => /^ {0,3}>/.test(line))
  const inner = lines.map((line) => line.replace(/^ {0,3}> ?/, ""))
  return `<blockquote>\n${blocks(inner, depth + 1)}\n</blockquote>`
}

const item = (reader: Reader, depth: number): { html: string; loose: boolean } => {
  const first = reader.take()
  const [marker, lead, sign, gap] = bullet.exec(first)!
  const indent = gap!.length > 4 ? lead!.length + sign!.length + 1 : marker.length
  const lines = [first.slice(indent)]
  while (reader.line !== undefined) {
    const { line } = reader
    if (line.trim() === "") {
      const next = reader.lines[reader.at + 1]
      if (next === undefined || !/^\s/.test(next) || next.search(/\S/) < indent) break
      lines.push("")
    } else if (line.search(/\S/) >= indent) lines.push(line.slice(indent))
    else if (bullet.test(line) || startsBlock(line) || lines.at(-1) === "") break
    else lines.push(line.trimStart())
    reader.at++
  }
  const task = /^\[([ xX])\] +/.exec(lines[0]!)
  if (task !== null) lines[0] = lines[0]!.slice(task[0].length)
  const box =
    task === null ? "" : `<input type="checkbox" disabled${task[1] === " " ? "" : " checked"}> `
  const loose = lines.includes("")
  const body = blocks(lines, depth + 1)
  return { html: box + (loose ? body : body.replace(/^<p>([^]*?)<\/p>/, "$1")), loose }
}

const list = (reader: Reader, depth: number): string => {
  const kind = (line: string) => bullet.exec(line)?.[2]!.at(-1)
  const sign = kind(reader.line!)
  const start = Number.parseInt(bullet.exec(reader.line!)![2]!, 10)
  const items: Array<string> = []
  while (reader.line !== undefined && kind(reader.line) === sign && !rule.test(reader.line)) {
    items.push(`<li>${item(reader, depth).html}</li>`)
    const next = reader.lines[reader.at + 1]
    if (reader.line?.trim() === "" && next !== undefined && kind(next) === sign) reader.at++
  }
  const tag = Number.isNaN(start) ? "ul" : "ol"
  const from = tag === "ol" && start !== 1 ? ` start="${start}"` : ""
  return `<${tag}${from}>\n${items.join("\n")}\n</${tag}>`
}

const cells = (line: string): ReadonlyArray<string> =>
  line
    .trim()
    .replace(/^\||(?<!\\)\|$/g, "")
    .split(/(?<!\\)\|/)
    .map((cell) => cell.trim().replaceAll("\\|", "|"))

const table = (reader: Reader): string => {
  const head = cells(reader.take())
  const sides = cells(reader.take()).map((mark) => {
    if (mark.endsWith(":")) return mark.startsWith(":") ? "center" : "right"
    return mark.startsWith(":") ? "left" : undefined
  })
  const row = (values: ReadonlyArray<string>, tag: string) => {
    const inner = head.map((_, index) => {
      const side = sides[index] === undefined ? "" : ` align="${sides[index]}"`
      return `<${tag}${side}>${inline(values[index] ?? "")}</${tag}>`
    })
    return `<tr>${inner.join("")}</tr>`
  }
  const body = reader.takeWhile((line) => line.trim() !== "" && !startsBlock(line))
  return `<table>\n<thead>${row(head, "th")}</thead>\n<tbody>${body.map((line) => row(cells(line), "td")).join("\n")}</tbody>\n</table>`
}

const indented = (reader: Reader): string => {
  const lines = reader.takeWhile((line) => line.startsWith("    ") || line.trim() === "")
  const text = lines.map((line) => line.slice(4)).join("\n")
  return `<pre><code>${escapeHtml(text.trimEnd())}\n</code></pre>`
}

const paragraph = (reader: Reader): string => {
  const lines = [reader.take()]
  while (reader.line !== undefined && reader.line.trim() !== "") {
    const under = /^ {0,3}(=+|-+) *$/.exec(reader.line)?.[1]
    if (under !== undefined) {
      reader.at++
      const level = under.startsWith("=") ? 1 : 2
      return `<h${level}>${inline(lines.join("\n").trim())}</h${level}>`
    }
    if (startsBlock(reader.line)) break
    lines.push(reader.take())
  }
  return `<p>${inline(
    lines
      .map((line) => line.trimStart())
      .join("\n")
      .trimEnd(),
  )}</p>`
}

const block = (reader: Reader, depth: number): string => {
  const line = reader.line!
  const title = heading.exec(line)
  if (title !== null) {
    reader.at++
    const level = title[1]!.length
    return `<h${level}>${inline(title[2] ?? "")}</h${level}>`
  }
  if (fence.test(line)) return fenced(reader)
  if (rule.test(line)) {
    reader.at++
    return "<hr>"
  }
  const nested = depth < maxNesting
  if (nested && /^ {0,3}>/.test(line)) return quote(reader, depth)
  if (nested && bullet.test(line)) return list(reader, depth)
  if (line.startsWith("    ")) return indented(reader)
  const next = reader.lines[reader.at + 1]
  if (line.includes("|") && next?.includes("|") && divider.test(next)) return table(reader)
  return paragraph(reader)
}

const blocks = (lines: ReadonlyArray<string>, depth = 0): string => {
  const reader = new Reader(lines)
  const html: Array<string> = []
  while (reader.line !== undefined)
    if (reader.line.trim() === "") reader.at++
    else html.push(block(reader, depth))
  return html.join("\n")
}

/** Markdown as HTML. */
const render = (text: string): string =>
  blocks(
    text.replaceAll("\0", "\uFFFD").replace(/\r\n?/g, "\n").replaceAll("\t", "    ").split("\n"),
  )

const page = (title: string, body: string): string =>
  `<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n<title>${escapeHtml(title)}</title>\n${body}\n</html>\n`

export default {
  async fetch(request) {
    if (request.method !== "POST")
      return new Response("POST Markdown to render it as HTML\n", {
        status: 405,
        headers: { allow: "POST" },
      })
    const text = await request.text()
    if (text.length > maxLength) return new Response("the text is too long\n", { status: 413 })
    const html = render(text)
    const title = new URL(request.url).searchParams.get("page")
    return new Response(title === null ? `${html}\n` : page(title, html), {
      headers: {
        "content-type": "text/html; charset=utf-8",
        "content-security-policy":
          "default-src 'none'; img-src http: https:; style-src 'unsafe-inline'",
        "x-content-type-options": "nosniff",
      },
    })
  },
} satisfies Service
