/**
 * Destinations have one spelling, however they are written, so that what a spec names is what a
 * service reaches and nothing else (promise 6).
 */
import { assert, describe, it } from "@effect/vitest"

import { destinationOf, destinationOfUrl } from "../../src/domain/Destination.ts"

describe("destinationOf", () => {
  const spellings: Readonly<Record<string, string | undefined>> = {
    "example.com:443": "example.com:443",
    "EXAMPLE.com:0443": "example.com:443",
    "bücher.example:80": "xn--bcher-kva.example:80",
    "ｅxample.com:80": "example.com:80",
    "127.0.0.1:80": "127.0.0.1:80",
    "0x7f.1:80": "127.0.0.1:80",
    "2130706433:80": "127.0.0.1:80",
    "0177.0.0.1:80": "127.0.0.1:80",
    "[::1]:80": "[::1]:80",
    "[0:0:0:0:0:0:0:1]:80": "[::1]:80",
    "[::FFFF:127.0.0.1]:80": "[::ffff:7f00:1]:80",
    "under_score.example:1": "under_score.example:1",
    "example.com": undefined,
    "example.com:": undefined,
    "example.com:0": undefined,
    "example.com:65536": undefined,
    "example.com:443/x": undefined,
    "https://example.com:443": undefined,
    "user@example.com:443": undefined,
    "example.com.:443": undefined,
    "*.example.com:443": undefined,
    "*:443": undefined,
    ":443": undefined,
    "::1:443": undefined,
    "[fe80::1%25eth0]:80": undefined,
    "%31%32%37.0.0.1:80": undefined,
    "exa\tmple.com:80": undefined,
    "example.com:80\n": undefined,
    "a..b:80": undefined,
    "256.256.256.256:80": undefined,
    [`${"a.".repeat(127)}a:80`]: undefined,
  }
  for (const [text, spelling] of Object.entries(spellings))
    it(`reads ${JSON.stringify(text).slice(0, 60)} as ${spelling ?? "none"}`, () => {
      assert.strictEqual(destinationOf(text), spelling)
    })
})

describe("destinationOfUrl", () => {
  const urls: Readonly<Record<string, string | undefined>> = {
    "http://example.com": "example.com:80",
    "https://example.com/x:99": "example.com:443",
    "https://EXAMPLE.com:8443": "example.com:8443",
    "http://0x7f000001/": "127.0.0.1:80",
    "http://%31%32%37.0.0.1/": "127.0.0.1:80",
    "http://①②⑦.⓪.⓪.①/": "127.0.0.1:80",
    "http://user:password@example.com/": "example.com:80",
    "http://example.com./": undefined,
    "ftp://example.com/": undefined,
    "file:///etc/passwd": undefined,
    "data:,x": undefined,
    "ws://example.com/": undefined,
  }
  for (const [url, destination] of Object.entries(urls))
    it(`leads ${url} to ${destination ?? "nowhere"}`, () => {
      assert.strictEqual(destinationOfUrl(new URL(url)), destination)
    })
})
