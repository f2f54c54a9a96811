/**
 * Starts empty boxes and waits until they have booted: the command, the limits and what a box is
 * told first. It has no service for them.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import { StartFailed } from "solo"

import { bundle } from "../realm/Assets.ts"
import { encode } from "../realm/Frame.ts"
import { type Birth, Box } from "./Box.ts"
import { firstDescriptor } from "./Command.ts"
import type { Enclosure } from "./Enclosure.ts"
import { innermost, statusBytes } from "./Figures.ts"
import type { Handout } from "./Handout.ts"
import type { Boot } from "./inside/BoxRunner.ts"
import type { Spawner } from "./Spawner.ts"
import { Control } from "./Wire.ts"

/** The heap that warm boxes have, in MiB: what a service gets that does not ask for another. */
export const usualHeapMb = 64
/** How long Node and the realm may take to come up, in milliseconds. */
const bootTimeoutMs = 20_000
const mib = 1024 * 1024
/** Memory for code, stacks and the like, beyond what an empty box has, in bytes. */
const slackBytes = 48 * mib

/** What boxes are started with. */
interface Means {
  readonly enclosure: Enclosure
  readonly spawner: Spawner
  readonly handout: Handout
  /** Memory that a box may use outside its heap, in MiB. */
  readonly outsideHeapMb: number
}

/** What is special about one box. */
interface Special {
  /** Has it make V8's code cache, and takes the pieces. */
  readonly cache?: Birth["cache"]
  /** It boots behind everybody, where that can be taken back. */
  readonly isGreedy?: boolean
}

/** Starts boxes. */
export class Starter {
  readonly #means: Means
  readonly #runner = bundle("boxes/BoxRunner.cjs")
  readonly #isRoot = process.getuid?.() === 0
  readonly #waiting = new WeakMap<Box, Deferred.Deferred<void, StartFailed>>()
  /** Memory that an empty box has, from which limits are counted; 0 before it is known. */
  #baseBytes = 0

  constructor(means: Means) {
    this.#means = means
  }

  /** Starts a box that has yet to boot. */
  spawn(heapMb: number, { cache, isGreedy = false }: Special = {}): Box {
    const { enclosure, handout, outsideHeapMb, spawner } = this.#means
    const memoryMb = heapMb + outsideHeapMb
    const dataBytes = this.#baseBytes === 0 ? 0 : this.#baseBytes + slackBytes + memoryMb * mib
    const command = enclosure.runner(this.#runner, heapMb, dataBytes, handout.descriptor)
    const ready = Deferred.makeUnsafe<void, StartFailed>()
    const booted = () => Deferred.doneUnsafe(ready, Effect.void)
    const box = new Box({
      spawner,
      command,
      limits: { heapMb, memoryMb },
      birth: cache === undefined ? { booted } : { booted, cache },
      rank: isGreedy && this.#isRoot ? "last" : "usual",
    })
    this.#waiting.set(box, ready)
    const boot: Boot = {
      handout: firstDescriptor + command.files.length - 1,
      bootstrapBytes: handout.bootstrapBytes,
      cacheBytes: handout.cacheBytes,
      makesCache: cache !== undefined,
      randomModule: "node:crypto",
      dataBytes,
      leashed: enclosure.level === "bubblewrap",
      walls: enclosure.level !== "none",
    }
    box.send(encode(Control.boot, 0, Buffer.from(JSON.stringify(boot))))
    return box
  }

  /** Waits until a box has booted. */
  booted(box: Box): Effect.Effect<void, StartFailed> {
    return Effect.raceFirst(
      Deferred.await(this.#waiting.get(box)!),
      Effect.flatMap(Deferred.await(box.gone), ({ reason }) =>
        Effect.fail(new StartFailed({ message: reason })),
      ),
    ).pipe(
      Effect.timeoutOrElse({
        duration: bootTimeoutMs,
        orElse: () =>
          Effect.fail(new StartFailed({ message: `no box came up within ${bootTimeoutMs} ms` })),
      }),
    )
  }

  /** Starts a box and waits until it has booted. */
  boot(heapMb: number, special?: Special): Effect.Effect<Box, StartFailed> {
    return Effect.flatMap(
      Effect.sync(() => this.spawn(heapMb, special)),
      (box) =>
        Effect.as(this.booted(box), box).pipe(
          Effect.onError(() => Effect.sync(() => box.end({ reason: "it did not come up" }))),
        ),
    )
  }

  /**
   * Boots a first box for what all others need to know: the memory an empty one has, and V8's code
   * cache.
   */
  readonly measure: Effect.Effect<void, StartFailed> = Effect.suspend(() => {
    const pieces: Array<Uint8Array> = []
    return Effect.map(this.boot(usualHeapMb, { cache: (piece) => pieces.push(piece) }), (box) => {
      this.#means.handout.addCache(Buffer.concat(pieces))
      this.#baseBytes = statusBytes(innermost(box.pid!), "VmData") ?? 0
      box.end({ reason: "it was measured" })
    })
  })
}
