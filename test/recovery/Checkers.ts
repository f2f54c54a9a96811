/**
 * The promises as checks on a kernel that has just started and on its database file, independent of
 * whatever workload went before. Each answers with what is broken, naming the promise.
 */
import { assert } from "@effect/vitest"

import { serviceKey } from "../../src/domain/Identifier.ts"
import type { Kernel } from "../kernel/harness/Machine.ts"
import { checkLog } from "./LogCheckers.ts"
import { contradictionsOf, type Model } from "./Model.ts"
import { wantsOf } from "./ServiceModel.ts"
import type { Sight } from "./Sight.ts"
import { heldIn } from "./StoreModel.ts"
import { fatesOf } from "./TokenModel.ts"

/** Promises 1 and 2: what was acknowledged runs, what was killed does not, nothing else does. */
const checkServices = ({ services }: Model, { running }: Sight): ReadonlyArray<string> => {
  const keys = new Set([...services.situations.keys(), ...running.keys()])
  return [...keys].flatMap((key) => {
    const runs = running.get(key) ?? "none"
    const possible = wantsOf(services, key)
    return possible.includes(runs)
      ? []
      : [`promises 1, 2: ${key} should be ${possible.join(" or ")} and is ${runs}`]
  })
}

/** Promise 10: what the registry says is what the driver runs, each once. */
export const checkRegistry = (kernel: Kernel): ReadonlyArray<string> => {
  const living = [...kernel.world.living].map(({ key, revision }) => `${key}@${revision}`).sort()
  const listed = kernel.registry
    .all()
    .map((child) =>
      child.status === "running"
        ? `${serviceKey(child.name)}@${child.revision}`
        : `${serviceKey(child.name)} is ${child.status}`,
    )
    .sort()
  return living.join() === listed.join()
    ? []
    : [`promise 10: the registry has ${listed.join()}, the driver runs ${living.join()}`]
}

/** Promises 1, 2 and 6: stores and secrets hold what was acknowledged, and no others do. */
const checkStores = ({ stores }: Model, { held }: Sight): ReadonlyArray<string> =>
  [...new Set([...stores.situations.keys(), ...held.keys()])].flatMap((subject) => {
    const holds = held.get(subject) ?? null
    const possible = heldIn(stores, subject)
    return possible.includes(holds)
      ? []
      : [`promises 1, 2, 6: ${subject} should hold ${possible.join(" or ")} and holds ${holds}`]
  })

/** Promises 1, 2 and 6: what was granted is good where it should be, what was revoked is gone. */
const checkTokens = ({ tokens }: Model, sight: Sight): ReadonlyArray<string> => {
  const here = new Map(sight.tokens.map((token) => [token.hash, token]))
  const known = tokens.known.flatMap((token) => {
    const { hash, tenant } = token
    const is = here.get(hash)?.tenant === tenant ? "good" : "gone"
    const good = sight.accepted.get(hash) ?? []
    const should = "secret" in token && is === "good" ? [tenant] : []
    const fates = fatesOf(tokens, hash)
    return [
      ...(fates.includes(is) || fates.includes("unstored")
        ? []
        : [`promises 1, 2: ${hash} should be ${fates.join(" or ")} and is ${is}`]),
      ...(good.join() === should.join()
        ? []
        : [`promise 6: ${hash} is ${is} in ${tenant}, and accepted in ${good.join()}`]),
    ]
  })
  const orphans = sight.tokens.filter(({ parent }) => parent !== null && !here.has(parent))
  const expected = [...tokens.strangers]
  for (const { hash } of tokens.known) here.delete(hash)
  const surplus = [...here.values()].filter(({ tenant }) => {
    const at = expected.indexOf(tenant)
    if (at >= 0) expected.splice(at, 1)
    return at < 0
  })
  return [
    ...known,
    ...orphans.map(({ hash }) => `promise 2: ${hash} outlives the token it was made from`),
    ...surplus.map(({ hash, tenant }) => `promises 2, 6: ${tenant} never asked for ${hash}`),
  ]
}

/** Everything that is broken in a kernel that has just started, of which this is seen. */
export const check = (kernel: Kernel, model: Model, sight: Sight): ReadonlyArray<string> => [
  ...contradictionsOf(model).map((one) => `promise 1: ${one}`),
  ...checkServices(model, sight),
  ...checkStores(model, sight),
  ...checkTokens(model, sight),
  ...checkRegistry(kernel),
  ...checkLog(kernel.disk, model),
]

/** Fails with all that is broken, each in full: a shrunk case shows messages, and no differences. */
export const assertKept = (broken: ReadonlyArray<string>, when: string): void => {
  if (broken.length > 0) assert.fail(`${when}:\n${broken.join("\n")}`)
}
