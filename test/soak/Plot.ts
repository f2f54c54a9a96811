/**
 * A curve in a terminal.
 */

const height = 8
const width = 72
const marks = " ▁▂▃▄▅▆▇█"

/** Values over time as rows of blocks, from 0 to their maximum. */
export const plot = (
  title: string,
  values: ReadonlyArray<number>,
  show: (value: number) => string,
): string => {
  const count = Math.min(width, values.length)
  const points = Array.from({ length: count }, (_, x) => {
    const from = Math.floor((x * values.length) / count)
    const to = Math.max(from + 1, Math.floor(((x + 1) * values.length) / count))
    return Math.max(...values.slice(from, to))
  })
  const maximum = Math.max(1, ...points)
  const rows = Array.from({ length: height }, (_, y) => {
    const base = height - 1 - y
    return points
      .map((value) => {
        const level = Math.round(((value / maximum) * height - base) * 8)
        return marks[Math.max(0, Math.min(8, level))]
      })
      .join("")
  })
  const heading = `${title}: first ${show(values[0] ?? 0)}, last ${show(values.at(-1) ?? 0)}, most ${show(maximum)}`
  return [heading, ...rows.map((row) => `  |${row}`), `  +${"-".repeat(count)}`].join("\n")
}
