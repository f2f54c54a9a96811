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
    mutate: [
      "src/kernel/log/EventReader.ts",
      "src/kernel/log/EventStoreSql.ts",
      "src/domain/HashChain.ts",
    ],
    tests: ["test/domain/HashChain.test.ts", "test/kernel/{EventStore,EventReader}.test.ts"],
  },
  writer: {
    mutate: [
      "src/kernel/log/Commit.ts",
      "src/kernel/log/EventBatch.ts",
      "src/kernel/log/EventRow.ts",
      "src/kernel/log/EventStore.ts",
      "src/kernel/log/EventWriter.ts",
    ],
    tests: ["test/kernel/{EventStore,EventWriter}.test.ts"],
  },
  records: {
    mutate: [
      "src/kernel/log/ArtifactStore.ts",
      "src/kernel/log/Attachment.ts",
      "src/kernel/log/EventTail.ts",
      "src/kernel/log/Note.ts",
      "src/kernel/log/Recorder.ts",
      "src/kernel/log/Storage.ts",
    ],
    tests: ["test/kernel/{ArtifactStore,EventTail,Recorder,Storage}.test.ts"],
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
      "test/kernel/{LastWord,Lifecycle,Startup,Deadline}.test.ts",
      "test/main/{Exit,Signals}.test.ts",
      "test/recovery/EdgeCases.test.ts",
    ],
  },
  audit: {
    mutate: [
      "src/kernel/recovery/LogAudit.ts",
      "src/domain/Invariant.ts",
      "src/domain/ServiceJudgement.ts",
      "src/domain/VerificationReport.ts",
    ],
    tests: [
      "test/domain/{ServiceJudgement,VerificationReport}.test.ts",
      "test/kernel/verification/LogAudit.test.ts",
    ],
  },
  checkpoints: {
    mutate: ["src/kernel/recovery/CheckpointsSql.ts", "src/domain/Checkpoint.ts"],
    tests: [
      "test/domain/{Checkpoint,State}.test.ts",
      "test/kernel/verification/Checkpoints.test.ts",
    ],
  },
  verification: {
    mutate: [
      "src/kernel/recovery/ArtifactsAudit.ts",
      "src/kernel/recovery/Examination.ts",
      "src/kernel/recovery/Repair.ts",
      "src/kernel/recovery/ServicesAudit.ts",
      "src/kernel/recovery/VerifierLive.ts",
    ],
    tests: [
      "test/kernel/verification/{AutoFix,Examination,Overtaken,Refused,Repair,ServicesAudit,Verifier}.test.ts",
    ],
  },
  recovery: {
    mutate: [
      "src/kernel/recovery/DesiredState.ts",
      "src/kernel/recovery/ReplayerLive.ts",
      "src/kernel/recovery/ServiceRecovery.ts",
      "src/domain/State.ts",
      "src/domain/Decision.ts",
    ],
    tests: [
      "test/domain/{State,Decision}.test.ts",
      "test/kernel/{RecoveryReport,Replayer,Starts}.test.ts",
      "test/recovery/EdgeCases.test.ts",
    ],
  },
  supervision: {
    mutate: ["src/kernel/services/Supervisor.ts"],
    tests: ["test/kernel/{Deployer,Supervisor}.test.ts"],
  },
  swaps: {
    mutate: [
      "src/kernel/services/Endings.ts",
      "src/kernel/services/HotSwap.ts",
      "src/kernel/services/Rollback.ts",
      "src/kernel/services/Starts.ts",
      "src/kernel/services/Swaps.ts",
    ],
    tests: ["test/kernel/{HotSwap,HotSwapRaces,Starts}.test.ts"],
  },
  deployment: {
    mutate: [
      "src/kernel/services/Deployer.ts",
      "src/kernel/services/Deployment.ts",
      "src/kernel/services/Kill.ts",
      "src/kernel/services/Refusal.ts",
    ],
    tests: ["test/kernel/{Deployer,DeployerRecords,HotSwap,Starts}.test.ts"],
  },
}

/** The environment variable that names the group whose tests are run. */
export const groupVariable = "TEST_MUTANTS"
