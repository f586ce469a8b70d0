/**
 * Rate limits by arithmetic of our own, from the configuration and from what was seen to start and to be charged. A bucket
 * is its level at an instant; a window is the list of all grants ever. Nothing here is shared with what it judges.
 */
import type { Cost, RateSpec } from './lane-spec.js'

/** Amounts and instants are floating point: what differs by less than this share does not differ. */
const SLACK = 1e-6
const INSTANT_MS = 1e-6

/** What one start costs in one unit. */
export function amountOf(unit: string | undefined, cost: Cost | undefined): number {
  if (unit === undefined || unit === 'commands') return 1
  if (cost === undefined) return 1
  return typeof cost === 'number' ? cost : (cost[unit] ?? 0)
}

type Grant = { readonly at: number; amount: number }

export class LimiterModel {
  spec: RateSpec
  /** Grants in order; what a bucket gave, too. */
  readonly grants: Grant[] = []
  #level: number
  #levelAt = 0
  #oldest = 0
  #configuredAt = Number.NEGATIVE_INFINITY
  /** It may have less than is thought here, and never more. */
  #isDoubtful = false

  constructor(spec: RateSpec) {
    this.spec = spec
    this.#level = burstOf(spec)
  }

  get isWindow(): boolean {
    return this.spec.algorithm === 'sliding-window'
  }

  /** What it can grant at an instant. */
  available(now: number): number {
    return this.isWindow ? this.spec.maxCommands - this.#sum(now + INSTANT_MS) : this.#levelNow(now)
  }

  /** The same a moment ago: what has only just come free may not have been noticed. */
  #availableBefore(now: number): number {
    return this.isWindow ? this.spec.maxCommands - this.#sum(now - INSTANT_MS) : this.#levelNow(now)
  }

  /** Whether an amount may certainly be granted, or is within the error of the arithmetic. */
  allows(amount: number, now: number): 'yes' | 'no' | 'perhaps' {
    const slack = SLACK * (1 + this.spec.maxCommands + amount)
    if (this.available(now) - amount < -slack) return 'no'
    return this.#availableBefore(now) - amount > slack && !this.#isDoubtful ? 'yes' : 'perhaps'
  }

  /** Whether an amount can never be granted. */
  isBeyond(amount: number): boolean {
    return amount > burstOf(this.spec) * (1 + SLACK)
  }

  take(amount: number, now: number): void {
    this.#level = this.#levelNow(now) - amount
    this.#levelAt = now
    this.grants.push({ at: now, amount })
  }

  /** An attempt that began at `takenAt` has cost `after` and not `before`. */
  settle(before: number, after: number, takenAt: number, now: number): void {
    // what an attempt from before a change gives back may be lost in it
    if (after < before && takenAt < this.#configuredAt) this.#isDoubtful = true
    this.#level = Math.min(burstOf(this.spec), this.#levelNow(now) - (after - before))
    this.#levelAt = now
    // more is a debt of this moment; less lowers what was noted for the start
    if (after >= before) this.grants.push({ at: now, amount: after - before })
    else this.#lower(before - after, takenAt)
  }

  #lower(by: number, takenAt: number): void {
    let left = by
    for (const grant of this.grants) {
      if (grant.at !== takenAt) continue
      const less = Math.min(left, grant.amount)
      grant.amount -= less
      left -= less
    }
  }

  configure(spec: RateSpec, now: number): void {
    this.#level = Math.min(this.#levelNow(now), burstOf(spec))
    this.#levelAt = now
    this.#configuredAt = now
    this.spec = spec
  }

  #levelNow(now: number): number {
    const { maxCommands, windowMs } = this.spec
    return Math.min(burstOf(this.spec), this.#level + ((now - this.#levelAt) * maxCommands) / windowMs)
  }

  /** Cost within the half-open window that ends now: what is exactly as old as the window does not count. */
  #sum(now: number): number {
    const from = now - this.spec.windowMs
    const gone = from - this.spec.windowMs
    while (this.#oldest < this.grants.length && (this.grants[this.#oldest] as Grant).at <= gone) this.#oldest++
    let sum = 0
    for (let index = this.#oldest; index < this.grants.length; index++) {
      const { at, amount } = this.grants[index] as Grant
      if (at > from) sum += amount
    }
    return sum
  }
}

const burstOf = ({ algorithm, burst, maxCommands }: RateSpec): number =>
  algorithm === 'token-bucket' ? (burst ?? maxCommands) : maxCommands

/** What the lanes of a queue share: limiters of groups, and until when a provider closed a group. */
type Shared = { readonly models: Map<string, LimiterModel>; readonly closed: Map<string, number> }

/** The limiters of one lane, those of its groups shared with their other members. */
export class LaneLimits {
  readonly #shared: Shared
  models: readonly LimiterModel[]
  groups: readonly string[]
  #closedUntil = 0

  constructor(specs: readonly RateSpec[], shared: Shared) {
    this.#shared = shared
    this.models = specs.map((spec) => this.#modelOf(spec))
    this.groups = groupsOf(specs)
  }

  static shared(): Shared {
    return { models: new Map(), closed: new Map() }
  }

  /** No start before this instant: a provider asked for it. */
  get closedUntil(): number {
    return Math.max(this.#closedUntil, ...this.groups.map((group) => this.#shared.closed.get(group) ?? 0))
  }

  /** Closes the lane's groups, or the lane alone when it has none. */
  closeUntil(at: number): void {
    for (const group of this.groups) this.#shared.closed.set(group, Math.max(this.#shared.closed.get(group) ?? 0, at))
    if (this.groups.length === 0) this.#closedUntil = Math.max(this.#closedUntil, at)
  }

  allows(cost: Cost | undefined, now: number): 'yes' | 'no' | 'perhaps' {
    const answers = this.models.map((model) => model.allows(amountOf(model.spec.unit, cost), now))
    if (answers.includes('no')) return 'no'
    return answers.includes('perhaps') ? 'perhaps' : 'yes'
  }

  isBeyond(cost: Cost | undefined): boolean {
    return this.models.some((model) => model.isBeyond(amountOf(model.spec.unit, cost)))
  }

  take(cost: Cost | undefined, now: number): void {
    for (const model of this.models) model.take(amountOf(model.spec.unit, cost), now)
  }

  /** `before` tells what was accounted for the attempt so far, in a unit. */
  settle(before: (unit: string) => number, after: Cost, takenAt: number, now: number): void {
    for (const model of this.models) {
      const { unit } = model.spec
      if (unit !== undefined && unit !== 'commands') model.settle(before(unit), amountOf(unit, after), takenAt, now)
    }
  }

  /** Limits that stand where they stood keep what they know. */
  configure(specs: readonly RateSpec[], now: number): void {
    const before = this.models
    this.models = specs.map((spec, index) => {
      const old = before[index]
      if (spec.group !== undefined || old === undefined || old.spec.group !== undefined) return this.#modelOf(spec, now)
      if (old.spec.algorithm !== spec.algorithm || old.spec.unit !== spec.unit) return new LimiterModel(spec)
      old.configure(spec, now)
      return old
    })
    this.groups = groupsOf(specs)
  }

  #modelOf(spec: RateSpec, now?: number): LimiterModel {
    if (spec.group === undefined) return new LimiterModel(spec)
    const key = [spec.group, spec.algorithm, spec.unit ?? 'commands', spec.windowMs].join('|')
    const known = this.#shared.models.get(key)
    if (known !== undefined) {
      if (now !== undefined) known.configure(spec, now)
      return known
    }
    const model = new LimiterModel(spec)
    this.#shared.models.set(key, model)
    return model
  }
}

const groupsOf = (specs: readonly RateSpec[]): readonly string[] => [
  ...new Set(specs.flatMap(({ group }) => (group === undefined ? [] : [group]))),
]
