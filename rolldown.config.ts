import { defineConfig } from "rolldown"

export default defineConfig([
  // One output file per source file, so that `dist/` mirrors the tree and stack traces read like the
  // source. Packages stay outside: kernel and plugins must share one copy of `effect`.
  {
    input: {
      main: "src/main.ts",
      index: "src/index.ts",
      "plugins/typescript/CompileWorker": "plugins/typescript/CompileWorker.ts",
    },
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
  },
  // What is evaluated inside a service's realm: one script, packages included.
  {
    input: { bootstrap: "plugins/realm/inside/bootstrap.ts" },
    platform: "neutral",
    // Neither a browser nor Node: libraries must fall back to what they bring themselves.
    resolve: { mainFields: ["module", "main"], conditionNames: ["import", "default"] },
    treeshake: { moduleSideEffects: true },
    plugins: [
      {
        // For engines without it, which a box's is not: two thirds of a short request went into
        // cutting its URL into characters.
        name: "native Array.from",
        load: (id) =>
          id.endsWith("core-js/internals/array-from.js") ? "module.exports = Array.from" : null,
      },
    ],
    output: { dir: "dist/plugins/realm", format: "iife", minify: { mangle: { keepNames: true } } },
  },
  // What runs a service's thread: one script without packages.
  {
    input: { ThreadRunner: "plugins/threads/ThreadRunner.ts" },
    platform: "node",
    output: { dir: "dist/plugins/threads", format: "cjs", entryFileNames: "[name].cjs" },
  },
  // What runs in a box, what tries a box out, and what starts boxes: one script each, to be given
  // to `node -e`.
  ...["inside/BoxRunner", "inside/Probe", "SpawnerProcess"].map((name) => ({
    input: { [name.replace("inside/", "")]: `plugins/boxes/${name}.ts` },
    platform: "node" as const,
    output: {
      dir: "dist/plugins/boxes",
      format: "cjs" as const,
      entryFileNames: "[name].cjs",
      minify: true,
    },
  })),
])
