/** The arithmetic of a priority boost by itself, for those who order their own work by it. A lane needs only its config. */
import { boostAt, boostedPriority, PriorityBoostConfig, type PriorityBoostFields } from '../policy/index.js'
import { type Clock, instantMs, systemClock } from './clock.js'
import { configInvalid } from './errors.js'
import { checkInteger } from './options.js'

/** Options of a `PriorityBooster`. */
export type PriorityBoosterOptions = {
  /** Tells how old something is. Default the machine's. */
  readonly clock?: Clock | undefined
}

/**
 * Says how urgent something has become since it was created. Ages are differences of wall time, because an instant of
 * creation is one: a step of the wall clock moves them. Something created in the future counts as created now.
 */
export class PriorityBooster {
  readonly config: PriorityBoostConfig
  readonly #clock: Clock

  /** `CONFIG_INVALID` when the boost makes no sense. */
  constructor(config: PriorityBoostFields, { clock = systemClock }: PriorityBoosterOptions = {}) {
    this.config = config instanceof PriorityBoostConfig ? config : PriorityBoostConfig.from(config)
    this.#clock = clock
  }

  /**
   * The priority of something with priority `base` (0 to 255) that was created then: `base` less its boost, not below 0;
   * 0 past the deadline, `base` when the boost is disabled.
   */
  calculatePriority(base: number, createdAt: Date | number | string): number {
    checkInteger('PriorityBooster base', base, 0, 255)
    const remaining = this.timeRemaining(createdAt)
    return remaining === undefined ? base : boostedPriority(base, boostAt(this.config, remaining))
  }

  /**
   * Milliseconds to the deadline: 0 past it, undefined when the boost is disabled. `createdAt` is a Date, Unix milliseconds
   * or RFC 3339 text; `CONFIG_INVALID` for anything else.
   */
  timeRemaining(createdAt: Date | number | string): number | undefined {
    const at = instantMs(createdAt)
    if (!Number.isFinite(at)) {
      throw configInvalid('PriorityBooster createdAt', 'a Date, Unix milliseconds or RFC 3339 text', createdAt)
    }
    if (!this.config.enabled) return undefined
    const age = Math.max(0, this.#clock.wallNow() - at)
    return Math.max(0, this.config.deadlineMs - age)
  }

  /** Whether the deadline has come; false when the boost is disabled. */
  isPastDeadline(createdAt: Date | number | string): boolean {
    return this.timeRemaining(createdAt) === 0
  }
}
