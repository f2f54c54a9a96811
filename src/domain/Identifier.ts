/**
 * Names of tenants and services, and the pair that names one service in the whole kernel.
 * It owns their spelling; who may use a name is decided elsewhere.
 */
import * as Schema from "effect/Schema"

import { isNoToken } from "./Token.ts"

const pattern = /^[A-Za-z0-9_-]{1,128}$/

const expected = "1 to 128 characters out of A-Z, a-z, 0-9, _ and -"

/** Names a tenant: the wall nothing crosses (promise 6). */
export const TenantId = Schema.String.check(Schema.isPattern(pattern, { expected })).pipe(
  Schema.brand("TenantId"),
)
/** @see {@link TenantId} */
export type TenantId = typeof TenantId.Type

/**
 * A tenant as a request names it. What looks like a token is refused, for a name is written down:
 * only where it is given, because what old logs hold is read for ever.
 */
export const GivenTenantId = TenantId.check(isNoToken)

/** Names a service within its tenant. */
export const ServiceId = Schema.String.check(Schema.isPattern(pattern, { expected })).pipe(
  Schema.brand("ServiceId"),
)
/** @see {@link ServiceId} */
export type ServiceId = typeof ServiceId.Type

/** A service as a request names it. @see {@link GivenTenantId} */
export const GivenServiceId = ServiceId.check(isNoToken)

/** Names one service in the whole kernel. */
export interface ServiceName {
  readonly tenantId: TenantId
  readonly serviceId: ServiceId
}

/** A service's name as one string, for map keys and logs. `/` cannot occur in either part. */
export const serviceKey = (name: ServiceName): string => `${name.tenantId}/${name.serviceId}`
