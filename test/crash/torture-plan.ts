/** What the torture submits: everything about a command follows from its name, so whoever knows the name can submit it again. */
import { createHash } from 'node:crypto'
import { RetryPolicy, type SubmitOptions } from '@a3s-lab/lane'
import { seededRandom } from '@a3s-lab/lane/testing'
import type { Limits } from './check-history.js'

export const COMMAND_TYPES = ['echo', 'flaky', 'doomed', 'steps', 'snoozy', 'slow', 'poison'] as const
type CommandType = (typeof COMMAND_TYPES)[number]

/** What travels as the payload. */
export type Payload = {
  readonly name: string
  readonly type: CommandType
  /** Attempts that fail before one does not. */
  readonly failures: number
  /** Checkpoints on the way. */
  readonly steps: number
  /** Milliseconds of each step. */
  readonly stepMs: number
  readonly fill: string
}

export type Plan = {
  readonly laneId: string
  readonly payload: Payload
  readonly options: SubmitOptions
  /** Submitting it again gives the same run, by its id or its dedupe id. */
  readonly isRepeatable: boolean
  /** Its submitter cancels it when it is accepted. */
  readonly isCancelled: boolean
}

/** Lanes with limits of every kind. */
export const lanes = {
  urgent: { priority: 0, maxConcurrency: 2, preempts: true },
  tools: { priority: 1, minConcurrency: 1, maxConcurrency: 3 },
  web: { priority: 2, maxConcurrency: 2 },
  mail: { priority: 3, maxConcurrency: 3, fairness: 'key', keyConcurrency: 1 },
  bulk: { priority: 5, maxConcurrency: 2, preemptible: true },
} as const

export const MAX_CONCURRENCY = 8

export const limits: Limits = {
  lanes: Object.fromEntries(Object.entries(lanes).map(([id, { maxConcurrency }]) => [id, maxConcurrency])),
  total: MAX_CONCURRENCY,
}

const HOUR_MS = 3_600_000
const SLOWER = 10

/** A number that follows from a text. */
const seedOf = (text: string): number => createHash('sha1').update(text).digest().readUInt32LE(0)

/** The command of this name. Names that begin with `cold` are many and small, and wait together in one lane. */
export function planOf(name: string): Plan {
  if (name.startsWith('cold')) return planned(name, 'bulk', 'echo', { priority: seedOf(name) % 3 })
  if (name.startsWith('poison')) return planned(name, 'tools', 'poison', { id: name })
  if (name.startsWith('power')) return hurried(planDrawn(name))
  if (name.startsWith('shared')) return slowed(planDrawn(name))
  return planDrawn(name)
}

/** The same without waiting, for those that have to be run to their end many times. */
function hurried(plan: Plan): Plan {
  const { delayMs: _, ...options } = plan.options
  const retry = options.retry && RetryPolicy.fixed(options.retry.maxRetries, 0)
  const payload = { ...plan.payload, stepMs: 0 }
  return { ...plan, payload, isCancelled: false, options: retry ? { ...options, retry } : options }
}

/** The same with more time in its body, for processes that stand still now and then: many are to be in the middle of one. */
function slowed(plan: Plan): Plan {
  return { ...plan, payload: { ...plan.payload, stepMs: SLOWER * plan.payload.stepMs } }
}

function planDrawn(name: string): Plan {
  const random = seededRandom(seedOf(name))
  const one = <T>(values: readonly T[]): T => values[Math.floor(random.next() * values.length)] as T
  const chance = (share: number): boolean => random.next() < share
  const type = one<CommandType>(['echo', 'echo', 'echo', 'flaky', 'doomed', 'steps', 'steps', 'snoozy', 'slow'])
  const options: { -readonly [Key in keyof SubmitOptions]: SubmitOptions[Key] } = {}
  const laneId = one(Object.keys(lanes))
  if (chance(0.2)) options.priority = Math.floor(random.next() * 3)
  if (laneId === 'mail') options.key = one(['anna', 'ben', 'cora'])
  if (chance(0.15)) options.delayMs = Math.floor(random.next() * 150)
  if (chance(0.2)) options.metadata = { from: name }
  const repeat = random.next()
  if (repeat < 0.2) options.id = name
  else if (repeat < 0.3) options.dedupe = { id: name, ttlMs: HOUR_MS, mode: 'drop' }
  if (type === 'flaky') options.retry = RetryPolicy.fixed(4, 3 + Math.floor(random.next() * 10))
  if (type === 'doomed') options.retry = RetryPolicy.fixed(1, 5)
  const failures = type === 'flaky' ? Math.floor(random.next() * 4) : 0
  const steps = type === 'steps' ? 1 + Math.floor(random.next() * 5) : 0
  const stepMs = type === 'slow' ? 10 + Math.floor(random.next() * 50) : Math.floor(random.next() * 6)
  const fill = 'lé😀'.repeat(Math.floor(random.next() ** 4 * 600))
  const plan = planned(name, laneId, type, options, { failures, steps, stepMs, fill })
  return { ...plan, isRepeatable: repeat < 0.3, isCancelled: chance(0.03) }
}

function planned(
  name: string,
  laneId: string,
  type: CommandType,
  options: SubmitOptions,
  rest: Partial<Payload> = {},
): Plan {
  const payload = { name, type, failures: 0, steps: 0, stepMs: 0, fill: '', ...rest }
  return { laneId, payload, options, isRepeatable: options.id !== undefined, isCancelled: false }
}

/** What a body gives. */
export const resultOf = ({ name, steps }: Payload): unknown => ({ name, steps, ok: true })
