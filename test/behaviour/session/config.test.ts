/** The configuration of a session's queue: each row of its tables, its spellings, its sources and their strength. */
import { PriorityBoostConfig, RateLimitConfig, RateLimitGroup, RetryPolicy } from '@a3s-lab/lane'
import { expect, test } from 'vitest'
import { SessionQueueConfig } from '../../../src/session/config.js'
import { type ResolvedSessionConfig, resolveSessionConfig } from '../../../src/session/config-resolution.js'
import { thrownBy } from '../../support/setup.js'

const DEFAULTS: ResolvedSessionConfig = {
  concurrency: { control: 2, query: 4, execute: 2, generate: 1 },
  maxConcurrency: undefined,
  handlers: {
    control: { mode: 'internal', timeoutMs: 60_000 },
    query: { mode: 'internal', timeoutMs: 60_000 },
    execute: { mode: 'internal', timeoutMs: 60_000 },
    generate: { mode: 'internal', timeoutMs: 60_000 },
  },
  deadLetters: 0,
  metrics: false,
  alerts: false,
  timeoutMs: { control: undefined, query: undefined, execute: undefined, generate: undefined },
  storagePath: undefined,
  retry: undefined,
  rateLimit: undefined,
  laneRateLimits: { control: [], query: [], execute: [], generate: [] },
  boost: undefined,
  pressureThreshold: undefined,
}

const timeouts = (ms: number): ResolvedSessionConfig['timeoutMs'] => ({
  control: ms,
  query: ms,
  execute: ms,
  generate: ms,
})

/** What an option changes. */
function changed(input: unknown, block?: unknown): Partial<ResolvedSessionConfig> {
  const resolved = resolveSessionConfig(input as undefined, block)
  const isDefault = ([key, value]: [string, unknown]): boolean =>
    JSON.stringify(value) === JSON.stringify(DEFAULTS[key as keyof ResolvedSessionConfig])
  return Object.fromEntries(Object.entries(resolved).filter((entry) => !isDefault(entry)))
}

/** The message of what is refused, without its beginning. */
const refusal = (input: unknown, block?: unknown): string => {
  const error = thrownBy(() => resolveSessionConfig(input as undefined, block))
  return error['code'] === 'CONFIG_INVALID'
    ? error.message.replace('Configuration error: ', '')
    : `${error.name}: ${error.message}`
}

test('nothing said gives the defaults, from every source', () => {
  expect(resolveSessionConfig()).toEqual(DEFAULTS)
  expect(resolveSessionConfig({}, {})).toEqual(DEFAULTS)
  expect(resolveSessionConfig(new SessionQueueConfig(), [{}])).toEqual(DEFAULTS)
})

type Row = readonly [keys: readonly string[], value: unknown, effect: Partial<ResolvedSessionConfig>]

const ROWS: readonly Row[] = [
  [
    ['control_max_concurrency', 'controlMaxConcurrency', 'controlConcurrency'],
    7,
    { concurrency: { ...DEFAULTS.concurrency, control: 7 } },
  ],
  [
    ['query_max_concurrency', 'queryMaxConcurrency', 'queryConcurrency'],
    7,
    { concurrency: { ...DEFAULTS.concurrency, query: 7 } },
  ],
  [
    ['execute_max_concurrency', 'executeMaxConcurrency', 'executeConcurrency'],
    7,
    { concurrency: { ...DEFAULTS.concurrency, execute: 7 } },
  ],
  [
    ['generate_max_concurrency', 'generateMaxConcurrency', 'generateConcurrency'],
    7,
    { concurrency: { ...DEFAULTS.concurrency, generate: 7 } },
  ],
  [
    ['lane_handlers', 'laneHandlers'],
    { execute: { mode: 'external' } },
    { handlers: { ...DEFAULTS.handlers, execute: { mode: 'external', timeoutMs: 60_000 } } },
  ],
  [['enable_dlq', 'enableDlq'], true, { deadLetters: 1000 }],
  [['enable_metrics', 'enableMetrics'], true, { metrics: true }],
  [['enable_alerts', 'enableAlerts'], true, { alerts: true }],
  [['default_timeout_ms', 'defaultTimeoutMs', 'timeoutMs'], 5000, { timeoutMs: timeouts(5000) }],
  [['storage_path', 'storagePath'], './queue_data', { storagePath: './queue_data' }],
  [['retry_policy', 'retryPolicy'], {}, { retry: RetryPolicy.exponential(3) }],
  [
    ['rate_limit', 'rateLimit'],
    { limit_type: 'per_second', max_operations: 5 },
    { rateLimit: RateLimitConfig.perSecond(5) },
  ],
  [
    ['lane_rate_limits', 'laneRateLimits'],
    { generate: { limit_type: 'per_minute', max_operations: 5 } },
    { laneRateLimits: { ...DEFAULTS.laneRateLimits, generate: [RateLimitConfig.perMinute(5)] } },
  ],
  [['priority_boost', 'priorityBoost'], { strategy: 'standard' }, { boost: PriorityBoostConfig.standard(300_000) }],
  [['pressure_threshold', 'pressureThreshold'], 50, { pressureThreshold: 50 }],
  [['lane_timeouts', 'laneTimeouts'], { query: 30 }, { timeoutMs: { ...DEFAULTS.timeoutMs, query: 30 } }],
  [
    ['enable_all_features', 'enableAllFeatures'],
    true,
    { deadLetters: 1000, metrics: true, alerts: true, timeoutMs: timeouts(60_000) },
  ],
  [['max_concurrency', 'maxConcurrency'], 9, { maxConcurrency: 9 }],
]

test.each(ROWS.flatMap(([keys, value, effect]) => keys.map((key) => [key, value, effect] as const)))(
  '%s sets what it says, as an option and in a block',
  (key, value, effect) => {
    expect(changed({ [key]: value })).toEqual(effect)
    expect(changed(undefined, { [key]: value })).toEqual(effect)
    expect(changed(new SessionQueueConfig({ [key]: value }))).toEqual(effect)
  },
)

test.each(ROWS.map(([keys]) => keys))('%s is refused when its value has another type', (key) => {
  for (const wrong of [1.5, null, []]) expect(refusal({ [key]: wrong })).toContain(`queueConfig.${key} must be`)
})

test('a number or a truth written as a text is refused', () => {
  expect(refusal({ query_max_concurrency: '7' })).toContain('must be an integer of at least 1, got "7"')
  expect(refusal({ enableDlq: 'true' })).toContain('must be true or false, got "true"')
})

test.each([
  ...['control', 'query', 'execute', 'generate'].map((lane) => ({ [`${lane}_max_concurrency`]: 0 })),
  { dlqMaxSize: 0 },
  { defaultTimeoutMs: 0 },
  { pressureThreshold: 0 },
  { maxConcurrency: 0 },
  { laneTimeouts: { query: 0 } },
  { laneHandlers: { query: { mode: 'external', timeoutMs: 0 } } },
  { retryPolicy: { initialDelayMs: 0 } },
  { retryPolicy: { strategy: 'fixed', fixedDelayMs: 0 } },
  { rateLimit: { limitType: 'per_second', maxOperations: 0 } },
  { priorityBoost: { strategy: 'standard', deadlineMs: 0 } },
])('zero is refused where the least is one: %j', (input) => {
  expect(refusal(input)).toContain('must be an integer of at least 1, got 0')
})

test('the number of retries may be zero', () => {
  expect(changed({ retryPolicy: { maxRetries: 0 } })).toEqual({ retry: RetryPolicy.exponential(0) })
})

test('a duration is a whole number of milliseconds', () => {
  expect(refusal({ timeoutMs: 0.5 })).toBe('queueConfig.timeoutMs must be an integer of at least 1, got 0.5')
})

test('the size of the dead-letter queue alone does not switch it on', () => {
  expect(changed({ dlqMaxSize: 5 })).toEqual({})
  expect(changed({ enableDlq: true, dlqMaxSize: 5 })).toEqual({ deadLetters: 5 })
})

test.each<[object, Partial<ResolvedSessionConfig>]>([
  [{ enableDlq: false }, { metrics: true, alerts: true, timeoutMs: timeouts(60_000) }],
  [{ dlqMaxSize: 7 }, { deadLetters: 7, metrics: true, alerts: true, timeoutMs: timeouts(60_000) }],
  [{ enableMetrics: false }, { deadLetters: 1000, alerts: true, timeoutMs: timeouts(60_000) }],
  [{ enableAlerts: false }, { deadLetters: 1000, metrics: true, timeoutMs: timeouts(60_000) }],
  [{ timeoutMs: 5 }, { deadLetters: 1000, metrics: true, alerts: true, timeoutMs: timeouts(5) }],
])('of all features, what is said itself wins, whatever is written first: %j', (explicit, effect) => {
  expect(changed({ enableAllFeatures: true, ...explicit })).toEqual(effect)
  expect(changed({ ...explicit, enableAllFeatures: true })).toEqual(effect)
  expect(changed({ enableAllFeatures: true }, explicit)).toEqual(effect)
  expect(changed(explicit, { enable_all_features: true })).toEqual(effect)
})

test('all features leave everything else alone', () => {
  const { deadLetters, metrics, alerts, timeoutMs, ...rest } = resolveSessionConfig({ enableAllFeatures: true })
  expect({ ...DEFAULTS, deadLetters, metrics, alerts, timeoutMs }).toEqual({
    ...rest,
    deadLetters,
    metrics,
    alerts,
    timeoutMs,
  })
})

test('the option can take all features of the block back', () => {
  expect(changed({ enableAllFeatures: false }, { enable_all_features: true })).toEqual({})
})

test.each<[object, object, string]>([
  [{ query_max_concurrency: 3, queryMaxConcurrency: 4 }, { queryMaxConcurrency: 3 }, 'query'],
  [{ queryConcurrency: 3, queryMaxConcurrency: 4 }, { queryConcurrency: 3 }, 'query'],
  [{ timeoutMs: 3, default_timeout_ms: 4 }, { timeoutMs: 3 }, 'timeout'],
  [{ retryPolicy: { max_retries: 1, maxRetries: 2 } }, { retryPolicy: { maxRetries: 1 } }, 'etries'],
  [{ laneTimeouts: { query: 1, Query: 2 } }, { laneTimeouts: { Query: 1 } }, 'uery'],
])('two spellings with two values are refused and both are named: %j', (both, one, part) => {
  const message = refusal(both)
  expect(message).toContain('with two values')
  expect(message.match(/'[^']+'/g)?.filter((key) => key.includes(part))).toHaveLength(2)
  expect(changed(one)).not.toEqual({})
})

test('two spellings that say the same are allowed', () => {
  const twice = {
    rate_limit: { limit_type: 'per_hour', max_operations: 2 },
    rateLimit: { limitType: 'per_hour', maxOperations: 2 },
  }
  expect(changed(twice)).toEqual({ rateLimit: RateLimitConfig.perHour(2) })
  expect(changed({ laneTimeouts: { execute: 4, Execute: 4 } })).toHaveProperty('timeoutMs.execute', 4)
})

test.each<[object, string]>([
  [{ queryMaxConcurency: 3 }, "queueConfig has no option 'queryMaxConcurency'; did you mean 'queryMaxConcurrency'?"],
  [
    { query_max_concurency: 3 },
    "queueConfig has no option 'query_max_concurency'; did you mean 'query_max_concurrency'?",
  ],
  [{ queryConcurency: 3 }, "queueConfig has no option 'queryConcurency'; did you mean 'queryConcurrency'?"],
  [{ retryPolicy: { maxRetry: 1 } }, "queueConfig.retryPolicy has no option 'maxRetry'; did you mean 'maxRetries'?"],
  [{ retry_policy: { jitter: 1 } }, "queueConfig.retry_policy has no option 'jitter'; its options are"],
  [{ rateLimit: { limitTyp: 1 } }, "queueConfig.rateLimit has no option 'limitTyp'; did you mean 'limitType'?"],
  [{ rateLimit: { unit: 'x' } }, "queueConfig.rateLimit has no option 'unit'"],
  [
    { priorityBoost: { deadline: 1 } },
    "queueConfig.priorityBoost has no option 'deadline'; did you mean 'deadlineMs'?",
  ],
  [
    { laneTimeouts: { qury: 1 } },
    "queueConfig.laneTimeouts has no lane 'qury'; its lanes are 'control', 'query', 'execute', 'generate'; did you mean 'query'?",
  ],
  [
    { laneHandlers: { prompt: {} } },
    "queueConfig.laneHandlers has no lane 'prompt'; its lanes are 'control', 'query', 'execute', 'generate'",
  ],
  [
    { laneHandlers: { query: { mode: 'hybrid', timeout: 1 } } },
    "queueConfig.laneHandlers.query has no option 'timeout'; did you mean 'timeoutMs'?",
  ],
  [
    { laneRateLimits: { query: { limitType: 'unlimited', unti: 1 } } },
    "queueConfig.laneRateLimits.query has no option 'unti'; did you mean 'unit'?",
  ],
])('an unknown key is refused with the nearest one, in its case: %j', (input, message) => {
  expect(refusal(input)).toContain(message)
})

test('the error of a block names the block', () => {
  expect(refusal(undefined, [{ retry_policy: [{ max_retries: '3' }] }])).toBe(
    'queue.retry_policy.max_retries must be an integer of at least 0, got "3"',
  )
})

test.each<[object, RetryPolicy]>([
  [{}, RetryPolicy.exponential(3, { initialMs: 100, factor: 2, maxMs: 30_000 })],
  [{ strategy: 'exponential', max_retries: 5, initial_delay_ms: 50 }, RetryPolicy.exponential(5, { initialMs: 50 })],
  [{ initialDelayMs: 45_000 }, RetryPolicy.exponential(3, { initialMs: 45_000, maxMs: 45_000 })],
  [{ strategy: 'fixed', max_retries: 5, fixed_delay_ms: 1000 }, RetryPolicy.fixed(5, 1000)],
  [{ strategy: 'fixed', fixedDelayMs: 500 }, RetryPolicy.fixed(3, 500)],
  [{ strategy: 'none' }, RetryPolicy.none()],
])('the retry policy %j is as the table says', (policy, expected) => {
  expect(resolveSessionConfig({ retryPolicy: policy }).retry).toEqual(expected)
})

test('exponential delays are 100, 200, 400 and never more than 30 s', () => {
  const { retry } = resolveSessionConfig({ retryPolicy: { maxRetries: 20 } })
  expect([1, 2, 3, 20].map((n) => retry?.delayForAttempt(n))).toEqual([100, 200, 400, 30_000])
})

test('the cap of 30 s is raised to a first delay that is larger', () => {
  const { retry } = resolveSessionConfig({ retryPolicy: { initialDelayMs: 45_000 } })
  expect([1, 2, 3].map((n) => retry?.delayForAttempt(n))).toEqual([45_000, 45_000, 45_000])
})

test.each<[object, string]>([
  [
    { strategy: 'linear' },
    "queueConfig.retryPolicy.strategy must be one of 'exponential', 'fixed', 'none', got \"linear\"",
  ],
  [{ strategy: 'fixed' }, "queueConfig.retryPolicy.fixedDelayMs must be given with 'fixed', got undefined"],
  [
    { strategy: 'fixed', max_retries: 1 },
    "queueConfig.retryPolicy.fixed_delay_ms must be given with 'fixed', got undefined",
  ],
])('the retry policy %j is refused', (policy, message) => {
  expect(refusal({ retryPolicy: policy })).toBe(message)
})

test.each<[object, RateLimitConfig | undefined]>([
  [{ limitType: 'per_second', maxOperations: 5 }, RateLimitConfig.perSecond(5)],
  [{ limit_type: 'per_minute', max_operations: 5 }, RateLimitConfig.perMinute(5)],
  [{ limitType: 'per_hour', maxOperations: 5 }, RateLimitConfig.perHour(5)],
  [{ limitType: 'unlimited' }, undefined],
  [{ limitType: 'unlimited', maxOperations: 5 }, undefined],
])('the rate limit %j is as the table says', (limit, expected) => {
  expect(resolveSessionConfig({ rateLimit: limit as never }).rateLimit).toEqual(expected)
})

test.each<[object, string]>([
  [
    { limitType: 'per_day' },
    "queueConfig.rateLimit.limitType must be one of 'per_second', 'per_minute', 'per_hour', 'unlimited', got \"per_day\"",
  ],
  [
    { maxOperations: 5 },
    "queueConfig.rateLimit.limitType must be one of 'per_second', 'per_minute', 'per_hour', 'unlimited', got undefined",
  ],
  [
    { max_operations: 5 },
    "queueConfig.rateLimit.limit_type must be one of 'per_second', 'per_minute', 'per_hour', 'unlimited', got undefined",
  ],
  [{ limit_type: 'per_second' }, "queueConfig.rateLimit.max_operations must be given with 'per_second', got undefined"],
])('the rate limit %j is refused', (limit, message) => {
  expect(refusal({ rateLimit: limit })).toBe(message)
})

test('a lane may have several limits of its own, with units and groups', () => {
  const group = new RateLimitGroup('provider')
  const { laneRateLimits, rateLimit } = resolveSessionConfig({
    rateLimit: { limitType: 'per_second', maxOperations: 100 },
    laneRateLimits: {
      Generate: [
        { limitType: 'per_minute', maxOperations: 60, group },
        { limitType: 'per_minute', maxOperations: 90_000, unit: 'tokens', group: 'shared' },
        { limitType: 'unlimited' },
      ],
      query: { limit_type: 'per_second', max_operations: 5 } as never,
    },
  })
  expect(laneRateLimits).toEqual({
    control: [],
    query: [RateLimitConfig.perSecond(5)],
    execute: [],
    generate: [
      RateLimitConfig.perMinute(60, { group }),
      RateLimitConfig.perMinute(90_000, { unit: 'tokens', group: 'shared' }),
    ],
  })
  expect(laneRateLimits.generate[0]?.group).toBe(group)
  expect(rateLimit).toEqual(RateLimitConfig.perSecond(100))
})

test.each<[object, string]>([
  [
    { generate: { limitType: 'per_second', maxOperations: 5, group: {} } },
    'queueConfig.laneRateLimits.generate.group must be a string that is not empty, or a RateLimitGroup, got {}',
  ],
  [
    { generate: [{ limitType: 'unlimited' }, { limitType: 'per_second', maxOperations: 5, unit: '' }] },
    'queueConfig.laneRateLimits.generate[1].unit must be a string that is not empty, got ""',
  ],
])('the limits of a lane are checked: %j', (limits, message) => {
  expect(refusal({ laneRateLimits: limits })).toBe(message)
})

test.each<[object, PriorityBoostConfig]>([
  [{ strategy: 'standard' }, PriorityBoostConfig.standard(300_000)],
  [{ strategy: 'standard', deadline_ms: 60_000 }, PriorityBoostConfig.standard(60_000)],
  [{ strategy: 'aggressive', deadlineMs: 30_000 }, PriorityBoostConfig.aggressive(30_000)],
  [{ strategy: 'disabled' }, PriorityBoostConfig.disabled()],
])('the boost %j is as the table says', (boost, expected) => {
  expect(resolveSessionConfig({ priorityBoost: boost as never }).boost).toEqual(expected)
})

test('the standard boost of 300 s has its steps at 225, 150, 75 and 30 s', () => {
  expect(resolveSessionConfig({ priorityBoost: { strategy: 'standard' } }).boost?.boostIntervals).toEqual([
    { remainingMs: 225_000, boost: 1 },
    { remainingMs: 150_000, boost: 2 },
    { remainingMs: 75_000, boost: 3 },
    { remainingMs: 30_000, boost: 4 },
  ])
})

test.each<[object, string]>([
  [
    { deadlineMs: 5 },
    "queueConfig.priorityBoost.strategy must be one of 'standard', 'aggressive', 'disabled', got undefined",
  ],
  [
    { strategy: 'gentle' },
    "queueConfig.priorityBoost.strategy must be one of 'standard', 'aggressive', 'disabled', got \"gentle\"",
  ],
])('the boost %j is refused', (boost, message) => {
  expect(refusal({ priorityBoost: boost })).toBe(message)
})

test.each<[object, object]>([
  [{ mode: 'internal' }, { mode: 'internal', timeoutMs: 60_000 }],
  [
    { mode: 'External', timeout_ms: 5 },
    { mode: 'external', timeoutMs: 5 },
  ],
  [
    { mode: 'hybrid', timeoutMs: 5 },
    { mode: 'hybrid', timeoutMs: 5 },
  ],
])('the handler %j is accepted, for a lane in either form', (handler, expected) => {
  expect(resolveSessionConfig({ laneHandlers: { execute: handler as never } }).handlers.execute).toEqual(expected)
  expect(resolveSessionConfig({ laneHandlers: { Execute: handler as never } }).handlers.execute).toEqual(expected)
})

test.each<[object, string]>([
  [{}, "queueConfig.laneHandlers.query.mode must be one of 'internal', 'external', 'hybrid', got undefined"],
  [
    { mode: 'remote' },
    "queueConfig.laneHandlers.query.mode must be one of 'internal', 'external', 'hybrid', got \"remote\"",
  ],
])('the handler %j is refused', (handler, message) => {
  expect(refusal({ laneHandlers: { query: handler } })).toBe(message)
})

test("a lane's timeout stands in place of the common one", () => {
  const { timeoutMs } = resolveSessionConfig({ timeoutMs: 60_000, laneTimeouts: { query: 30_000, Execute: 120_000 } })
  expect(timeoutMs).toEqual({ control: 60_000, query: 30_000, execute: 120_000, generate: 60_000 })
})

/** The complete documented block, as the parser of HCL gives it. */
const BLOCK = [
  {
    control_max_concurrency: 2,
    query_max_concurrency: 10,
    execute_max_concurrency: 5,
    generate_max_concurrency: 1,
    enable_metrics: true,
    enable_dlq: true,
    enable_alerts: true,
    storage_path: './queue_data',
    default_timeout_ms: 60_000,
    retry_policy: [{ strategy: 'exponential', max_retries: 3, initial_delay_ms: 100 }],
    rate_limit: [{ limit_type: 'per_second', max_operations: 100 }],
    priority_boost: [{ strategy: 'standard', deadline_ms: 300_000 }],
    pressure_threshold: 50,
    lane_timeouts: [{ query: 30_000, execute: 120_000 }],
    lane_handlers: [{ execute: [{ mode: 'external', timeout_ms: 60_000 }] }],
  },
]

test('the complete block of a configuration file is understood', () => {
  expect(resolveSessionConfig(undefined, BLOCK)).toEqual({
    concurrency: { control: 2, query: 10, execute: 5, generate: 1 },
    maxConcurrency: undefined,
    handlers: { ...DEFAULTS.handlers, execute: { mode: 'external', timeoutMs: 60_000 } },
    deadLetters: 1000,
    metrics: true,
    alerts: true,
    timeoutMs: { control: 60_000, query: 30_000, execute: 120_000, generate: 60_000 },
    storagePath: './queue_data',
    retry: RetryPolicy.exponential(3),
    rateLimit: RateLimitConfig.perSecond(100),
    laneRateLimits: DEFAULTS.laneRateLimits,
    boost: PriorityBoostConfig.standard(300_000),
    pressureThreshold: 50,
  })
})

test('a nested block that is there twice is refused', () => {
  const block = { retry_policy: [{ max_retries: 1 }, { max_retries: 2 }] }
  expect(refusal(undefined, block)).toBe('queue.retry_policy must be one block, got 2')
  expect(refusal(undefined, [{}, {}])).toBe('queue must be one block, got 2')
})

test('a list is no object where code gives the options', () => {
  expect(refusal({ retryPolicy: [{ maxRetries: 1 }] })).toContain('queueConfig.retryPolicy must be an object')
})

test('the option is stronger than the block, key by key', () => {
  const resolved = resolveSessionConfig({ queryConcurrency: 3, enableDlq: false }, BLOCK)
  expect(resolved.concurrency).toEqual({ control: 2, query: 3, execute: 5, generate: 1 })
  expect(resolved.deadLetters).toBe(0)
  expect(resolved.pressureThreshold).toBe(50)
})

test('handlers, timeouts and limits of lanes are merged lane by lane', () => {
  const block = { ...BLOCK[0], lane_rate_limits: [{ query: [{ limit_type: 'per_second', max_operations: 1 }] }] }
  const resolved = resolveSessionConfig(
    {
      laneHandlers: { query: { mode: 'hybrid' } },
      laneTimeouts: { execute: 7 },
      laneRateLimits: { execute: { limitType: 'per_hour', maxOperations: 2 } },
    },
    block,
  )
  expect(resolved.handlers).toEqual({
    ...DEFAULTS.handlers,
    query: { mode: 'hybrid', timeoutMs: 60_000 },
    execute: { mode: 'external', timeoutMs: 60_000 },
  })
  expect(resolved.timeoutMs).toEqual({ control: 60_000, query: 30_000, execute: 7, generate: 60_000 })
  expect(resolved.laneRateLimits).toEqual({
    ...DEFAULTS.laneRateLimits,
    query: [RateLimitConfig.perSecond(1)],
    execute: [RateLimitConfig.perHour(2)],
  })
})

test('retry policy, rate limit and boost are replaced as a whole', () => {
  const resolved = resolveSessionConfig(
    {
      retryPolicy: { maxRetries: 1 },
      rateLimit: { limitType: 'unlimited' },
      priorityBoost: { strategy: 'aggressive' },
    },
    {
      ...BLOCK[0],
      retry_policy: { strategy: 'fixed', fixed_delay_ms: 9 },
      priority_boost: { strategy: 'standard', deadline_ms: 9 },
    },
  )
  expect(resolved.retry).toEqual(RetryPolicy.exponential(1))
  expect(resolved.rateLimit).toBeUndefined()
  expect(resolved.boost).toEqual(PriorityBoostConfig.aggressive(300_000))
})

test('chained setters say what the keys say', () => {
  const config = new SessionQueueConfig({ queryConcurrency: 6 })
    .withDlq(50)
    .withMetrics()
    .withAlerts()
    .withTimeout(5000)
    .withStorage('./q')
  expect(resolveSessionConfig(config)).toEqual(
    resolveSessionConfig({
      queryMaxConcurrency: 6,
      enableDlq: true,
      dlqMaxSize: 50,
      enableMetrics: true,
      enableAlerts: true,
      defaultTimeoutMs: 5000,
      storagePath: './q',
    }),
  )
})

test('a setter changes the config itself, so that it may stand alone', () => {
  const config = new SessionQueueConfig()
  config.withLaneFeatures()
  config.withDlq()
  config.withTimeout(7)
  expect(changed(config)).toEqual({ deadLetters: 1000, metrics: true, alerts: true, timeoutMs: timeouts(7) })
})

test('a copy of a config is its own', () => {
  const config = new SessionQueueConfig({ enableMetrics: true })
  const copy = new SessionQueueConfig(config).withAlerts()
  expect(changed(config)).toEqual({ metrics: true })
  expect(changed(copy)).toEqual({ metrics: true, alerts: true })
  expect(JSON.parse(JSON.stringify(copy))).toEqual({ enableMetrics: true, enableAlerts: true })
})

test('the readers tell what a lane has, also by default', () => {
  const config = new SessionQueueConfig({
    query_max_concurrency: 6,
    laneHandlers: { Execute: { mode: 'External', timeoutMs: 5 } },
  })
  expect((['control', 'query', 'execute', 'generate'] as const).map((lane) => config.maxConcurrency(lane))).toEqual([
    2, 6, 2, 1,
  ])
  expect(config.maxConcurrency('Query')).toBe(6)
  expect(config.handlerConfig('execute')).toEqual({ mode: 'external', timeoutMs: 5 })
  expect(config.handlerConfig('query')).toEqual({ mode: 'internal', timeoutMs: 60_000 })
  expect(() => config.maxConcurrency('prompt' as 'query')).toThrow('control, query, execute, generate')
})

test.each<[() => unknown, string]>([
  [
    () => new SessionQueueConfig({ queryMaxConcurency: 1 } as object),
    "SessionQueueConfig has no option 'queryMaxConcurency'",
  ],
  [() => new SessionQueueConfig().withDlq(0), 'SessionQueueConfig.dlqMaxSize must be an integer of at least 1, got 0'],
  [
    () => new SessionQueueConfig().withTimeout(0.5),
    'SessionQueueConfig.defaultTimeoutMs must be an integer of at least 1, got 0.5',
  ],
  [
    () => new SessionQueueConfig().withStorage(''),
    'SessionQueueConfig.storagePath must be a string that is not empty, got ""',
  ],
])('a config is checked when it is made: %#', (make, message) => {
  expect(thrownBy(make)).toMatchObject({ code: 'CONFIG_INVALID', message: expect.stringContaining(message) as string })
})
