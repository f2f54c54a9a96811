/**
 * One driver of boxes for all tests of a file: finding out which walls stand takes a while.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import { Runtime } from "solo"
import { afterAll } from "vitest"

import type { BoxSettings } from "../../../plugins/boxes/BoxSettings.ts"
import { layer } from "../../../plugins/boxes/index.ts"

/** The driver with these settings, built once and closed after the last test of the file. */
export const sharedBoxes = (settings?: typeof BoxSettings.Encoded): Layer.Layer<Runtime> => {
  const built = ManagedRuntime.make(Layer.orDie(layer(settings)))
  afterAll(() => built.dispose())
  return Layer.effect(
    Runtime,
    Effect.promise(() => built.runPromise(Runtime)),
  )
}
