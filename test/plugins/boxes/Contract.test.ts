/**
 * Boxes keep the contract of every driver, behind every kind of wall that this machine offers.
 * Where bubblewrap is not installed, the suite of boxes in it is left out, and says so.
 */
import { describe } from "vitest"

import { findTools } from "../../../plugins/boxes/Enclosure.ts"
import { runtimeContract } from "../../contract/Runtime.ts"
import { sharedBoxes } from "./Shared.ts"

const { bwrap } = findTools()

describe.skipIf(bwrap === undefined)("with bubblewrap", () => {
  runtimeContract("boxes in bubblewrap", sharedBoxes({ sandbox: { require: "bubblewrap" } }))
})

describe.skipIf(process.platform !== "linux")("without bubblewrap", () => {
  runtimeContract(
    "boxes that seal themselves",
    sharedBoxes({ sandbox: { strongest: "sealed", require: "seccomp" } }),
  )
})

describe("without any wall around the process", () => {
  runtimeContract("boxes in the open", sharedBoxes({ sandbox: { strongest: "none" } }))
})
