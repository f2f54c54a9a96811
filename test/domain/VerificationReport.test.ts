/**
 * What a verification says to people and programs: promises by number, advice, the worst first
 * (promise 10).
 */
import * as Schema from "effect/Schema"
import { assert, describe, it } from "vitest"

import { ServiceId, TenantId } from "../../src/domain/Identifier.ts"
import { type Invariant, type InvariantName, invariants } from "../../src/domain/Invariant.ts"
import {
  FixReport,
  inconsistency,
  statusOf,
  VerificationReport,
} from "../../src/domain/VerificationReport.ts"

const all = Object.entries<Invariant>(invariants) as ReadonlyArray<[InvariantName, Invariant]>
const name = { tenantId: TenantId.make("acme"), serviceId: ServiceId.make("a") }

/** Violations that lose or endanger nothing yet. */
const mild = new Set(["events_readable", "checkpoint_is_whole", "check_completes"])

describe("invariants", () => {
  it.each(all)(
    "%s defends a promise, and says what to do when it does not hold",
    (own, invariant) => {
      assert.isTrue(invariant.promise >= 1 && invariant.promise <= 10)
      assert.match(invariant.advice, /^[A-Z].*: .+\.$/)
      assert.strictEqual(invariant.severity, mild.has(own) ? "warning" : "error")
    },
  )

  it("give each its own advice", () => {
    assert.strictEqual(new Set(all.map(([, { advice }]) => advice)).size, all.length)
  })
})

const report: VerificationReport = {
  verificationId: 7,
  timestamp: "2026-01-01T00:00:00.000Z",
  durationMs: 1,
  full: true,
  status: "error",
  consistencyChecks: {
    servicesDeployed: 1,
    servicesPresent: 2,
    servicesRunning: 3,
    servicesFailed: 4,
    servicesRecovered: 5,
    servicesKilled: 6,
    servicesBusy: 7,
    eventsChecked: 8,
    eventsFrom: 9,
    eventsTo: 10,
    eventsUnreadable: 11,
    clockStepsBack: 12,
    artifactsChecked: 13,
    checkpointsChecked: 14,
    registered: { tokens: { rows: 1.5 } },
  },
  inconsistencies: [
    inconsistency("event_has_service", "it is not there", { name, eventId: 3, fixable: true }),
    inconsistency("counts_match", "they do not"),
  ],
  inconsistencyCount: 2,
  recommendations: ["Repair it."],
}

describe("a verification report", () => {
  it("says of each inconsistency what is known of it, and nothing else", () => {
    assert.deepStrictEqual(report.inconsistencies, [
      {
        invariant: "event_has_service",
        promise: 1,
        severity: "error",
        ...name,
        eventId: 3,
        detail: "it is not there",
        fixable: true,
      },
      {
        invariant: "counts_match",
        promise: 10,
        severity: "error",
        tenantId: null,
        serviceId: null,
        eventId: null,
        detail: "they do not",
        fixable: false,
      },
    ])
  })

  it("is as bad as the worst that was found", () => {
    const bad = inconsistency("counts_match", "")
    const mild = inconsistency("events_readable", "")
    assert.strictEqual(statusOf([]), "ok")
    assert.strictEqual(statusOf([mild]), "warning")
    assert.strictEqual(statusOf([mild, bad, mild]), "error")
  })

  it.each(["ok", "warning", "error"] as const)(
    "of the status %s passes through its schema",
    (status) => {
      const decoded = Schema.decodeSync(VerificationReport)({ ...report, status })
      assert.deepStrictEqual(decoded, { ...report, status })
    },
  )

  it("keeps out what is not one", () => {
    const decode = Schema.decodeUnknownResult(VerificationReport)
    const wrong = [
      { status: "fine" },
      { full: "yes" },
      { durationMs: -1 },
      { recommendations: [1] },
      { inconsistencies: [{ ...report.inconsistencies[0], severity: "bad" }] },
      { consistencyChecks: { ...report.consistencyChecks, eventsTo: "10" } },
    ]
    for (const part of wrong) assert.strictEqual(decode({ ...report, ...part })._tag, "Failure")
  })

  const actions = [
    "logged",
    "redeployed",
    "marked_killed",
    "stopped",
    "reread",
    "rebuilt",
    "repaired",
  ] as const
  it.each(actions)("of a repair that %s something passes through its schema", (action) => {
    const fix = { invariant: "counts_match", action, ...name, detail: "done", eventId: 8 }
    const fixed: FixReport = {
      fixes: [fix],
      failures: [{ inconsistency: report.inconsistencies[0]!, reason: "it is busy" }],
      verification: report,
    }
    assert.deepStrictEqual(Schema.decodeSync(FixReport)(fixed), fixed)
    const bad = { ...fixed, fixes: [{ ...fix, action: "done" }] }
    assert.strictEqual(Schema.decodeUnknownResult(FixReport)(bad)._tag, "Failure")
  })
})
