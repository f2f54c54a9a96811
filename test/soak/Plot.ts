/**
 * Curves as a picture: one panel above the other, with a line wherever a new kernel began.
 */

const width = 900
const panelHeight = 120
const margin = { left: 90, right: 20, top: 24, bottom: 14 }

/** One curve. */
export interface Series {
  readonly title: string
  readonly values: ReadonlyArray<number>
  readonly show: (value: number) => string
}

/** Points drawn of one curve at most: the highest of each stretch. */
const maxPoints = 800

const thinned = (
  values: ReadonlyArray<number>,
): ReadonlyArray<readonly [at: number, y: number]> => {
  const stretch = Math.max(1, Math.ceil(values.length / maxPoints))
  return Array.from({ length: Math.ceil(values.length / stretch) }, (_, index) => {
    const from = index * stretch
    return [from, Math.max(...values.slice(from, from + stretch))] as const
  })
}

const panel = (
  { title, values, show }: Series,
  beginnings: ReadonlyArray<number>,
  top: number,
): string => {
  const inner = {
    width: width - margin.left - margin.right,
    height: panelHeight - margin.top - margin.bottom,
  }
  const most = Math.max(1, ...values)
  const x = (at: number) =>
    (margin.left + (at / Math.max(1, values.length - 1)) * inner.width).toFixed(1)
  const y = (value: number) => (top + margin.top + (1 - value / most) * inner.height).toFixed(1)
  const points = thinned(values).map(([at, value]) => `${x(at)},${y(value)}`)
  const lines = beginnings.map(
    (at) => `<line x1="${x(at)}" x2="${x(at)}" y1="${y(most)}" y2="${y(0)}" stroke="#ccc"/>`,
  )
  return [
    `<text x="${margin.left}" y="${top + 16}">${title}: most ${show(most)}, last ${show(values.at(-1) ?? 0)}</text>`,
    `<text x="${margin.left - 6}" y="${y(most)}" text-anchor="end" dy="8">${show(most)}</text>`,
    `<text x="${margin.left - 6}" y="${y(0)}" text-anchor="end">0</text>`,
    `<line x1="${margin.left}" x2="${width - margin.right}" y1="${y(0)}" y2="${y(0)}" stroke="#888"/>`,
    ...lines,
    `<polyline fill="none" stroke="#0a58ca" points="${points.join(" ")}"/>`,
  ].join("\n")
}

/** All curves over the same time, as SVG; `beginnings` are indexes of values. */
export const plot = (
  series: ReadonlyArray<Series>,
  beginnings: ReadonlyArray<number>,
): string => `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${series.length * panelHeight}" font-family="sans-serif" font-size="11">
<rect width="100%" height="100%" fill="white"/>
${series.map((one, index) => panel(one, beginnings, index * panelHeight)).join("\n")}
</svg>
`
