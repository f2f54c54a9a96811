/**
 * The thread driver keeps the contract of every driver.
 */
import { layer } from "../../../plugins/threads/index.ts"
import { runtimeContract } from "../../contract/Runtime.ts"

runtimeContract("threads", layer)
