/**
 * Where the kernel can be reached. A gateway plugin provides it once it listens.
 */
import * as Context from "effect/Context"

/** The open gateway. */
export class Gateway extends Context.Service<
  Gateway,
  {
    /** Base URL without a trailing slash, with the port really taken. */
    readonly url: string
  }
>()("solo/kernel/Gateway") {}
