/**
 * How much more urgent a command becomes as its deadline comes near. Pure data and arithmetic: a boost spreads,
 * serialises and compares. Which command of a lane decides, and that no boost outranks a protected lane, is the queue's
 * business.
 *
 * A boost is a table of steps: with at most `remainingMs` left, the priority is better by `boost`. Of all the steps that
 * match, the largest boost counts, whatever their order; so what a command has gained it keeps, and a step that is no
 * larger than an earlier one is none. Past the deadline the boost has no bound.
 */
import { configInvalid } from '../core/errors.js'
import { checkCount, checkDuration, checkFields } from './option-checks.js'

/** With at most `remainingMs` left before the deadline, the priority is better by `boost`. */
export type BoostStep = {
  /** Milliseconds before the deadline, above 0. A step that is longer than the deadline holds from the start. */
  readonly remainingMs: number
  /** An integer of at least 1. */
  readonly boost: number
}

/** The plain form of a boost, as JSON gives it back. */
export type PriorityBoostFields = {
  /** Default true. */
  readonly enabled?: boolean | undefined
  /** Milliseconds from a command's submission to its deadline, above 0; a boost that is not enabled may have 0. */
  readonly deadlineMs: number
  /** Default none: the deadline is the only step then. */
  readonly boostIntervals?: readonly BoostStep[] | undefined
}

/** Shares of the deadline, in per cent, and the boost from there on. */
type Preset = readonly (readonly [percent: number, boost: number])[]

const STANDARD: Preset = [
  [75, 1],
  [50, 2],
  [25, 3],
  [10, 4],
]
const AGGRESSIVE: Preset = [
  [80, 2],
  [60, 4],
  [40, 6],
  [20, 8],
]

/**
 * What is left is reckoned from instants that are sums of fractions. A timer that is set for a step must find the step
 * reached, or it would be set again for the same instant for ever; so a step counts from this many milliseconds before.
 * That is above the rounding of instants up to 10^12 ms, and below what any timer resolves.
 */
const ROUNDING_MS = 1e-3

/** When waiting commands become more urgent, and by how much. */
export class PriorityBoostConfig implements PriorityBoostFields {
  readonly enabled: boolean
  readonly deadlineMs: number
  /** Longest first. */
  readonly boostIntervals: readonly BoostStep[]

  /** A boost without steps: nothing changes before the deadline. `CONFIG_INVALID` for a deadline that is not above 0. */
  constructor(deadlineMs: number) {
    checkDuration('PriorityBoostConfig deadlineMs', deadlineMs)
    this.enabled = true
    this.deadlineMs = deadlineMs
    this.boostIntervals = []
  }

  /** Of the deadline, 75 % left → 1, 50 % → 2, 25 % → 3, 10 % → 4. */
  static standard(deadlineMs: number): PriorityBoostConfig {
    return preset(deadlineMs, STANDARD)
  }

  /** Of the deadline, 80 % left → 2, 60 % → 4, 40 % → 6, 20 % → 8. */
  static aggressive(deadlineMs: number): PriorityBoostConfig {
    return preset(deadlineMs, AGGRESSIVE)
  }

  /** No boost: priorities stay what they are. */
  static disabled(): PriorityBoostConfig {
    return DISABLED
  }

  /** A boost from its plain form, for example after JSON. `CONFIG_INVALID` names the field that makes no sense. */
  static from(fields: PriorityBoostFields): PriorityBoostConfig {
    checkFields('PriorityBoostConfig', fields, ['enabled', 'deadlineMs', 'boostIntervals'])
    const { enabled = true, deadlineMs, boostIntervals = [] } = fields
    if (typeof enabled !== 'boolean') throw configInvalid('PriorityBoostConfig enabled', 'true or false', enabled)
    if (enabled || deadlineMs !== 0) checkDuration('PriorityBoostConfig deadlineMs', deadlineMs)
    if (!Array.isArray(boostIntervals)) {
      throw configInvalid('PriorityBoostConfig boostIntervals', 'an array', boostIntervals)
    }
    return make({ enabled, deadlineMs, boostIntervals: boostIntervals.map(checkedStep).sort(longestFirst) })
  }

  /** The same with one more step. `CONFIG_INVALID` for a time that is not above 0, or a boost that is no integer of at least 1. */
  withBoost(remainingMs: number, boost: number): PriorityBoostConfig {
    const { enabled, deadlineMs, boostIntervals } = this
    return PriorityBoostConfig.from({
      enabled,
      deadlineMs,
      boostIntervals: [...boostIntervals, { remainingMs, boost }],
    })
  }
}

const make = (fields: Required<PriorityBoostFields>): PriorityBoostConfig =>
  Object.assign(Object.create(PriorityBoostConfig.prototype) as PriorityBoostConfig, fields)

const DISABLED = make({ enabled: false, deadlineMs: 0, boostIntervals: [] })

const longestFirst = (a: BoostStep, b: BoostStep): number => b.remainingMs - a.remainingMs

function checkedStep(step: BoostStep, index: number): BoostStep {
  const option = `PriorityBoostConfig boostIntervals[${index}]`
  checkFields(option, step, ['remainingMs', 'boost'])
  checkDuration(`${option}.remainingMs`, step.remainingMs)
  checkCount(`${option}.boost`, step.boost)
  return { remainingMs: step.remainingMs, boost: step.boost }
}

function preset(deadlineMs: number, steps: Preset): PriorityBoostConfig {
  checkDuration('PriorityBoostConfig deadlineMs', deadlineMs)
  // Multiplied first: 10 % of whole milliseconds is then rounded once, and 30,000 of 300,000 is exact.
  const boostIntervals = steps.map(([percent, boost]) => ({ remainingMs: (deadlineMs * percent) / 100, boost }))
  return PriorityBoostConfig.from({ deadlineMs, boostIntervals })
}

/** The boost of a command that has `remainingMs` left: the largest that matches, Infinity at the deadline and past it, 0 when disabled. */
export function boostAt({ enabled, boostIntervals }: PriorityBoostConfig, remainingMs: number): number {
  if (!enabled) return 0
  const reached = remainingMs - ROUNDING_MS
  if (reached <= 0) return Number.POSITIVE_INFINITY
  let largest = 0
  for (const step of boostIntervals) {
    if (step.remainingMs < reached) break
    largest = Math.max(largest, step.boost)
  }
  return largest
}

/**
 * The remaining time at which the boost of a command that has `remainingMs` left grows next: that of a step, or 0 for the
 * deadline. -Infinity when it never grows again.
 */
export function nextChange(config: PriorityBoostConfig, remainingMs: number): number {
  const boost = boostAt(config, remainingMs)
  if (!config.enabled || boost === Number.POSITIVE_INFINITY) return Number.NEGATIVE_INFINITY
  // A larger boost than that of every step reached is a step that has not been.
  return config.boostIntervals.find((step) => step.boost > boost)?.remainingMs ?? 0
}

/**
 * The remaining time at which the boost grows for the last time before the deadline; 0, the deadline itself, when there are
 * no steps.
 */
export function lastStep({ boostIntervals }: PriorityBoostConfig): number {
  const largest = Math.max(0, ...boostIntervals.map(({ boost }) => boost))
  return boostIntervals.find(({ boost }) => boost === largest)?.remainingMs ?? 0
}

/** Whether a command that has `remainingMs` left has come to its last step, or to its deadline when there are no steps; false when disabled. */
export function isAtLastStep(config: PriorityBoostConfig, remainingMs: number): boolean {
  return config.enabled && remainingMs - ROUNDING_MS <= lastStep(config)
}

/** The priority `base` made better by `boost`: 0 at best. */
export function boostedPriority(base: number, boost: number): number {
  return Math.max(0, base - boost)
}
