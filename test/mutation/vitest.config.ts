/**
 * The tests that mutants of kernel and domain are run against: those of kernel, domain and
 * recovery, without the plugins', without real processes, and without the two that search at random
 * for a long time: what only luck would find counts as survived.
 */
import { fileURLToPath } from "node:url"

import { defineConfig } from "vitest/config"

export default defineConfig({
  root: fileURLToPath(new URL("../..", import.meta.url)),
  resolve: { alias: { solo: fileURLToPath(new URL("../../src/index.ts", import.meta.url)) } },
  test: {
    // Instrumented code on a busy machine takes its time.
    testTimeout: 30_000,
    include: ["test/{kernel,domain,recovery}/**/*.test.ts"],
    exclude: ["test/recovery/Properties.test.ts", "test/recovery/Simulation.test.ts"],
  },
})
