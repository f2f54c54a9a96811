/**
 * What a benchmark reports: a figure beside a baseline taken in the same run, and their ratio.
 * Machines differ and are shared; only ratios are worth comparing.
 */

/** One row of the report. */
export interface Measurement {
  readonly name: string
  readonly unit: string
  readonly figure: number
  readonly baseline: number
  readonly baselineName: string
}

/** Milliseconds that `work` takes. */
export const timed = async (work: () => Promise<unknown>): Promise<number> => {
  const begin = performance.now()
  await work()
  return performance.now() - begin
}

/** The median of a sample. */
export const median = (sample: ReadonlyArray<number>): number =>
  [...sample].sort((left, right) => left - right)[Math.floor(sample.length / 2)]!

const number = (value: number) =>
  value >= 100 ? Math.round(value).toLocaleString("en-US") : value.toPrecision(3)

/** Prints the report as a Markdown table. */
export const report = (title: string, rows: ReadonlyArray<Measurement>): void => {
  const lines = rows.map(
    (row) =>
      `| ${row.name} | ${number(row.figure)} ${row.unit} | ${row.baselineName}: ${number(row.baseline)} ${row.unit} | ${(row.figure / row.baseline).toPrecision(3)} |`,
  )
  process.stdout.write(
    [
      `\n### ${title}\n`,
      "| what | figure | baseline | ratio |",
      "|---|---|---|---|",
      ...lines,
      "",
    ].join("\n"),
  )
}
