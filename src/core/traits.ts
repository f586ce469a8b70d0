/** What policies know of a command, as its submit options say it. */
import { amountOf, COMMANDS, type Cost } from '../policy/index.js'
import type { Entry, OwnOptions } from './entry.js'
import type { LaneState } from './lane.js'
import type { CheckedOptions } from './submit-options.js'

/** Refuses a command that its lane's limits could never let start. */
export function refuseCost({ policies }: LaneState, { own }: CheckedOptions): void {
  const refusal = policies?.refusal(own.cost)
  if (refusal !== undefined) throw refusal
}

export function setTraits(entry: Entry, { key, weight, cost, deadlineMs }: OwnOptions): void {
  const { traits } = entry
  traits.key = key
  traits.weight = weight ?? 1
  traits.cost = cost
  traits.deadlineMs = deadlineMs
  traits.share = shareOf(entry.lane, cost)
}

/** How much of its key's turn a command uses up: its cost, in the lane's first unit where it says several. */
function shareOf({ limits }: LaneState, cost: Cost | undefined): number {
  const unit = limits.rateLimits.find((limit) => limit.unit !== undefined && limit.unit !== COMMANDS)?.unit
  const share = typeof cost === 'object' && unit === undefined ? 1 : amountOf(unit ?? 'cost', cost)
  return share > 0 ? share : 1
}
