/**
 * What the signals of the operating system ask for: the first one a graceful shutdown, a second
 * one the end at once. It also counts the loss of the parent that `Handover` started us from as a
 * request to stop. It performs neither.
 */

/** Signals that ask the kernel to stop, and the exit code when one of them ends it at once. */
const exitCodeBySignal = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const

/** A signal that asks the kernel to stop. */
export type StopSignal = keyof typeof exitCodeBySignal

/** All of them. */
export const stopSignals = Object.keys(exitCodeBySignal) as ReadonlyArray<StopSignal>

/**
 * The same signal within so many milliseconds counts once: one Ctrl-C under `npm start` arrives
 * from the terminal and from npm.
 */
export const echoMs = 50

/** What a signal asks for. */
export type Request = "stop" | "exit" | "nothing"

/** Says, for each signal and the time it came at in milliseconds, what it asks for. */
export const makeJudge = (): ((signal: StopSignal, at: number) => Request) => {
  let isStopping = false
  const lastSeen = new Map<StopSignal, number>()
  return (signal, at) => {
    const last = lastSeen.get(signal)
    lastSeen.set(signal, at)
    if (last !== undefined && at - last < echoMs) return "nothing"
    if (isStopping) return "exit"
    isStopping = true
    return "stop"
  }
}

/** Says why to stop, and how to end at once. */
export interface Listeners {
  readonly onStop: (reason: string) => void
  readonly onExit: (code: number) => void
}

/** The environment variable by which `Handover` tells its child that it is one. */
export const handoverVariable = "_SOLO_HANDOVER"

const endEarly = (): void => process.exit(0)

/**
 * Until `listen` is called, a request to stop ends the process at once with exit code 0: nothing
 * has begun that would have to be shut down.
 */
export const listenEarly = (): void => {
  for (const signal of stopSignals) process.on(signal, endEarly)
}

/**
 * Calls `onStop` at the first request to stop and `onExit` at a second signal. Tells a parent that
 * handed over to us that signals are welcome from now on. Never removed: the process listens until
 * it ends.
 */
export const listen = ({ onExit, onStop }: Listeners): void => {
  const judge = makeJudge()
  for (const signal of stopSignals) {
    process.on(signal, () => {
      const request = judge(signal, performance.now())
      if (request === "stop") onStop(signal)
      if (request === "exit") onExit(exitCodeBySignal[signal])
    })
    // After that: without any listener in between, a signal on its way to us would be lost.
    process.off(signal, endEarly)
  }
  if (process.env[handoverVariable] === undefined || process.channel === undefined) return
  delete process.env[handoverVariable]
  process.once("disconnect", () => onStop("the parent process is gone"))
  process.send?.("listening")
  process.channel?.unref()
}
