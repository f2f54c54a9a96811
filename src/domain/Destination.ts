/**
 * Destinations on the network as specs name them and as URLs lead to them: one spelling for each,
 * `host:port`. Whether somebody may go there is decided elsewhere.
 */

/** Longest host name, in characters. */
const maxHostLength = 253

const parts = /^([^\s/?#@\\%:]+|\[[0-9A-Fa-f:.]+\]):(\d{1,5})$/
const host = /^(?:[a-z0-9_-]+(?:\.[a-z0-9_-]+)*|\[[0-9a-f:]+\])$/

/**
 * The one spelling of a destination that is written `host:port`: lower case, international names in
 * Punycode, every notation of an IP address as the usual one. `undefined` where it is none.
 */
export const destinationOf = (text: string): string | undefined => {
  const [, name, port] = parts.exec(text) ?? []
  if (name === undefined || Number(port) < 1 || Number(port) > 65_535) return undefined
  if (!URL.canParse(`http://${name}/`)) return undefined
  const { hostname } = new URL(`http://${name}/`)
  if (hostname.length > maxHostLength || !host.test(hostname)) return undefined
  return `${hostname}:${Number(port)}`
}

/** Where a URL of the web leads, or `undefined` where it does not lead to a server. */
export const destinationOfUrl = ({ hostname, port, protocol }: URL): string | undefined => {
  const usual = protocol === "https:" ? "443" : protocol === "http:" ? "80" : undefined
  return usual === undefined ? undefined : destinationOf(`${hostname}:${port || usual}`)
}
