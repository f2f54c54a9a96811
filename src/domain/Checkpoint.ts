/**
 * A checkpoint's content: the state of the log's fold as text, and back. The text is canonical, so
 * that two states are equal exactly when their texts are. Keeping checkpoints, and deciding whether
 * to believe one, is the kernel's business.
 */
import * as HashMap from "effect/HashMap"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"

import { Count } from "./Bounds.ts"
import { schemaVersion } from "./Event.ts"
import { ServiceId, serviceKey, TenantId } from "./Identifier.ts"
import { LoggedSpec } from "./ServiceSpec.ts"
import { empty, factTypes, type ServiceFact, type State } from "./State.ts"

/** To be raised whenever the fold gives another state for the same events. */
const foldVersion = 2

/**
 * What a checkpoint's text depends on beside the log. A checkpoint of another format is ignored:
 * it may lack what this kernel reads out of the same events.
 */
export const checkpointFormat = `${foldVersion}.${schemaVersion}/${factTypes.join(",")}`

const name = Schema.Struct({ tenantId: TenantId, serviceId: ServiceId })

const known = { name, revision: Count, eventId: Count, latestId: Count, highest: Count }

const Fact = Schema.Union([
  Schema.TaggedStruct("Deployed", {
    ...known,
    spec: LoggedSpec,
    deployedAt: Schema.String,
    previous: Schema.NullOr(Schema.Struct({ revision: Count, spec: LoggedSpec })),
    swappingTo: Schema.NullOr(Count),
  }),
  Schema.TaggedStruct("Killed", known),
])

const Line = Schema.fromJsonString(Schema.toCodecJson(Fact))

/** One fact as one line of a checkpoint. */
export const encodeFact: (fact: ServiceFact) => string = Schema.encodeSync(Line)

const decodeFact: (line: string) => Result.Result<ServiceFact, Schema.SchemaError> =
  Schema.decodeUnknownResult(Line)

/** The facts of a state in the order in which a checkpoint lists them. */
export const factsInOrder = (state: State): ReadonlyArray<ServiceFact> =>
  HashMap.toValues(state.services)
    .map((fact) => [serviceKey(fact.name), fact] as const)
    .sort(([left], [right]) => (left < right ? -1 : 1))
    .map(([, fact]) => fact)

/** The state a checkpoint's text stands for, or why it stands for none. */
export const decodeState = (text: string): Result.Result<State, string> => {
  let services = empty.services
  if (text === "") return Result.succeed(empty)
  for (const line of text.split("\n")) {
    const fact = decodeFact(line)
    if (Result.isFailure(fact)) return Result.fail(fact.failure.message)
    services = HashMap.set(services, serviceKey(fact.success.name), fact.success)
  }
  return Result.succeed({ services })
}
