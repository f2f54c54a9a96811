import { defineConfig } from "rolldown"

// One output file per source file, so that `dist/` mirrors the tree and stack traces read like the
// source. Packages stay outside: kernel and plugins must share one copy of `effect`.
export default defineConfig({
  input: { main: "src/main.ts", index: "src/index.ts" },
  platform: "node",
  external: /^[^./]/,
  resolve: { tsconfigFilename: "tsconfig.build.json" },
  output: {
    dir: "dist",
    preserveModules: true,
    preserveModulesRoot: "src",
    sourcemap: true,
    cleanDir: true,
  },
})
