/**
 * What `node dist/main.js` runs.
 */
export {}
