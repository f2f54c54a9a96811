/**
 * Places where a mutant can change nothing but what a person reads: names of spans and services,
 * descriptions of metrics, and what goes into the kernel's own log. Stryker leaves them out.
 */
import { declareValuePlugin, PluginKind } from "@stryker-mutator/api/plugin"

const silent = new Set([
  "fn",
  "withSpan",
  "logDebug",
  "logError",
  "logInfo",
  "logWarning",
  "annotateLogs",
  "Service",
])

const calledName = ({ callee }) =>
  callee.type === "MemberExpression" ? callee.property.name : callee.name

const isService = (node) =>
  node.type === "CallExpression" &&
  node.callee.type === "CallExpression" &&
  calledName(node.callee) === "Service"

/** The plugin. */
export const strykerPlugins = [
  declareValuePlugin(PluginKind.Ignore, "harmless-places", {
    shouldIgnore(path) {
      const { parent, node } = path
      const isDescription = parent?.type === "ObjectProperty" && parent.key.name === "description"
      if (isDescription && node.type === "StringLiteral") return "only read by people"
      const isArgument = parent?.type === "CallExpression" && parent.callee !== node
      if (!isArgument) return undefined
      // The body of `Effect.fn("name")(function* …)` is the argument of another call.
      const isText = ["ObjectExpression", "StringLiteral", "TemplateLiteral"].includes(node.type)
      if (isText && (silent.has(calledName(parent)) || isService(parent)))
        return "only read by people"
      return undefined
    },
  }),
]
