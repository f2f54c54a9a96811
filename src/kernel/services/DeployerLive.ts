/**
 * The deployer at work: what it can do, each on the services it needs. How it is done is in a file
 * of its own.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"

import type { KernelConfig } from "../KernelConfig.ts"
import type { ArtifactStore } from "../log/ArtifactStore.ts"
import type { EventStore } from "../log/EventStore.ts"
import type { Readiness } from "../Readiness.ts"
import type { DesiredState } from "../recovery/DesiredState.ts"
import type { Compiler } from "./Compiler.ts"
import { Deployer } from "./Deployer.ts"
import { deploy, swap } from "./Deployment.ts"
import { kill } from "./Kill.ts"
import type { Registry } from "./Registry.ts"
import { rollback } from "./Rollback.ts"
import { list, status } from "./ServiceList.ts"
import type { ServiceLock } from "./ServiceLock.ts"
import type { ServiceLogs } from "./ServiceLogs.ts"
import type { Starts } from "./Starts.ts"
import type { Supervisor } from "./Supervisor.ts"
import type { Swaps } from "./Swaps.ts"

/** The deployer. */
export const layerDeployer = Layer.effect(
  Deployer,
  Effect.map(
    Effect.context<
      | ArtifactStore
      | Compiler
      | DesiredState
      | EventStore
      | KernelConfig
      | Readiness
      | Registry
      | ServiceLock
      | ServiceLogs
      | Starts
      | Supervisor
      | Swaps
    >(),
    (context) =>
      Deployer.of({
        deploy: (caller, spec) => Effect.provideContext(deploy(caller, spec), context),
        swap: (caller, spec, options) =>
          Effect.provideContext(swap(caller, spec, options), context),
        rollback: (caller, id, options) =>
          Effect.provideContext(rollback(caller, id, options), context),
        kill: (caller, id, options) => Effect.provideContext(kill(caller, id, options), context),
        status: (tenantId, id) => Effect.provideContext(status(tenantId, id), context),
        list: (tenantId, options) => Effect.provideContext(list(tenantId, options), context),
      }),
  ),
)
