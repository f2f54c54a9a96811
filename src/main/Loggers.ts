/**
 * Where the kernel's own log goes: standard error, pretty for people or JSON for machines.
 * Standard output is left to the one line that says where it listens.
 */
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import type { LogLevel } from "effect/LogLevel"
import * as References from "effect/References"

import type { Config } from "./Config.ts"

const levels = {
  trace: "Trace",
  debug: "Debug",
  info: "Info",
  warn: "Warn",
  error: "Error",
  fatal: "Fatal",
  none: "None",
} as const satisfies Record<Config["logLevel"], LogLevel>

/** The loggers that `config` asks for. */
export const layer = ({ logFormat, logLevel }: Pick<Config, "logFormat" | "logLevel">) => {
  const isTerminal = process.stderr.isTTY === true
  const format = logFormat ?? (isTerminal ? "pretty" : "json")
  const logger =
    format === "pretty"
      ? Logger.consolePretty({ mode: "tty", colors: isTerminal })
      : Logger.withConsoleError(Logger.formatJson)
  return Layer.mergeAll(
    Logger.layer([logger]),
    Layer.succeed(Logger.LogToStderr, true),
    Layer.succeed(References.MinimumLogLevel, levels[logLevel]),
  )
}
