/**
 * The port to whatever turns a tenant's source into a plain ECMAScript module. It decides what
 * source is acceptable; it never runs any.
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

import type { SourceFormat } from "../../domain/ServiceSpec.ts"

/** The source cannot be accepted. Nothing of it ran. */
export class CompileFailed extends Schema.TaggedError<CompileFailed>()("CompileFailed", {
  /** What is wrong and, where it helps, what to write instead. */
  message: Schema.String,
  /** From 1, in the source as the tenant sent it. */
  line: Schema.Int,
  /** From 1, in UTF-16 code units. */
  column: Schema.Int,
}) {}

/** A source compiler. */
export class Compiler extends Context.Service<
  Compiler,
  {
    /**
     * Strips types and checks syntax. Lines and columns of the result are those of the source.
     * Refuses what cannot be stripped (enums, namespaces, parameter properties), what does not
     * parse, and every form of import: a service is one file.
     */
    readonly compile: (source: string, format: SourceFormat) => Effect.Effect<string, CompileFailed>
  }
>()("solo/kernel/Compiler") {}
