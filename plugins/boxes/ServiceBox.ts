/**
 * One service in one box: gives an empty box its program, and is the instance that the kernel
 * holds. It keeps the bounds that the box itself must not be trusted with.
 */
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import {
  type Instance,
  type InstanceExit,
  type Program,
  type ServiceResponse,
  ServiceThrew,
  type StartFailed,
  serviceKey,
} from "solo"

import { Session, identityOf } from "../realm/Session.ts"
import type { Box, Ending } from "./Box.ts"
import { figuresOf, innermost } from "./Figures.ts"
import { makePace } from "./Pace.ts"
import type { Watch } from "./Watch.ts"
import { Control, encodePair } from "./Wire.ts"

/**
 * How long a greedy service starts behind everybody, in milliseconds, and which share of its time
 * to start at most. On a machine that is busy with something else it would never come up.
 */
const patienceMs = 1000
const patienceShare = 0.2

/** What all services share. */
export interface Surroundings {
  /**
   * A box for this much heap: a warm one, or a new one that is still to boot. A greedy service
   * gets no warm one, and boots behind everybody.
   */
  readonly take: (heapMb: number, isGreedy: boolean) => Effect.Effect<Box>
  /** Waits until a box has booted. */
  readonly booted: (box: Box) => Effect.Effect<void, StartFailed>
  readonly watch: Watch
  readonly responseMb: number
}

const killed: Ending = { reason: "the instance was stopped" }

interface Life {
  readonly box: Box
  readonly session: Session
  readonly exit: Deferred.Deferred<InstanceExit>
  readonly isGreedy: boolean
  /** Whether its end was asked for. */
  isStopped: boolean
}

const attach = Effect.fnUntraced(function* (surroundings: Surroundings, program: Program) {
  const exit = yield* Deferred.make<InstanceExit>()
  const isGreedy = surroundings.watch.wasGreedy(serviceKey(program.name))
  const box = yield* surroundings.take(program.limits.heapMb, isGreedy)
  const session = yield* Session.make(
    {
      send: (frame) => box.send(frame),
      broken: (reason) => box.end({ reason }),
    },
    program,
  )
  return { box, session, exit, isGreedy, isStopped: false } satisfies Life as Life
})

/** Connects the session with its box, once that has booted. */
const connect = ({ watch }: Surroundings, life: Life, clock: Clock.Clock): void => {
  const { box, exit, session } = life
  const paced = makePace(() => clock.currentTimeMillisUnsafe())
  box.listen({
    frame: (frame) => {
      const violation = paced(frame[0]!)
      if (violation === undefined) return session.receive(frame)
      const { limit, value } = violation
      box.end({ reason: `the service's box is too fast: ${limit} is ${value}`, violation })
    },
    ended: (ending) => {
      watch.remove(box, !life.isStopped)
      session.end(life.isStopped ? killed.reason : ending.reason)
      Deferred.doneUnsafe(
        exit,
        Effect.succeed(life.isStopped ? { _tag: "Stopped" } : { _tag: "Crashed", ...ending }),
      )
    },
  })
}

/** Gives the box its program, once it has booted, and waits until that is ready. */
const begin = Effect.fnUntraced(function* (
  { booted }: Surroundings,
  { box, isGreedy, session }: Life,
  program: Program,
) {
  const start = Effect.gen(function* () {
    yield* booted(box)
    box.send(encodePair(Control.assign, identityOf(program), Buffer.from(program.code)))
    yield* session.ready
  })
  if (!isGreedy) return yield* start
  const patience = Math.min(patienceMs, program.limits.startupTimeoutMs * patienceShare)
  const hurry = Effect.andThen(
    Effect.sleep(patience),
    Effect.sync(() => box.rank("usual")),
  )
  yield* Effect.raceFirst(start, Effect.andThen(hurry, Effect.never))
})

/** Fails a body that grows beyond its bound. */
const limited = (response: ServiceResponse, responseMb: number): ServiceResponse => {
  // What comes whole is smaller than any bound: it fitted into the window of one request.
  if (response.body === null || response.whole !== undefined) return response
  let left = responseMb * 1024 * 1024
  const body = response.body.pipe(
    Stream.mapEffect((piece) => {
      left -= piece.length
      return left >= 0
        ? Effect.succeed(piece)
        : Effect.fail(
            new ServiceThrew({ message: `the response is larger than ${responseMb} MiB` }),
          )
    }),
  )
  return { ...response, body }
}

/** Starts `program` in a box that ends with the scope. @see Runtime.start */
export const startInBox = (
  surroundings: Surroundings,
  program: Program,
): Effect.Effect<Instance, StartFailed, Scope.Scope> =>
  Effect.gen(function* () {
    const clock = yield* Clock.Clock
    const kill = (life: Life) =>
      Effect.suspend(() => {
        life.isStopped = true
        life.box.end(killed)
        return Effect.asVoid(Deferred.await(life.exit))
      })
    const life = yield* Effect.acquireRelease(
      Effect.tap(attach(surroundings, program), (life) =>
        Effect.sync(() => connect(surroundings, life, clock)),
      ),
      kill,
    )
    const { box, exit, session } = life
    yield* Effect.onError(begin(surroundings, life, program), () => kill(life))
    surroundings.watch.add(box, {
      key: serviceKey(program.name),
      cpuPercent: program.limits.cpuPercent,
    })
    let pid: number | undefined
    return {
      request: (request) =>
        Effect.map(session.request(request), (response) =>
          limited(response, surroundings.responseMb),
        ),
      scheduled: (event) => session.scheduled(event),
      stop: Effect.andThen(session.stop, kill(life)),
      kill: kill(life),
      stats: Effect.sync(() => {
        if (box.isGone || box.pid === undefined)
          return { memoryBytes: 0, cpuMs: 0, inFlight: session.inFlight }
        pid ??= innermost(box.pid)
        const [memoryBytes, cpuMs] = figuresOf(pid) ?? box.figures
        return { memoryBytes, cpuMs, inFlight: session.inFlight }
      }),
      exit: Deferred.await(exit),
    }
  })
