/** Every option of a session's queue: its name, its other spellings, its check. The one table of them. */
import {
  booleanSetting,
  integerSetting,
  readSettings,
  type SettingsForm,
  type SettingValues,
  textSetting,
} from '../core/index.js'
import { laneHandlerConfig } from './config-handler.js'
import { boostSettings, byLane, laneRateLimitSettings, rateLimitSettings, retrySettings } from './config-nested.js'

const count = { read: integerSetting(1) }
const flag = { read: booleanSetting }

const QUEUE_SETTINGS = {
  controlMaxConcurrency: { read: integerSetting(1), also: ['controlConcurrency'] },
  queryMaxConcurrency: { read: integerSetting(1), also: ['queryConcurrency'] },
  executeMaxConcurrency: { read: integerSetting(1), also: ['executeConcurrency'] },
  generateMaxConcurrency: { read: integerSetting(1), also: ['generateConcurrency'] },
  laneHandlers: { read: byLane(laneHandlerConfig) },
  enableDlq: flag,
  dlqMaxSize: count,
  enableMetrics: flag,
  enableAlerts: flag,
  defaultTimeoutMs: { read: integerSetting(1), also: ['timeoutMs'] },
  storagePath: { read: textSetting },
  retryPolicy: { read: retrySettings },
  rateLimit: { read: rateLimitSettings },
  laneRateLimits: { read: byLane(laneRateLimitSettings) },
  priorityBoost: { read: boostSettings },
  pressureThreshold: count,
  laneTimeouts: { read: byLane(integerSetting(1)) },
  enableAllFeatures: flag,
  maxConcurrency: count,
}

/** What was set, in camelCase, checked; what is not there was not set. */
export type QueueSettings = SettingValues<typeof QUEUE_SETTINGS>

/** What of `value` is set. `where` names it in messages. */
export const queueSettings = (where: string, value: unknown, form: SettingsForm): QueueSettings =>
  readSettings(where, value, QUEUE_SETTINGS, form)

/** Two sources as one: key by key, the stronger wins; of what is said by lane, lane by lane. */
export function mergedSettings(weaker: QueueSettings, stronger: QueueSettings): QueueSettings {
  const merged = { ...weaker, ...stronger }
  return {
    ...merged,
    ...(merged.laneHandlers && { laneHandlers: { ...weaker.laneHandlers, ...stronger.laneHandlers } }),
    ...(merged.laneTimeouts && { laneTimeouts: { ...weaker.laneTimeouts, ...stronger.laneTimeouts } }),
    ...(merged.laneRateLimits && { laneRateLimits: { ...weaker.laneRateLimits, ...stronger.laneRateLimits } }),
  }
}
