/**
 * The kernel's side of `ctx.secrets`: answers an instance that asks for secrets, and for no more of
 * them at once than it may. Which it may read is the kernel's to decide, and no value is kept here.
 */
import * as Effect from "effect/Effect"
import * as FiberSet from "effect/FiberSet"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import type { Program } from "solo"

import { type Frame, Inbound, encode, maxPendingSecrets, maxSecretName } from "./Frame.ts"

/** UTF-8 of the longest name. */
const maxNameBytes = 3 * maxSecretName

const answer = (id: number, isSecret: boolean, text: string): Uint8Array => {
  const bytes = Buffer.from(text)
  const body = new Uint8Array(1 + bytes.length)
  body[0] = isSecret ? 1 : 0
  body.set(bytes, 1)
  return encode(Inbound.secretAnswer, id, body)
}

/** Where one instance asks. What it still waits for ends with the scope. */
export class SecretDesk {
  readonly #send: (frame: Uint8Array) => void
  readonly #read: Program["readSecret"]
  readonly #run: (effect: Effect.Effect<void>) => unknown
  readonly #pending = new Set<number>()

  private constructor(
    send: (frame: Uint8Array) => void,
    read: Program["readSecret"],
    run: (effect: Effect.Effect<void>) => unknown,
  ) {
    this.#send = send
    this.#read = read
    this.#run = run
  }

  static make(
    send: (frame: Uint8Array) => void,
    read: Program["readSecret"],
  ): Effect.Effect<SecretDesk, never, Scope.Scope> {
    return Effect.map(FiberSet.makeRuntime(), (run) => new SecretDesk(send, read, run))
  }

  /** Takes a question; false where it may not be asked, which a realm of ours never does. */
  accept({ id, body }: Frame): boolean {
    if (body.length > maxNameBytes) return false
    if (this.#pending.size >= maxPendingSecrets || this.#pending.has(id)) return false
    const name = new TextDecoder("utf-8", { ignoreBOM: true }).decode(body)
    if (name.length > maxSecretName) return false
    this.#pending.add(id)
    this.#run(this.#answer(id, name))
    return true
  }

  #answer(id: number, name: string): Effect.Effect<void> {
    return Effect.suspend(() => this.#read(name)).pipe(
      Effect.match({
        onSuccess: (secret) => answer(id, true, Redacted.value(secret)),
        onFailure: ({ message }) => answer(id, false, message),
      }),
      Effect.catchDefect(() =>
        Effect.succeed(answer(id, false, `the secret ${name} cannot be read now`)),
      ),
      Effect.flatMap((frame) =>
        Effect.sync(() => {
          this.#pending.delete(id)
          this.#send(frame)
        }),
      ),
    )
  }
}
