/**
 * Verification: compares what runs with what the log says, and the log with itself, and repairs
 * what can be repaired without guessing (promises 1 to 5 and 10).
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Option from "effect/Option"

import type {
  FixReport,
  Inconsistency,
  VerificationReport,
} from "../../domain/VerificationReport.ts"
import type { StorageError } from "../log/Storage.ts"

/** An inconsistency as a check found it: names are as they were read, the verifier decodes them. */
export interface Finding extends Omit<Inconsistency, "tenantId" | "serviceId"> {
  readonly tenantId: string | null
  readonly serviceId: string | null
}

/** What a registered check found. */
export interface CheckResult {
  /** What it counted, for the report. */
  readonly figures: Readonly<Record<string, number>>
  readonly inconsistencies: ReadonlyArray<Finding>
  /** What to do about them, one sentence each. */
  readonly recommendations: ReadonlyArray<string>
}

/**
 * A check that another part of the kernel, or a plugin, adds to every verification. It must leave
 * others their turn while it reads much.
 */
export interface VerifierCheck {
  /** Unique; the key of its figures in the report. Its invariants are named `<name>_…`. */
  readonly name: string
  readonly verify: (options: {
    /** Whether to look at everything, whatever it costs. */
    readonly full: boolean
  }) => Effect.Effect<CheckResult, { readonly message: string }>
  /**
   * Repairs one of its inconsistencies that is `fixable`; says what was done. It must look again
   * first, and change nothing if there is nothing to repair any more: then it says `undefined`.
   */
  readonly fix?: (
    inconsistency: Inconsistency,
  ) => Effect.Effect<string | undefined, { readonly message: string }>
}

/** The checks beside the kernel's own. */
export class VerifierChecks extends Context.Service<
  VerifierChecks,
  {
    readonly add: (check: VerifierCheck) => void
    readonly all: () => ReadonlyArray<VerifierCheck>
  }
>()("solo/kernel/recovery/Verifier/VerifierChecks") {
  static readonly layer = Layer.sync(VerifierChecks, () => {
    const checks: Array<VerifierCheck> = []
    return VerifierChecks.of({ add: (check) => void checks.push(check), all: () => checks })
  })
}

/** How to verify. */
export interface VerifyOptions {
  /**
   * Reads the log from its first event and examines the database file. Otherwise only what came
   * since the last verification, or since the checkpoint that this process started from.
   */
  readonly full?: boolean | undefined
}

/** How to repair. */
export interface FixOptions extends VerifyOptions {
  /**
   * What to do about a deployed service that is not there: bring it back (the default), or mark it
   * killed. One whose source is lost is marked killed in any case.
   */
  readonly missingServices?: "redeploy" | "kill" | undefined
}

/** How far a running verification has come. */
export interface VerificationProgress {
  readonly full: boolean
  readonly eventsChecked: number
  readonly eventsTotal: number
}

/** Verifies and repairs. One at a time. */
export class Verifier extends Context.Service<
  Verifier,
  {
    /** Verifies now; what was found is in the report, never a failure. */
    readonly verifyConsistency: (
      options?: VerifyOptions,
    ) => Effect.Effect<VerificationReport, StorageError>
    /** The last verification of this kernel process. */
    readonly verificationReport: Effect.Effect<Option.Option<VerificationReport>>
    /** The verification that runs now, if one does. */
    readonly progress: Effect.Effect<Option.Option<VerificationProgress>>
    /**
     * Verifies, repairs what is `fixable`, verifies again. Every repair is an event; where there is
     * nothing to repair nothing changes.
     */
    readonly autoFix: (options?: FixOptions) => Effect.Effect<FixReport, StorageError>
  }
>()("solo/kernel/recovery/Verifier") {}
