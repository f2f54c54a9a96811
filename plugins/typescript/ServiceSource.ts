/**
 * Decides whether a source text is one acceptable module, and strips its types. It runs inside the
 * compile worker and is synchronous; a parser that overflows throws, which is for the caller to
 * contain.
 */
import { stripTypeScriptTypes } from "node:module"

import { type Node, type Program, parse } from "acorn"

import { type Position, fromStripError, positionAt } from "./SourcePosition.ts"

/** What became of a source: its module, or what is wrong with it and where (both from 1). */
export type Outcome =
  | { readonly ok: true; readonly code: string }
  | { readonly ok: false; readonly message: string; readonly line: number; readonly column: number }

/** Longest message about a source, in UTF-16 code units. */
const maxMessage = 1024

const oneFile = "a service is one file: put what it needs into the source itself"

const unsupported: ReadonlyArray<readonly [RegExp, string]> = [
  [/enum/, "enums cannot be stripped; use a const object with `as const` instead"],
  [/namespace|module/, "namespaces cannot be stripped; use plain objects or functions instead"],
  [
    /parameter property/,
    "parameter properties cannot be stripped; declare the field and assign it in the constructor",
  ],
  [/import equals/, `imports are refused: ${oneFile}`],
  [/export assignment/, "`export =` is refused; use `export default` instead"],
]

const refuse = (message: string, position: Position): Outcome => ({
  ok: false,
  message: message.toWellFormed().slice(0, maxMessage),
  ...position,
})

const strip = (source: string): Outcome => {
  try {
    return { ok: true, code: stripTypeScriptTypes(source, { mode: "strip" }) }
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error
    const advice = unsupported.find(([pattern]) => pattern.test(error.message))?.[1]
    return refuse(advice ?? error.message, fromStripError(source, error))
  }
}

const isNode = (value: unknown): value is Node =>
  typeof value === "object" && value !== null && typeof (value as Node).type === "string"

const isTypes = (source: Node): boolean => "value" in source && source.value === "solo/service"

const complaint = (node: Node): string | undefined => {
  const { type } = node
  if (type === "ImportDeclaration")
    return "source" in node && isNode(node.source) && isTypes(node.source)
      ? "this `import` would remain; write `import type` for types"
      : `\`import\` is refused: ${oneFile}`
  if (type === "ImportExpression") return `\`import()\` is refused: ${oneFile}`
  if (type === "ExportAllDeclaration") return `\`export from\` is refused: ${oneFile}`
  if (type === "ExportNamedDeclaration" && "source" in node && node.source !== null)
    return `\`export from\` is refused: ${oneFile}`
  if (type === "MetaProperty" && "meta" in node && isNode(node.meta) && "name" in node.meta)
    return node.meta.name === "import" ? `\`import.meta\` is refused: ${oneFile}` : undefined
  return undefined
}

/** The first node, in source order, that a service may not contain. Never recurses. */
const firstRefused = (program: Program): { node: Node; message: string } | undefined => {
  const stack: Array<Node> = [program]
  for (let node = stack.pop(); node !== undefined; node = stack.pop()) {
    const message = complaint(node)
    if (message !== undefined) return { node, message }
    const children: Array<Node> = []
    for (const value of Object.values(node)) {
      if (Array.isArray(value)) children.push(...value.filter(isNode))
      else if (isNode(value)) children.push(value)
    }
    for (const child of children.toReversed()) stack.push(child)
  }
  return undefined
}

const hasDefaultExport = (program: Program): boolean =>
  program.body.some(
    (node) =>
      node.type === "ExportDefaultDeclaration" ||
      (node.type === "ExportNamedDeclaration" &&
        node.specifiers.some(({ exported }) =>
          exported.type === "Identifier"
            ? exported.name === "default"
            : exported.value === "default",
        )),
  )

/** What no import can do without: a module that is exported on is named behind `from`. */
const mentionsImport = /import|\\u|from/

const check = (source: string, code: string): Outcome => {
  let program: Program
  try {
    program = parse(code, { ecmaVersion: "latest", sourceType: "module", allowHashBang: false })
  } catch (error) {
    if (!(error instanceof SyntaxError) || !("pos" in error)) throw error
    const at = positionAt(source, error.pos as number)
    const message = error.message.replace(/ \(\d+:\d+\)$/, "")
    return refuse(
      source[error.pos as number] === "@"
        ? "decorators are not supported; call the function instead"
        : message,
      at,
    )
  }
  const refused = mentionsImport.test(code) ? firstRefused(program) : undefined
  if (refused !== undefined) return refuse(refused.message, positionAt(source, refused.node.start))
  if (!hasDefaultExport(program))
    return refuse(
      "the module has no default export; write `export default { fetch(request, ctx) { … } }`",
      {
        line: 1,
        column: 1,
      },
    )
  return { ok: true, code }
}

/** Strips `source` (unless it is JavaScript already) and checks it. */
export const compileSource = (source: string, format: "typescript" | "javascript"): Outcome => {
  // A byte order mark becomes a space, so that positions stay and nothing later stumbles over it.
  const text = source.startsWith("\uFEFF") ? ` ${source.slice(1)}` : source
  const lone = text.isWellFormed() ? -1 : text.search(/\p{Surrogate}/u)
  if (lone >= 0)
    return refuse(
      "half of a surrogate pair; write it as an escape such as `\\ud800`",
      positionAt(text, lone),
    )
  const stripped = format === "typescript" ? strip(text) : ({ ok: true, code: text } as const)
  return stripped.ok ? check(text, stripped.code) : stripped
}
