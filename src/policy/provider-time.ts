/** Times as providers write them into headers. Everything here is pure and gives undefined for what it cannot read. */

const SECOND = 1000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR

/**
 * Milliseconds until the instant, or of the duration, that a header names; at least 0. Reads seconds ('20', '0.5'), Unix
 * seconds and milliseconds ('1735689600'), durations ('6m0s', '1m30.5s', '20ms'), RFC 3339 and the dates of HTTP.
 */
export function waitOf(text: string, wallNow: number): number | undefined {
  const number = decimalOf(text)
  if (number !== undefined) return secondsOrInstant(number, wallNow)
  const duration = durationOf(text)
  if (duration !== undefined) return duration
  const instant = rfc3339Of(text) ?? httpDateOf(text, wallNow)
  return instant === undefined ? undefined : Math.max(0, instant - wallNow)
}

const DECIMAL = /^\d{1,20}(?:\.\d{1,20})?$/

/** A number of 0 or more, written out. */
export function decimalOf(text: string): number | undefined {
  return DECIMAL.test(text) ? Number(text) : undefined
}

/** Nobody asks for a pause of 30 years, and no clock of today shows a time before 2001: such numbers count from 1970. */
const UNIX_SECONDS = 1e9
/** The same in milliseconds; as seconds it would be the year 5138. */
const UNIX_MILLISECONDS = 1e11

function secondsOrInstant(number: number, wallNow: number): number {
  if (number < UNIX_SECONDS) return number * SECOND
  return Math.max(0, (number < UNIX_MILLISECONDS ? number * SECOND : number) - wallNow)
}

const UNITS: Readonly<Record<string, number>> = {
  d: DAY,
  h: HOUR,
  m: MINUTE,
  s: SECOND,
  ms: 1,
  us: 1e-3,
  µs: 1e-3,
  ns: 1e-6,
}
const DURATION = /^(?:\d{1,20}(?:\.\d{1,20})?(?:d|h|ms|m|s|us|µs|ns)){1,8}$/
const PART = /([\d.]+)(\D+)/g

/** A duration as Go prints it, which is what OpenAI and its likes send. */
function durationOf(text: string): number | undefined {
  if (!DURATION.test(text)) return undefined
  let ms = 0
  for (const [, amount, unit] of text.matchAll(PART)) ms += Number(amount) * (UNITS[unit as string] as number)
  return ms
}

const RFC_3339 = /^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(?:\.\d{1,20})?(?:[Zz]|[+-]\d\d:\d\d)$/

function rfc3339Of(text: string): number | undefined {
  return RFC_3339.test(text) ? known(Date.parse(text.toUpperCase())) : undefined
}

const MONTH = '(?<month>jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)'
const TIME = String.raw`(?<h>\d\d):(?<min>\d\d):(?<s>\d\d)`
/**
 * The three forms of RFC 9110, 5.6.7: `Sun, 06 Nov 1994 08:49:37 GMT`, `Sunday, 06-Nov-94 08:49:37 GMT` and
 * `Sun Nov  6 08:49:37 1994`, all of them in UTC.
 */
const HTTP_DATES = [
  String.raw`^[a-z]{3}, (?<day>\d\d) ${MONTH} (?<year>\d{4}) ${TIME} gmt$`,
  String.raw`^[a-z]{6,9}, (?<day>\d\d)-${MONTH}-(?<year>\d\d) ${TIME} gmt$`,
  String.raw`^[a-z]{3} ${MONTH} (?<day>[ \d]\d) ${TIME} (?<year>\d{4})$`,
].map((form) => new RegExp(form, 'i'))

/**
 * Rewritten for Date.parse, which would take the third form for local time, has its own idea of years of two digits, and
 * finds a date in nearly any text with a number in it.
 */
function httpDateOf(text: string, wallNow: number): number | undefined {
  for (const form of HTTP_DATES) {
    const parts = form.exec(text)?.groups
    if (parts === undefined) continue
    const { day, month, h, min, s } = parts
    const digits = parts['year'] as string
    const inYear = (year: string): number => Date.parse(`${day} ${month} ${year} ${h}:${min}:${s} GMT`)
    return known(digits.length === 4 ? inYear(digits) : nearest(inYear, digits, wallNow))
  }
  return undefined
}

/** More than 50 years ahead is taken for the most recent year in the past with these two digits (RFC 9110, 5.6.7). */
function nearest(inYear: (year: string) => number, digits: string, wallNow: number): number {
  const instant = inYear(`20${digits}`)
  return instant - wallNow > 50 * 365.25 * DAY ? inYear(`19${digits}`) : instant
}

const known = (instant: number): number | undefined => (Number.isNaN(instant) ? undefined : instant)
