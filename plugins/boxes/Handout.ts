/**
 * What every box reads when it boots, in a file without a name: the realm's script, and V8's cache
 * of it once there is one. Boxes get it as a descriptor that can only be read.
 */
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync, writeSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

/** The file. */
export class Handout {
  /** Open for reading. */
  readonly descriptor: number
  readonly bootstrapBytes: number
  readonly #writing: number
  #cacheBytes = 0

  constructor(bootstrap: Uint8Array) {
    const directory = mkdtempSync(join(tmpdir(), "solo-handout-"))
    try {
      const path = join(directory, "handout")
      writeFileSync(path, bootstrap, { mode: 0o600 })
      this.bootstrapBytes = bootstrap.length
      this.#writing = openSync(path, "r+")
      this.descriptor = openSync(path, "r")
    } finally {
      rmSync(directory, { recursive: true, force: true })
    }
  }

  /** Length of the cache behind the script; 0 before there is one. */
  get cacheBytes(): number {
    return this.#cacheBytes
  }

  /** Adds the cache; once. */
  addCache(cache: Uint8Array): void {
    for (let at = 0; at < cache.length;)
      at += writeSync(this.#writing, cache, at, cache.length - at, this.bootstrapBytes + at)
    this.#cacheBytes = cache.length
  }

  /** Closes the file; boxes that have it keep it. */
  close(): void {
    closeSync(this.descriptor)
    closeSync(this.#writing)
  }
}
