/**
 * What is mutated, and which tests have to notice: in groups, because a mutant that runs while a
 * module is loaded is run against every test of its group.
 */

/** Files to break, and the tests run against them. */
export interface Group {
  readonly mutate: ReadonlyArray<string>
  readonly tests: ReadonlyArray<string>
}

/** The groups by name. */
export const groups: Readonly<Record<string, Group>> = {
  capability: {
    mutate: ["src/kernel/capability/*.ts", "src/domain/Capability.ts"],
    tests: [
      "test/domain/Capability.test.ts",
      "test/kernel/Capability*.test.ts",
      "test/kernel/Token*.test.ts",
      "test/kernel/verification/Tokens*.test.ts",
    ],
  },
  log: {
    mutate: ["src/kernel/log/*.ts", "src/domain/HashChain.ts"],
    tests: [
      "test/kernel/Event*.test.ts",
      "test/kernel/Artifact*.test.ts",
      "test/kernel/Recorder.test.ts",
      "test/kernel/StorageFaults.test.ts",
      "test/kernel/Damage.test.ts",
    ],
  },
  shutdown: {
    mutate: [
      "src/kernel/Lifecycle.ts",
      "src/kernel/Startup.ts",
      "src/kernel/Readiness.ts",
      "src/kernel/Deadline.ts",
      "src/main/Exit.ts",
      "src/main/Signals.ts",
    ],
    tests: [
      "test/kernel/{Lifecycle,Startup,Deadline}.test.ts",
      "test/main/{Exit,Signals}.test.ts",
      "test/recovery/EdgeCases.test.ts",
    ],
  },
  verification: {
    mutate: [
      "src/kernel/recovery/Examination.ts",
      "src/kernel/recovery/LogAudit.ts",
      "src/kernel/recovery/ServicesAudit.ts",
      "src/kernel/recovery/ArtifactsAudit.ts",
      "src/kernel/recovery/Repair.ts",
      "src/kernel/recovery/Checkpoints.ts",
      "src/kernel/recovery/CheckpointsSql.ts",
      "src/kernel/recovery/Verifier.ts",
      "src/kernel/recovery/VerifierLive.ts",
      "src/domain/ServiceJudgement.ts",
      "src/domain/VerificationReport.ts",
      "src/domain/Invariant.ts",
      "src/domain/Checkpoint.ts",
    ],
    tests: [
      "test/domain/{ServiceJudgement,VerificationReport,Checkpoint}.test.ts",
      "test/kernel/verification/{Verifier,AutoFix,Checkpoints}*.test.ts",
    ],
  },
  recovery: {
    mutate: [
      "src/kernel/recovery/DesiredState.ts",
      "src/kernel/recovery/ReplayerLive.ts",
      "src/domain/State.ts",
      "src/domain/Decision.ts",
    ],
    tests: [
      "test/domain/{State,Decision}.test.ts",
      "test/kernel/Replayer.test.ts",
      "test/recovery/EdgeCases.test.ts",
    ],
  },
  services: {
    mutate: [
      "src/kernel/services/Deployer.ts",
      "src/kernel/services/DeployerLive.ts",
      "src/kernel/services/Supervisor.ts",
    ],
    tests: ["test/kernel/{Deployer,DeployerRecords,Supervisor}.test.ts"],
  },
}

/** The environment variable that names the group whose tests are run. */
export const groupVariable = "TEST_MUTANTS"
