/**
 * What every problem must look like, whatever caused it.
 */
import { assert } from "vitest"

import type { ProblemBody } from "./Harness.ts"

/** Asserts that `response` is a well-formed problem of kind `name`, and returns its body. */
export const assertProblem = async (
  response: Response,
  status: number,
  name?: string,
): Promise<ProblemBody> => {
  const text = await response.text()
  assert.strictEqual(response.status, status, text)
  assert.strictEqual(response.headers.get("content-type"), "application/problem+json", text)
  const body = JSON.parse(text) as ProblemBody
  assert.match(body.type, /^urn:solo:problem:[a-z0-9-]+$/)
  if (name !== undefined) assert.strictEqual(body.type, `urn:solo:problem:${name}`, text)
  assert.strictEqual(body.status, status)
  assert.isAbove(body.title.length, 0)
  assert.isAbove(body.detail.length, 0)
  assert.strictEqual(body.requestId, response.headers.get("x-request-id"))
  return body
}
