/**
 * Validates JSON against a JSON Schema (a stated subset of draft 2020-12).
 *
 *   POST /  {"schema": …, "data": …}
 *     → 200 {"valid": true, "errors": []}
 *     → 200 {"valid": false, "errors": [{"path": "/items/0", "keyword": "type", "message": "…"}]}
 *     → 400 when the request or the schema itself is wrong; `path` then points into the schema
 *
 * `path` is a JSON Pointer into the data (RFC 6901). At most 100 errors are reported.
 *
 * Keywords: type, enum, const · minimum, maximum, exclusiveMinimum, exclusiveMaximum, multipleOf ·
 * minLength, maxLength, pattern, format (date-time, date, email, uuid, uri, ipv4) · items,
 * prefixItems, contains, minItems, maxItems, uniqueItems · properties, patternProperties,
 * additionalProperties, propertyNames, required, dependentRequired, minProperties, maxProperties ·
 * allOf, anyOf, oneOf, not, if/then/else · $ref to "#" and "#/…", $defs. Annotations are ignored;
 * any other keyword is refused, so that nothing passes unchecked.
 */

import type { Service } from "solo/service"

type Json =
  | null
  | boolean
  | number
  | string
  | ReadonlyArray<Json>
  | { readonly [key: string]: Json }
type Fields = { readonly [key: string]: Json }

interface Fault {
  readonly path: string
  readonly keyword: string
  readonly message: string
}

const maxFaults = 100
const maxDepth = 200
const maxPatternLength = 500

class BadSchema extends Error {
  readonly path: string
  constructor(path: string, message: string) {
    super(message)
    this.path = path
  }
}

const annotations = new Set(
  "$schema $id $comment $defs title description default examples deprecated readOnly writeOnly".split(
    " ",
  ),
)

const isFields = (value: Json | undefined): value is Fields =>
  typeof value === "object" && value !== null && !Array.isArray(value)

const typeOf = (value: Json): string => {
  if (value === null) return "null"
  if (Array.isArray(value)) return "array"
  return typeof value
}

const hasType = (value: Json, type: Json): boolean =>
  type === "integer" ? Number.isInteger(value) : typeOf(value) === type

/** JSON with sorted keys, so that equal values have equal texts. */
const canonical = (value: Json): string => {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`
  if (!isFields(value)) return JSON.stringify(value)
  const keys = Object.keys(value).sort()
  return `{${keys.map((key) => `${JSON.stringify(key)}:${canonical(value[key]!)}`).join(",")}}`
}

const escapePointer = (key: string): string => key.replaceAll("~", "~0").replaceAll("/", "~1")
const unescapePointer = (key: string): string => key.replaceAll("~1", "/").replaceAll("~0", "~")

const length = (text: string): number => [...text].length

const isDate = (text: string): boolean =>
  /^\d{4}-\d\d-\d\d$/.test(text) &&
  !Number.isNaN(Date.parse(text)) &&
  new Date(text).toISOString().startsWith(text)

const formats: Readonly<Record<string, (text: string) => boolean>> = {
  "date-time": (text) =>
    /^\d{4}-\d\d-\d\d[Tt]([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d+)?([Zz]|[+-]([01]\d|2[0-3]):[0-5]\d)$/.test(
      text,
    ) && isDate(text.slice(0, 10)),
  date: isDate,
  email: (text) => text.length <= 254 && /^[^\s@]{1,64}@[^\s@.]+(\.[^\s@.]+)+$/.test(text),
  uuid: (text) => /^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$/i.test(text),
  uri: (text) => /^[a-z][a-z0-9+.-]*:/i.test(text) && URL.canParse(text),
  ipv4: (text) => /^((25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(\.(?!$)|$)){4}$/.test(text),
}

/** One validation: the schema it is about, and what was found so far. */
class Validation {
  readonly root: Json
  readonly faults: Array<Fault> = []
  constructor(root: Json) {
    this.root = root
  }

  /** Validates `data` at `path` against `schema` at `at`. */
  check(schema: Json, data: Json, path: string, at: string, depth = 0): void {
    if (this.faults.length >= maxFaults) return
    if (depth > maxDepth) throw new BadSchema(at, "the schema or the data is nested too deeply")
    if (schema === true) return
    if (schema === false) return this.fault(path, "false", "nothing is allowed here")
    if (!isFields(schema)) throw new BadSchema(at, "a schema is an object, true or false")
    for (const [keyword, value] of Object.entries(schema)) {
      if (annotations.has(keyword)) continue
      const rule = Object.hasOwn(rules, keyword) ? rules[keyword] : undefined
      if (rule === undefined) throw new BadSchema(`${at}/${keyword}`, `unknown keyword ${keyword}`)
      rule({ run: this, schema, value, data, path, at: `${at}/${escapePointer(keyword)}`, depth })
    }
  }

  /** Whether `data` is valid against `schema`, without reporting why not. */
  passes(schema: Json, data: Json, path: string, at: string, depth: number): boolean {
    const attempt = new Validation(this.root)
    attempt.check(schema, data, path, at, depth + 1)
    return attempt.faults.length === 0
  }

  fault(path: string, keyword: string, message: string): void {
    if (this.faults.length < maxFaults) this.faults.push({ path, keyword, message })
  }
}

interface Case {
  readonly run: Validation
  readonly schema: Fields
  readonly value: Json
  readonly data: Json
  readonly path: string
  readonly at: string
  readonly depth: number
}

type Rule = (it: Case) => void

const say = (it: Case, message: string): void => {
  const keyword = it.at.slice(it.at.lastIndexOf("/") + 1)
  it.run.fault(it.path, keyword, message)
}

const numberIn = ({ value, at }: Case): number => {
  if (typeof value !== "number") throw new BadSchema(at, "must be a number")
  return value
}
const listIn = ({ value, at }: Case): ReadonlyArray<Json> => {
  if (!Array.isArray(value)) throw new BadSchema(at, "must be an array")
  return value as ReadonlyArray<Json>
}
const fieldsIn = ({ value, at }: Case): Fields => {
  if (!isFields(value)) throw new BadSchema(at, "must be an object")
  return value
}
const patternIn = (text: Json, at: string): RegExp => {
  if (typeof text !== "string" || text.length > maxPatternLength)
    throw new BadSchema(at, `must be a pattern of at most ${maxPatternLength} characters`)
  try {
    return new RegExp(text, "u")
  } catch {
    throw new BadSchema(at, "is not a regular expression")
  }
}

const ofNumber =
  (test: (data: number, limit: number) => boolean, words: string): Rule =>
  (it) => {
    const limit = numberIn(it)
    if (typeof it.data === "number" && !test(it.data, limit)) say(it, `must be ${words} ${limit}`)
  }

const ofSize =
  (measure: (data: Json) => number | undefined, sign: 1 | -1, unit: string): Rule =>
  (it) => {
    const limit = numberIn(it)
    const size = measure(it.data)
    if (size !== undefined && (size - limit) * sign < 0)
      say(it, `must have at ${sign === 1 ? "least" : "most"} ${limit} ${unit}, not ${size}`)
  }

const characters = (data: Json) => (typeof data === "string" ? length(data) : undefined)
const items = (data: Json) => (Array.isArray(data) ? data.length : undefined)
const properties = (data: Json) => (isFields(data) ? Object.keys(data).length : undefined)

const multipleOf: Rule = (it) => {
  const step = numberIn(it)
  if (step <= 0) throw new BadSchema(it.at, "must be above 0")
  if (typeof it.data !== "number") return
  const ratio = it.data / step
  if (Math.abs(ratio - Math.round(ratio)) > 1e-9 * Math.max(1, Math.abs(ratio)))
    say(it, `must be a multiple of ${step}`)
}

const resolve = (root: Json, ref: string, at: string): Json => {
  if (ref === "#") return root
  if (!ref.startsWith("#/")) throw new BadSchema(at, 'only references such as "#/$defs/a" work')
  let found: Json | undefined = root
  for (const part of ref.slice(2).split("/")) {
    const key = unescapePointer(decodeURIComponent(part))
    if (Array.isArray(found)) found = (found as ReadonlyArray<Json>)[Number(key)]
    else found = isFields(found) && Object.hasOwn(found, key) ? found[key] : undefined
    if (found === undefined) throw new BadSchema(at, `${ref} points nowhere`)
  }
  return found
}

const count = (it: Case): number => {
  const { run, data, path, at, depth } = it
  return listIn(it).filter((part, index) => run.passes(part, data, path, `${at}/${index}`, depth))
    .length
}

const known = (schema: Fields, key: string): boolean => {
  const { properties, patternProperties } = schema
  if (isFields(properties) && Object.hasOwn(properties, key)) return true
  return (
    isFields(patternProperties) &&
    Object.keys(patternProperties).some((pattern) => patternIn(pattern, "").test(key))
  )
}

const rules: Readonly<Record<string, Rule>> = {
  type: (it) => {
    const types = Array.isArray(it.value) ? (it.value as ReadonlyArray<Json>) : [it.value]
    if (!types.some((type) => hasType(it.data, type)))
      say(it, `must be ${types.join(" or ")}, not ${typeOf(it.data)}`)
  },
  enum: (it) => {
    const wanted = listIn(it).map(canonical)
    if (!wanted.includes(canonical(it.data))) say(it, `must be one of ${wanted.join(", ")}`)
  },
  const: (it) => {
    if (canonical(it.value) !== canonical(it.data)) say(it, `must be ${canonical(it.value)}`)
  },
  minimum: ofNumber((data, limit) => data >= limit, "at least"),
  maximum: ofNumber((data, limit) => data <= limit, "at most"),
  exclusiveMinimum: ofNumber((data, limit) => data > limit, "above"),
  exclusiveMaximum: ofNumber((data, limit) => data < limit, "below"),
  multipleOf,
  minLength: ofSize(characters, 1, "characters"),
  maxLength: ofSize(characters, -1, "characters"),
  minItems: ofSize(items, 1, "items"),
  maxItems: ofSize(items, -1, "items"),
  minProperties: ofSize(properties, 1, "properties"),
  maxProperties: ofSize(properties, -1, "properties"),
  pattern: (it) => {
    const pattern = patternIn(it.value, it.at)
    if (typeof it.data === "string" && !pattern.test(it.data))
      say(it, `must match ${pattern.source}`)
  },
  format: (it) => {
    if (typeof it.value !== "string" || !Object.hasOwn(formats, it.value))
      throw new BadSchema(it.at, `must be one of ${Object.keys(formats).join(", ")}`)
    if (typeof it.data === "string" && !formats[it.value]!(it.data))
      say(it, `must be a ${it.value}`)
  },
  prefixItems: (it) => {
    const { run, data, path, at, depth } = it
    const parts = listIn(it)
    if (!Array.isArray(data)) return
    for (const [index, item] of data.slice(0, parts.length).entries())
      run.check(parts[index]!, item as Json, `${path}/${index}`, `${at}/${index}`, depth + 1)
  },
  items: ({ run, schema, value, data, path, at, depth }) => {
    if (!Array.isArray(data)) return
    const first = Array.isArray(schema["prefixItems"]) ? schema["prefixItems"].length : 0
    for (const [index, item] of data.entries())
      if (index >= first) run.check(value, item as Json, `${path}/${index}`, at, depth + 1)
  },
  contains: (it) => {
    const { run, value, data, path, at, depth } = it
    if (!Array.isArray(data)) return
    if (!data.some((item) => run.passes(value, item as Json, path, at, depth)))
      say(it, "must contain an item that matches")
  },
  uniqueItems: (it) => {
    if (it.value !== true || !Array.isArray(it.data)) return
    if (new Set(it.data.map(canonical)).size < it.data.length) say(it, "must not repeat items")
  },
  required: (it) => {
    const { data } = it
    if (!isFields(data)) return
    for (const key of listIn(it))
      if (typeof key !== "string") throw new BadSchema(it.at, "must be an array of names")
      else if (!Object.hasOwn(data, key)) say(it, `must have the property ${key}`)
  },
  dependentRequired: (it) => {
    const { data } = it
    for (const [key, needed] of Object.entries(fieldsIn(it)))
      if (isFields(data) && Object.hasOwn(data, key) && Array.isArray(needed))
        for (const other of needed as ReadonlyArray<string>)
          if (!Object.hasOwn(data, other)) say(it, `must have ${other} because it has ${key}`)
  },
  properties: (it) => {
    const { run, data, path, at, depth } = it
    for (const [key, part] of Object.entries(fieldsIn(it))) {
      if (!isFields(data) || !Object.hasOwn(data, key)) continue
      const name = escapePointer(key)
      run.check(part, data[key]!, `${path}/${name}`, `${at}/${name}`, depth + 1)
    }
  },
  patternProperties: (it) => {
    const { run, data, path, at, depth } = it
    for (const [text, part] of Object.entries(fieldsIn(it))) {
      const pattern = patternIn(text, at)
      if (isFields(data))
        for (const [key, inner] of Object.entries(data))
          if (pattern.test(key))
            run.check(part, inner, `${path}/${escapePointer(key)}`, `${at}/${text}`, depth + 1)
    }
  },
  additionalProperties: ({ run, schema, value, data, path, at, depth }) => {
    if (!isFields(data)) return
    for (const [key, inner] of Object.entries(data)) {
      if (known(schema, key)) continue
      const where = `${path}/${escapePointer(key)}`
      if (value === false) run.fault(where, "additionalProperties", "is not a known property")
      else run.check(value, inner, where, at, depth + 1)
    }
  },
  propertyNames: ({ run, value, data, path, at, depth }) => {
    if (!isFields(data)) return
    for (const key of Object.keys(data))
      run.check(value, key, `${path}/${escapePointer(key)}`, at, depth + 1)
  },
  allOf: (it) => {
    const { run, data, path, at, depth } = it
    for (const [index, part] of listIn(it).entries())
      run.check(part, data, path, `${at}/${index}`, depth + 1)
  },
  anyOf: (it) => {
    if (count(it) === 0) say(it, "must match at least one of the alternatives")
  },
  oneOf: (it) => {
    const matches = count(it)
    if (matches !== 1) say(it, `must match exactly one of the alternatives, not ${matches}`)
  },
  not: (it) => {
    const { run, value, data, path, at, depth } = it
    if (run.passes(value, data, path, at, depth)) say(it, "must not match")
  },
  if: ({ run, schema, value, data, path, at, depth }) => {
    const branch = run.passes(value, data, path, at, depth) ? "then" : "else"
    if (schema[branch] !== undefined)
      run.check(schema[branch], data, path, `${at}/../${branch}`, depth + 1)
  },
  then: () => {},
  else: () => {},
  $ref: ({ run, value, data, path, at, depth }) => {
    if (typeof value !== "string") throw new BadSchema(at, "must be a text")
    run.check(resolve(run.root, value, at), data, path, value, depth + 1)
  },
}

const refuse = (status: number, error: string, path?: string): Response =>
  Response.json({ error, ...(path === undefined ? {} : { path }) }, { status })

export default {
  async fetch(request) {
    if (request.method !== "POST") return refuse(405, 'POST {"schema": …, "data": …}')
    const body = (await request.json().catch(() => undefined)) as Json | undefined
    if (!isFields(body) || !Object.hasOwn(body, "schema") || !Object.hasOwn(body, "data"))
      return refuse(400, 'the body must be JSON with "schema" and "data"')
    try {
      const run = new Validation(body["schema"]!)
      run.check(body["schema"]!, body["data"]!, "", "#")
      return Response.json({ valid: run.faults.length === 0, errors: run.faults })
    } catch (error) {
      if (error instanceof BadSchema) return refuse(400, error.message, error.path)
      throw error
    }
  },
} satisfies Service
