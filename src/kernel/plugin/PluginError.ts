/**
 * Everything that can be wrong with a set of plugins before or while it starts. The messages are
 * for whoever wrote the configuration: they name plugins and service keys, never values.
 */
import * as Schema from "effect/Schema"

/** Two plugins have one name. */
export class PluginNameTaken extends Schema.TaggedError<PluginNameTaken>()("PluginNameTaken", {
  plugin: Schema.String,
  /** Where the two came from. */
  sources: Schema.Tuple([Schema.String, Schema.String]),
}) {
  override get message(): string {
    return `plugin ${this.plugin}: two plugins have this name, from ${this.sources.join(" and from ")}; leave one out`
  }
}

/** Two plugins provide one service. */
export class ServiceProvidedTwice extends Schema.TaggedError<ServiceProvidedTwice>()(
  "ServiceProvidedTwice",
  { service: Schema.String, plugin: Schema.String, other: Schema.String },
) {
  override get message(): string {
    return `plugin ${this.plugin}: provides ${this.service}, which ${this.other} provides already; leave one of them out`
  }
}

/** A plugin needs a service that nothing provides. */
export class NeedMissing extends Schema.TaggedError<NeedMissing>()("NeedMissing", {
  plugin: Schema.String,
  service: Schema.String,
  /** The optional plugin that would have provided it, had it not been left out. */
  wouldProvide: Schema.NullOr(Schema.String),
}) {
  override get message(): string {
    const why =
      this.wouldProvide === null
        ? "which no plugin provides; add one that does"
        : `which ${this.wouldProvide} would have provided, had it started`
    return `plugin ${this.plugin}: needs ${this.service}, ${why}`
  }
}

/** Plugins need each other in a circle. */
export class PluginCycle extends Schema.TaggedError<PluginCycle>()("PluginCycle", {
  /** Each needs something of the next; the last is the first again. */
  path: Schema.Array(Schema.String),
}) {
  override get message(): string {
    return `plugin ${this.path[0]}: needs itself in a circle, ${this.path.join(" → ")}; none of them can start first`
  }
}

/** A plugin was made for another version of the plugin contract. */
export class ApiVersionMismatch extends Schema.TaggedError<ApiVersionMismatch>()(
  "ApiVersionMismatch",
  { plugin: Schema.String, found: Schema.String, expected: Schema.Int },
) {
  override get message(): string {
    return `plugin ${this.plugin}: made for plugin API ${this.found}, this kernel has plugin API ${this.expected}; install a matching release of the plugin`
  }
}

/** A plugin's section of the configuration cannot be decoded. */
export class PluginConfigInvalid extends Schema.TaggedError<PluginConfigInvalid>()(
  "PluginConfigInvalid",
  {
    plugin: Schema.String,
    /** One per mistake: where in the section, and what is wrong there. */
    mistakes: Schema.Array(Schema.Struct({ path: Schema.String, problem: Schema.String })),
  },
) {
  override get message(): string {
    return this.mistakes
      .map(
        ({ path, problem }) =>
          `plugin ${this.plugin}: config${path === "" ? "" : " "}${path}: ${problem}`,
      )
      .join("\n")
  }
}

/** A plugin's value could not be got hold of, or is no plugin. */
export class PluginLoadFailed extends Schema.TaggedError<PluginLoadFailed>()("PluginLoadFailed", {
  /** The path or package name, as configured. */
  source: Schema.String,
  /** What is wrong; one line per mistake. */
  problems: Schema.Array(Schema.String),
}) {
  override get message(): string {
    return this.problems.map((problem) => `plugin ${this.source}: ${problem}`).join("\n")
  }
}

/** Why one plugin cannot take part. */
export const PluginError = Schema.Union([
  PluginNameTaken,
  ServiceProvidedTwice,
  NeedMissing,
  PluginCycle,
  ApiVersionMismatch,
  PluginConfigInvalid,
  PluginLoadFailed,
])
/** @see {@link PluginError} */
export type PluginError = typeof PluginError.Type

/** The set of plugins cannot start. Nothing was started. One or more lines per mistake. */
export class PluginsRefused extends Schema.TaggedError<PluginsRefused>()("PluginsRefused", {
  errors: Schema.NonEmptyArray(PluginError),
}) {
  override get message(): string {
    return this.errors.map((error) => error.message).join("\n")
  }
}

/** A plugin failed while it started. What had started before it is stopped again. */
export class PluginStartFailed extends Schema.TaggedError<PluginStartFailed>()(
  "PluginStartFailed",
  { plugin: Schema.String, reason: Schema.String, cause: Schema.Defect() },
) {
  override get message(): string {
    return `plugin ${this.plugin}: did not start: ${this.reason}`
  }
}
