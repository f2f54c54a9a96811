/**
 * What `node dist/main.js` runs.
 */
process.exitCode = 1
