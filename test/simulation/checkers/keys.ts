import type { CheckerKind } from '../checker.js'
import { amountOf } from '../limiters.js'
import { describe } from '../observer.js'
import type { CommandPicture, LanePicture, Picture } from '../picture.js'

/** What a key was given since another began to wait beside it, in cost per weight. */
type Account = { served: number; waitsSince: number }

/**
 * I5 over keys: of two keys that wait side by side all the time, one is served at most so much more than the other. After
 * Shreedhar and Varghese (SIGCOMM 1995) the gap is at most a turn of each and the largest command; the quantum follows the
 * costs and who comes anew starts level with the best served, so three of the largest commands per weight are allowed for. Within one command priority, without a limit per key.
 */
export const keys: CheckerKind = {
  name: 'keys',
  invariants: ['I5'],
  make: () => {
    const lanes = new Map<LanePicture, Map<string, Account>>()
    return {
      beforeStart: (command, picture) => {
        const lane = picture.lane(command.laneId)
        if (lane.spec.fairness !== 'key' || lane.spec.keyConcurrency !== undefined) return
        if (picture.options.features.some((feature) => UNFAIR.has(feature))) return
        const accounts = lanes.get(lane) ?? new Map<string, Account>()
        lanes.set(lane, accounts)
        serve(
          { command, share: shareOf(command, lane), waiting: waitingKeys(lane, picture, command) },
          accounts,
          picture,
        )
      },
    }
  },
}

/** Features that take commands out of their turn, or make what waits uncertain. */
const UNFAIR = new Set([
  'priorities',
  'children',
  'preempt',
  'yields',
  'delays',
  'retries',
  'snooze',
  'retryAfter',
  'provider',
  'dedupe',
  'cancel',
  'clear',
  'lifo',
])
/** In commands of the greatest cost and the least weight. */
const LARGEST_GAP = 3 * 12

function waitingKeys(lane: LanePicture, picture: Picture, starting: CommandPicture): Set<string> {
  const found = new Set<string>()
  for (const command of lane.waiting) {
    if (command !== starting && picture.isReady(command)) found.add(command.spec.key ?? '')
  }
  return found
}

type Service = { readonly command: CommandPicture; readonly share: number; readonly waiting: ReadonlySet<string> }

function serve({ command, share, waiting }: Service, accounts: Map<string, Account>, picture: Picture): void {
  const key = command.spec.key ?? ''
  for (const known of accounts.keys()) if (!waiting.has(known) && known !== key) accounts.delete(known)
  // who comes anew starts level with whoever has had the most
  const most = Math.max(0, ...[...accounts.values()].map(({ served }) => served))
  for (const one of waiting) if (!accounts.has(one)) accounts.set(one, { served: most, waitsSince: picture.now })
  const account = accounts.get(key)
  if (account === undefined) return
  account.served += share / (command.spec.weight ?? 1)
  for (const [other, { served }] of accounts) {
    if (waiting.has(other) && account.served - served > LARGEST_GAP)
      picture.report(
        'I5',
        `${describe(command)}: key '${key}' had ${account.served}, key '${other}' beside it ${served}`,
      )
  }
  if (!waiting.has(key)) accounts.delete(key)
}

/** A cost of nothing counts as one; so do costs by unit in a lane whose limits count no unit. */
function shareOf({ spec: { cost } }: CommandPicture, { spec: { rateLimit } }: LanePicture): number {
  const unit = rateLimit?.find((limit) => limit.unit !== undefined)?.unit
  if (typeof cost === 'object' && unit === undefined) return 1
  const amount = amountOf(unit ?? 'cost', cost)
  return amount > 0 ? amount : 1
}
