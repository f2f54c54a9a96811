import { fileURLToPath } from "node:url"

import { defineConfig } from "vitest/config"

export default defineConfig({
  resolve: { alias: { solo: fileURLToPath(new URL("src/index.ts", import.meta.url)) } },
  test: {
    include: ["test/**/*.test.ts"],
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
