/**
 * The tests that mutants are run against: those of one group, without the plugins' own and without
 * real processes. What only luck would find counts as survived: random lives are few here.
 */
import { fileURLToPath } from "node:url"

import { defineConfig } from "vitest/config"

import { groups, groupVariable } from "./Groups.ts"

const tests = groups[process.env[groupVariable] ?? ""]?.tests

export default defineConfig({
  root: fileURLToPath(new URL("../..", import.meta.url)),
  resolve: { alias: { solo: fileURLToPath(new URL("../../src/index.ts", import.meta.url)) } },
  test: {
    // One load of the modules per mutant, not one per file: loading takes longer than the tests.
    isolate: false,
    // Instrumented code on a busy machine takes its time.
    testTimeout: 30_000,
    env: { TEST_LIVES: "10", TEST_CUTS: "6" },
    include: [...(tests ?? Object.values(groups).flatMap((group) => group.tests))],
  },
})
