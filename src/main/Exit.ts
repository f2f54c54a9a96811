/**
 * How the process ends: its exit codes, which others rely on, and what a failure says. Signals
 * are `Signals`' business.
 */
import * as Cause from "effect/Cause"
import * as Exit from "effect/Exit"
import * as Schema from "effect/Schema"

import { PluginsRefused } from "../kernel/plugin/PluginError.ts"
import { DataDirectoryHeld, DataDirectoryUnusable } from "./DataDirectory.ts"
import { BadMasterKey } from "./MasterKeyFile.ts"
import { SecretFileInvalid } from "./RootTokenFile.ts"

/** Exit codes. */
export const exitCodes = {
  clean: 0,
  failed: 1,
  /** The command line is not understood (EX_USAGE). */
  usage: 64,
  /** The data directory is held by another kernel (EX_CANTCREAT). */
  held: 73,
  /** Bad configuration (EX_CONFIG). */
  configuration: 78,
} as const

/** The kernel cannot start, or did not stop well. The message is for whoever started it. */
export class ProcessFailed extends Schema.TaggedError<ProcessFailed>()("ProcessFailed", {
  code: Schema.Int,
  /** One line per mistake. */
  lines: Schema.NonEmptyArray(Schema.String),
}) {
  override get message(): string {
    return this.lines.join("\n")
  }
}

/** A bad configuration, one line per mistake. */
export const badConfiguration = (first: string, ...rest: ReadonlyArray<string>): ProcessFailed =>
  new ProcessFailed({ code: exitCodes.configuration, lines: [first, ...rest] })

const codeOf = (error: unknown): number => {
  if (error instanceof ProcessFailed) return error.code
  if (error instanceof DataDirectoryHeld) return exitCodes.held
  return error instanceof DataDirectoryUnusable ||
    error instanceof SecretFileInvalid ||
    error instanceof BadMasterKey ||
    error instanceof PluginsRefused
    ? exitCodes.configuration
    : exitCodes.failed
}

/** How a program that ended should end the process: its code, and what to say if it failed. */
export const ending = (
  exit: Exit.Exit<unknown, unknown>,
): { readonly code: number; readonly lines: ReadonlyArray<string> } => {
  if (Exit.isSuccess(exit)) return { code: exitCodes.clean, lines: [] }
  const error = Cause.squash(exit.cause)
  const isExpected = exit.cause.reasons.every(Cause.isFailReason)
  const text = isExpected && error instanceof Error ? error.message : Cause.pretty(exit.cause)
  return { code: codeOf(error), lines: text.split("\n") }
}
