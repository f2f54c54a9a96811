/**
 * What looks like a token is told from a name, and taken out of a text (promise 8).
 */
import { assert, describe, it } from "@effect/vitest"
import * as Schema from "effect/Schema"

import { GivenServiceId, GivenTenantId, ServiceId, TenantId } from "../../src/domain/Identifier.ts"
import { GivenSecretName, SecretName } from "../../src/domain/Secret.ts"
import { ServiceSpec } from "../../src/domain/ServiceSpec.ts"
import { holdsToken, withoutTokens } from "../../src/domain/Token.ts"

const token = `solo_${"aB3-_".repeat(8)}xyz`
const short = token.slice(0, -1)

describe("a token", () => {
  it("is found and taken out of a text, wherever it stands", () => {
    assert.isTrue(holdsToken(`there is no service ${token}!`))
    assert.isFalse(holdsToken(short))
    assert.strictEqual(withoutTokens(`a ${token} b "${token}xx"`), 'a <token> b "<token>"')
    assert.strictEqual(withoutTokens("solo_token_checks_total"), "solo_token_checks_total")
  })

  it("is no name that a request may give, but one that an old log may hold", () => {
    const pairs = [
      [GivenTenantId, TenantId],
      [GivenServiceId, ServiceId],
      [GivenSecretName, SecretName],
    ] as const
    for (const [given, kept] of pairs) {
      assert.isTrue(Schema.is(given)(short))
      for (const name of [token, `my-${token}`]) {
        assert.isFalse(Schema.is(given)(name))
        assert.isTrue(Schema.is(kept)(name))
      }
    }
  })

  it("is nowhere in a spec but in its source and the values of env", () => {
    const decode = Schema.decodeUnknownExit(ServiceSpec)
    const base = { serviceId: "a", source: token, env: { A: token } }
    assert.strictEqual(decode(base)._tag, "Success")
    const name = token.replaceAll("-", "_")
    const wrong = [
      { serviceId: token },
      { secrets: ["a", token] },
      { services: [token] },
      { network: [`${token}.example:443`] },
      { healthPath: `/health?as=${token}` },
      { env: { [name]: "1" } },
    ]
    for (const one of wrong) assert.strictEqual(decode({ ...base, ...one })._tag, "Failure")
  })
})
