import { fileURLToPath } from "node:url"

import { defineConfig } from "vitest/config"

/** Tests of values and of kernels within one process: nothing of theirs outlives a test. */
const inProcess = [
  "test/domain/**/*.test.ts",
  "test/kernel/**/*.test.ts",
  "test/recovery/**/*.test.ts",
]

export default defineConfig({
  resolve: { alias: { solo: fileURLToPath(new URL("src/index.ts", import.meta.url)) } },
  test: {
    projects: [
      // Loading Effect and the kernel anew for each file took a fifth of the time of these.
      { extends: true, test: { name: "in-process", include: inProcess, isolate: false } },
      {
        extends: true,
        test: { name: "apart", include: ["test/**/*.test.ts"], exclude: inProcess },
      },
    ],
    // What passing tests log on purpose would bury what a failing one says.
    silent: "passed-only",
    // Many files wait for processes more than they compute: one more than there are cores.
    maxWorkers: 3,
    // A bound against hanging, not a claim about speed: machines are shared.
    testTimeout: 120_000,
    sequence: { concurrent: false },
    coverage: {
      provider: "v8",
      include: ["src/**/*.ts", "plugins/**/*.ts"],
      exclude: ["src/main.ts", "src/main/**"],
      reporter: ["text", "lcov"],
      thresholds: {
        statements: 80,
        branches: 60,
        "src/domain/**": { lines: 95, statements: 95, functions: 95, branches: 92 },
        "src/kernel/**": { lines: 90, statements: 90, functions: 90, branches: 84 },
      },
    },
  },
})
