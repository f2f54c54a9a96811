/**
 * A kernel process without any first-party plugins, for the tests of the process itself.
 */
import { launch } from "../../src/main/Launch.ts"

launch({ plugins: [], runtimes: [] })
