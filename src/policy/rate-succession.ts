/**
 * What becomes of a lane's limiters when its limits change: nobody gets a fresh burst by being configured.
 *
 *  * A limit of the lane's own that counts the same thing (unit, algorithm, window) goes on with the same limiter; what is
 *    then left over is matched by unit and algorithm. A bucket keeps its level, a window its record.
 *  * Any other limit gets a limiter of its own, which begins with what the former limits of its unit have granted.
 */
import { CountedLimit, limitKey } from './counted-limit.js'
import { COMMANDS } from './gate.js'
import type { RateLimitConfig } from './rate-limit.js'
import type { RateLimitGroup } from './rate-limit-group.js'

type Former = { readonly counted: CountedLimit; readonly group: RateLimitGroup | undefined }

/** What a limiter has granted and not got back yet, and what beyond that it is owed. */
type Spent = { readonly used: number; readonly debt: number }

export class Succession {
  readonly #heirs = new Map<RateLimitConfig, CountedLimit>()
  readonly #spent = new Map<string, Spent>()
  readonly #now: number

  constructor(former: readonly Former[], limits: readonly RateLimitConfig[], now: number) {
    this.#now = now
    for (const { counted } of former) this.#note(counted)
    const left = new Set(former.filter(({ group }) => group === undefined).map(({ counted }) => counted))
    const own = limits.filter(({ group }) => group === undefined)
    for (const sameBy of [limitKey, kindOf]) {
      for (const limit of own) {
        if (this.#heirs.has(limit)) continue
        const heir = [...left].find((counted) => sameBy(counted.limit) === sameBy(limit))
        if (heir === undefined) continue
        this.#heirs.set(limit, heir)
        left.delete(heir)
      }
    }
  }

  /** The limiter of one of the lane's own limits. */
  of(limit: RateLimitConfig): CountedLimit {
    const heir = this.#heirs.get(limit)
    if (heir === undefined) return this.fresh(limit)
    heir.configure(limit, this.#now)
    return heir
  }

  /** A limiter that was not there before. */
  fresh(limit: RateLimitConfig): CountedLimit {
    const counted = new CountedLimit(limit)
    const { used, debt } = this.#spent.get(unitOf(limit)) ?? NOTHING
    if (used + debt > 0) counted.limiter.take(Math.min(used, counted.limiter.largest) + debt, this.#now)
    return counted
  }

  #note({ limit, limiter }: CountedLimit): void {
    const unit = unitOf(limit)
    const { used, debt } = this.#spent.get(unit) ?? NOTHING
    const available = limiter.available(this.#now)
    this.#spent.set(unit, {
      used: Math.max(used, limiter.largest - Math.max(0, available)),
      debt: Math.max(debt, -available),
    })
  }
}

const NOTHING: Spent = { used: 0, debt: 0 }

const unitOf = ({ unit = COMMANDS }: RateLimitConfig): string => unit
const kindOf = (limit: RateLimitConfig): string => `${limit.algorithm} ${unitOf(limit)}`
