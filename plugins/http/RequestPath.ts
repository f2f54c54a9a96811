/**
 * The path of a request's URL as it came: where it ends, and whether it can be decoded. What it
 * names is the router's business.
 */

/** The path of a URL, without its query. */
export const pathOf = (url: string): string => /^[^?#;]*/.exec(url)![0]

/** Whether a path is percent-encoded UTF-8. */
export const isDecodable = (path: string): boolean => {
  try {
    decodeURIComponent(path)
    return true
  } catch {
    return false
  }
}
