/**
 * A network without anybody in it, for kernels under test.
 */
import * as Layer from "effect/Layer"

import { Network, NetworkFailed } from "../../src/kernel/services/Network.ts"

/** Fails every request. */
export const layerNoNetwork = Layer.succeed(Network, {
  request: ({ destination }) => new NetworkFailed({ message: `nobody is at ${destination}` }),
})
