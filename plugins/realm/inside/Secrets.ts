/**
 * `ctx.secrets`: asks the kernel for the text of a secret. What the service's spec names is looked
 * at there, at every call; nothing is remembered here.
 */
import { Outbound, maxPendingSecrets, maxSecretName } from "../Frame.ts"
import { send } from "./Host.ts"

interface Question {
  readonly resolve: (text: string) => void
  readonly reject: (error: Error) => void
}

// Taken before the service can replace them.
const { Error, Promise } = globalThis
const { apply } = Reflect
const { delete: remove, forEach: each, get: find, set: put } = Map.prototype

const pending = new Map<number, Question>()
let count = 0
let lastId = 0

const refused = (message: string): Promise<string> =>
  new Promise((_, reject) => reject(new Error(message)))

/** The secret's text; rejects where the service may not have it, or there is none. */
const get = (name: unknown): Promise<string> => {
  if (typeof name !== "string") return refused("the name of a secret is a string")
  if (name === "" || name.length > maxSecretName)
    return refused(`the name of a secret has 1 to ${maxSecretName} characters`)
  if (count >= maxPendingSecrets)
    return refused(`at most ${maxPendingSecrets} secrets may be waited for at once`)
  return new Promise((resolve, reject) => {
    const id = (lastId = (lastId + 1) >>> 0)
    // Nothing is sent where the stack is about to overflow: no answer would come.
    if (send(Outbound.secretWanted, id, name) === 0) throw new Error("the secret was not asked for")
    apply(put, pending, [id, { resolve, reject }])
    count++
  })
}

/** What the service gets. */
export const secrets = Object.freeze({ get: Object.freeze(get) })

/** The kernel has answered: with a secret, or with why there is none. */
export const answerSecret = (id: number, isSecret: boolean, text: string): void => {
  const question = apply(find, pending, [id]) as Question | undefined
  if (question === undefined) return
  apply(remove, pending, [id])
  count--
  if (isSecret) question.resolve(text)
  else question.reject(new Error(text))
}

/** The service is to stop: what it waits for it does not get any more. The kernel still answers. */
export const refuseSecrets = (): void => {
  const refuse = ({ reject }: Question) => reject(new Error("the service is stopping"))
  apply(each, pending, [refuse])
}
