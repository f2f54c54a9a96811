/**
 * Cron expressions and the times they name, in UTC: whether one can be accepted, which due time
 * comes next, which was last, how many lie between. `effect/Cron` reads them; the arithmetic is
 * here, because many thousand services may ask for it in one second, and because a count must not
 * take longer for a kernel that was down longer.
 */
import * as Cron from "effect/Cron"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"

/** Cron expressions of one service. */
const maxCrons = 16

/** Length of a cron expression, in UTF-16 code units. */
const maxCronLength = 256

const dayMs = 86_400_000
const daySeconds = 86_400

/** Days to look ahead: the leap days that fall on one day of the week are up to 40 years apart. */
const maxDays = 15_000

/** Days that are counted one by one; what lies further back is not counted. */
const maxDaysCounted = 36_525

/** The due times of one cron expression. */
export interface Timetable {
  /** The seconds of a day at which it is due, as three ordered lists. */
  readonly hours: ReadonlyArray<number>
  readonly minutes: ReadonlyArray<number>
  readonly seconds: ReadonlyArray<number>
  /** Whether it is due on a day, counted from 1970-01-01. */
  readonly isOn: (day: number) => boolean
}

const all = (size: number): ReadonlyArray<number> => Array.from({ length: size }, (_, n) => n)
const orAll = (values: ReadonlySet<number>, size: number): ReadonlyArray<number> =>
  values.size === 0 ? all(size) : [...values].sort((left, right) => left - right)

const isOnMaker = (cron: Cron.Cron): ((day: number) => boolean) => {
  const { days, months, weekdays } = cron
  const parts = (day: number) => {
    const date = new Date(day * dayMs)
    return {
      isMonth: months.size === 0 || months.has(date.getUTCMonth() + 1),
      isDay: days.size === 0 || days.has(date.getUTCDate()),
      isWeekday: weekdays.size === 0 || weekdays.has(date.getUTCDay()),
    }
  }
  // Restricted both ways, a day must fit both or one of them: the library decides which.
  let needsBoth = days.size === 0 || weekdays.size === 0
  const time = orAll(cron.hours, 24)[0]! * 3600 + orAll(cron.minutes, 60)[0]! * 60
  const at = (time + orAll(cron.seconds, 60)[0]!) * 1000
  for (let day = 0; !needsBoth && day < 2 * 366; day++) {
    const { isDay, isMonth, isWeekday } = parts(day)
    if (!isMonth || isDay === isWeekday) continue
    needsBoth = !Cron.match(cron, day * dayMs + at)
    break
  }
  return (day) => {
    const { isDay, isMonth, isWeekday } = parts(day)
    return isMonth && (needsBoth ? isDay && isWeekday : isDay || isWeekday)
  }
}

/** Reads a cron expression, or says why it is none. */
export const timetableOf = (expression: string): Result.Result<Timetable, string> => {
  const parsed = Cron.parse(expression, "UTC")
  if (Result.isFailure(parsed)) return Result.fail(parsed.failure.message)
  const cron = parsed.success
  return Result.succeed({
    hours: orAll(cron.hours, 24),
    minutes: orAll(cron.minutes, 60),
    seconds: orAll(cron.seconds, 60),
    isOn: isOnMaker(cron),
  })
}

/** How many of the ordered `values` are below `limit`. */
const below = (values: ReadonlyArray<number>, limit: number): number => {
  let low = 0
  let high = values.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (values[middle]! < limit) low = middle + 1
    else high = middle
  }
  return low
}

/** How many due times a day has before its second `second`. */
const rank = ({ hours, minutes, seconds }: Timetable, second: number): number => {
  const hour = Math.floor(second / 3600)
  const minute = Math.floor((second % 3600) / 60)
  const beforeHour = below(hours, hour)
  let count = beforeHour * minutes.length * seconds.length
  if (hours[beforeHour] !== hour) return count
  const beforeMinute = below(minutes, minute)
  count += beforeMinute * seconds.length
  return minutes[beforeMinute] === minute ? count + below(seconds, second % 60) : count
}

const perDay = ({ hours, minutes, seconds }: Timetable): number =>
  hours.length * minutes.length * seconds.length

/** The second of a day that is its due time number `index`, from 0. */
const secondAt = ({ hours, minutes, seconds }: Timetable, index: number): number => {
  const minute = Math.floor(index / seconds.length)
  const hour = Math.floor(minute / minutes.length)
  const at = hours[hour]! * 3600 + minutes[minute % minutes.length]! * 60
  return at + seconds[index % seconds.length]!
}

/** The first due time after `time`, both in milliseconds; `Infinity` where none comes. */
export const nextDue = (table: Timetable, time: number): number => {
  const from = Math.floor(time / 1000) + 1
  const first = Math.floor(from / daySeconds)
  for (let day = first; day < first + maxDays; day++) {
    if (!table.isOn(day)) continue
    const index = day === first ? rank(table, from - day * daySeconds) : 0
    if (index < perDay(table)) return (day * daySeconds + secondAt(table, index)) * 1000
  }
  return Infinity
}

/** The last due time at or before `time`, both in milliseconds; `-Infinity` where there is none. */
export const lastDue = (table: Timetable, time: number): number => {
  const until = Math.floor(time / 1000)
  const last = Math.floor(until / daySeconds)
  for (let day = last; day > last - maxDays; day--) {
    if (!table.isOn(day)) continue
    const count = day === last ? rank(table, until - day * daySeconds + 1) : perDay(table)
    if (count > 0) return (day * daySeconds + secondAt(table, count - 1)) * 1000
  }
  return -Infinity
}

/** How many due times there are after `from`, up to and including `until`, in milliseconds. */
export const countDue = (table: Timetable, from: number, until: number): number => {
  const start = Math.floor(from / 1000) + 1
  const end = Math.floor(until / 1000) + 1
  if (end <= start) return 0
  const last = Math.floor(end / daySeconds)
  const first = Math.max(Math.floor(start / daySeconds), last - maxDaysCounted)
  let count = 0
  for (let day = first; day <= last; day++) {
    if (!table.isOn(day)) continue
    const whole = perDay(table)
    const upper = day === last ? rank(table, end - day * daySeconds) : whole
    const lower = day * daySeconds < start ? rank(table, Math.max(0, start - day * daySeconds)) : 0
    count += Math.max(0, upper - lower)
  }
  return count
}

/** What is wrong with a cron expression, if anything is. */
const mistakeIn = (expression: string): string | undefined => {
  const form = "expected five fields, or six with seconds first, such as */5 * * * *"
  const table = timetableOf(expression)
  if (Result.isFailure(table)) return `${table.failure}; ${form}`
  return nextDue(table.success, 0) === Infinity ? "it names no day that ever comes" : undefined
}

const Expression = Schema.String.check(
  Schema.isMaxLength(maxCronLength),
  Schema.makeFilter((expression: string) => mistakeIn(expression)),
)

/** The cron expressions of a spec: each accepted, none twice. */
export const Crons = Schema.Array(Expression).check(
  Schema.isMaxLength(maxCrons),
  Schema.makeFilter((crons: ReadonlyArray<string>) =>
    new Set(crons).size === crons.length ? undefined : "each cron expression only once",
  ),
)

/** The same as the log keeps them: what was accepted once is never refused again. */
export const LoggedCrons = Schema.Array(Schema.String)
