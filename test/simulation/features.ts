/** Which features the src under test has: an option that is not built is refused as unknown, and then it is not drawn. */
import { QueueManager, type QueueOptions } from '@a3s-lab/lane'
import { Draw } from './draw.js'
import { FEATURES, type Feature } from './options.js'
import { SimClock } from './sim-clock.js'

const LANE_OPTIONS: Partial<Record<Feature, object>> = {
  boost: { priorityBoost: { enabled: false, deadlineMs: 0, boostIntervals: [] } },
  rate: { rateLimit: { maxCommands: 1, windowMs: 1, algorithm: 'token-bucket' } },
  groups: { rateLimit: { maxCommands: 1, windowMs: 1, algorithm: 'token-bucket', group: 'one' } },
  fairness: { fairness: 'key' },
  keyConcurrency: { keyConcurrency: 1 },
  breaker: { breaker: { failureRatio: 0.5, minimum: 1, windowMs: 1, openMs: 1, halfOpen: 1 } },
  preempt: { preempts: true },
  provider: { rateLimit: { maxCommands: 1, windowMs: 1, algorithm: 'token-bucket' } },
}

const SUBMIT_OPTIONS: Partial<Record<Feature, object>> = {
  deadlines: { deadlineMs: 1 },
  units: { cost: 1 },
  charge: { cost: 1 },
  keys: { key: 'a' },
  weights: { key: 'a', weight: 1 },
  dedupe: { dedupe: { id: 'a', mode: 'drop' } },
}

const CONTEXT_MEMBERS: Partial<Record<Feature, string>> = { checkpoints: 'checkpoint', yields: 'yield' }

export async function availableFeatures(): Promise<Set<Feature>> {
  const members = await contextMembers()
  return new Set(
    FEATURES.filter((feature) => {
      const member = CONTEXT_MEMBERS[feature]
      if (member !== undefined) return members.has(member)
      return takesLane(LANE_OPTIONS[feature] ?? {}) && takesSubmit(SUBMIT_OPTIONS[feature] ?? {})
    }),
  )
}

const newQueue = (options: object): QueueManager => {
  const lanes = { lane: { priority: 0, ...options } } as QueueOptions['lanes']
  return new QueueManager({ lanes, clock: new SimClock({ late: false, shuffled: false }, new Draw(0)).face })
}

function takesLane(options: object): boolean {
  try {
    newQueue(options)
    return true
  } catch {
    return false
  }
}

function takesSubmit(options: object): boolean {
  const run = newQueue({}).submit('lane', { type: 'none' }, options)
  run.catch(() => undefined)
  return run.state !== 'failed'
}

async function contextMembers(): Promise<Set<string>> {
  const queue = newQueue({})
  await queue.start()
  return new Set(
    await queue.submit('lane', (context) => Object.values(CONTEXT_MEMBERS).filter((member) => member in context)),
  )
}
