/**
 * The public surface: everything a plugin may use, ours and other people's alike, as the package
 * `solo`. What is not exported here is the kernel's own business.
 */
export * from "./domain/Event.ts"
export * from "./domain/HashChain.ts"
export * from "./domain/Identifier.ts"
export * from "./domain/RecoveryReport.ts"
export * from "./domain/Service.ts"
export * from "./domain/ServiceSpec.ts"
export * from "./kernel/Compiler.ts"
export * from "./kernel/Deployer.ts"
export * from "./kernel/Digest.ts"
export * from "./kernel/EventStore.ts"
export * from "./kernel/Gateway.ts"
export * from "./kernel/Ingress.ts"
export * from "./kernel/Plugin.ts"
export * from "./kernel/Readiness.ts"
export * from "./kernel/Replayer.ts"
export * from "./kernel/RootToken.ts"
export * from "./kernel/Runtime.ts"
export * from "./kernel/ServiceLogs.ts"
export * from "./kernel/Storage.ts"
