/** The parts of a session queue's configuration that are objects themselves: checked, in camelCase, nothing filled in. */
import {
  configInvalid,
  integerSetting,
  LaneError,
  nearest,
  oneObject,
  type ReadSetting,
  readSettings,
  type SettingValues,
  sameData,
  textSetting,
  wordSetting,
} from '../core/index.js'
import { RateLimitGroup } from '../policy/index.js'
import { capitalised, quoted, required } from './config-words.js'
import { SESSION_LANES, type SessionLane } from './lanes.js'

const RETRY = {
  strategy: { read: wordSetting(['exponential', 'fixed', 'none']) },
  maxRetries: { read: integerSetting(0) },
  initialDelayMs: { read: integerSetting(1) },
  fixedDelayMs: { read: integerSetting(1) },
}

/** What was said of retries. */
export type RetrySettings = SettingValues<typeof RETRY>

export const retrySettings: ReadSetting<RetrySettings> = (option, value, form) => {
  const settings = readSettings(option, value, RETRY, form)
  if (settings.strategy === 'fixed') {
    required(spelled(option, value, 'fixed_delay_ms', 'fixedDelayMs'), settings.fixedDelayMs, `given with 'fixed'`)
  }
  return settings
}

const RATE_LIMIT = {
  limitType: { read: wordSetting(['per_second', 'per_minute', 'per_hour', 'unlimited']) },
  maxOperations: { read: integerSetting(1) },
}

const LANE_RATE_LIMIT = {
  ...RATE_LIMIT,
  unit: { read: textSetting },
  group: { read: (option: string, value: unknown) => limitGroup(option, value) },
}

/** What was said of a rate. */
export type RateLimitSettings = Required<Pick<SettingValues<typeof RATE_LIMIT>, 'limitType'>> &
  SettingValues<typeof LANE_RATE_LIMIT>

export const rateLimitSettings: ReadSetting<RateLimitSettings> = (option, value, form) =>
  checkedRate(option, value, readSettings(option, value, RATE_LIMIT, form))

/** Of one lane: a single limit or a list of them. */
export const laneRateLimitSettings: ReadSetting<readonly RateLimitSettings[]> = (option, value, form) => {
  const several = Array.isArray(value) ? (value as readonly unknown[]) : [value]
  return several.map((one, index) => {
    const path = several.length === 1 ? option : `${option}[${index}]`
    return checkedRate(path, one, readSettings(path, one, LANE_RATE_LIMIT, form))
  })
}

function checkedRate(option: string, value: unknown, settings: Partial<RateLimitSettings>): RateLimitSettings {
  const { limitType } = settings
  const types = `one of ${quoted(['per_second', 'per_minute', 'per_hour', 'unlimited'])}`
  const checked = required(spelled(option, value, 'limit_type', 'limitType'), limitType, types)
  if (checked !== 'unlimited') {
    const amount = spelled(option, value, 'max_operations', 'maxOperations')
    required(amount, settings.maxOperations, `given with '${checked}'`)
  }
  return { ...settings, limitType: checked }
}

function limitGroup(option: string, value: unknown): string | RateLimitGroup {
  if (value instanceof RateLimitGroup || (typeof value === 'string' && value !== '')) return value
  throw configInvalid(option, 'a string that is not empty, or a RateLimitGroup', value)
}

const BOOST = {
  strategy: { read: wordSetting(['standard', 'aggressive', 'disabled']) },
  deadlineMs: { read: integerSetting(1) },
}

/** What was said of the boost. */
export type BoostSettings = Required<Pick<SettingValues<typeof BOOST>, 'strategy'>> & SettingValues<typeof BOOST>

export const boostSettings: ReadSetting<BoostSettings> = (option, value, form) => {
  const settings = readSettings(option, value, BOOST, form)
  const strategies = `one of ${quoted(['standard', 'aggressive', 'disabled'])}`
  return { ...settings, strategy: required(`${option}.strategy`, settings.strategy, strategies) }
}

/** A value for each of some lanes. */
export type ByLane<T> = { readonly [L in SessionLane]?: T }

/** A reader of an object with lanes as keys, written in lower case or capitalised. */
export const byLane =
  <T>(read: ReadSetting<T>): ReadSetting<ByLane<T>> =>
  (option, value, form) => {
    const found: { [L in SessionLane]?: T } = {}
    for (const [key, given] of Object.entries(oneObject(option, value, form))) {
      const lane = SESSION_LANES.find((id) => id === key || capitalised(id) === key)
      if (lane === undefined) throw unknownLane(option, key)
      if (given === undefined) continue
      const one = read(`${option}.${key}`, given, form)
      if (found[lane] !== undefined && !sameData(found[lane], one)) throw twice(option, lane)
      found[lane] = one
    }
    return found
  }

function unknownLane(option: string, key: string): LaneError {
  const near = nearest(key, SESSION_LANES)
  const hint = near === undefined ? '' : `; did you mean '${near}'?`
  const lanes = `its lanes are ${quoted(SESSION_LANES)}`
  return new LaneError('CONFIG_INVALID', `Configuration error: ${option} has no lane '${key}'; ${lanes}${hint}`, {
    fields: { option: `${option}.${key}` },
  })
}

const twice = (option: string, lane: SessionLane): LaneError =>
  new LaneError(
    'CONFIG_INVALID',
    `Configuration error: ${option} has '${lane}' and '${capitalised(lane)}' with two values: both are the same lane, keep one`,
    { fields: { option: `${option}.${lane}` } },
  )

/** The path of an option that is missing, in the case of those that are there. */
function spelled(option: string, value: unknown, snake: string, camel: string): string {
  const keys = Object.keys(Array.isArray(value) ? (value[0] as object) : (value as object))
  return `${option}.${keys.some((key) => key.includes('_')) ? snake : camel}`
}
