/**
 * Makes every module in the process, wherever its file lives, share the kernel's one copy of
 * `solo`, `effect` and `@effect/platform-node`. Two copies would not recognise each other's
 * values.
 */
import { existsSync } from "node:fs"
import { registerHooks } from "node:module"

/** `solo` as built; where the kernel runs from its sources, as written. */
const surface = ["../index.js", "../index.ts"]
  .map((path) => new URL(path, import.meta.url))
  .find((url) => existsSync(url))!.href

const isShared = (specifier: string): boolean =>
  /^(?:effect|@effect\/platform-node(?:-shared)?)(?:\/|$)/.test(specifier)

const formatOf = (url: string): string => (url.endsWith(".ts") ? "module-typescript" : "module")

let isRegistered = false

/** Installs the rule for all modules loaded from now on, once. */
export const shareModules = (): void => {
  if (isRegistered) return
  isRegistered = true
  registerHooks({
    resolve: (specifier, context, nextResolve) => {
      // What this file itself resolves below comes through here too.
      if (context.parentURL === import.meta.url) return nextResolve(specifier, context)
      if (specifier !== "solo" && !isShared(specifier)) return nextResolve(specifier, context)
      const url = specifier === "solo" ? surface : import.meta.resolve(specifier)
      return { url, shortCircuit: true, format: formatOf(url) }
    },
  })
}
