/** Promises of an engine about what an attempt has really cost: the rate limits over all workers count that. */
import type { Claim, EngineLane } from '../core/index.js'
import type { RateLimitFields } from '../policy/index.js'
import type { EnginePeer } from './describe-engine-peer.js'
import { type EngineCase, type EngineStage, lane } from './describe-engine-stage.js'
import { holds, present } from './describe-storage-stage.js'

/** So long that next to nothing flows back in the time that a case takes. */
const LONG_MS = 600_000

const ALGORITHMS = ['token-bucket', 'sliding-window'] as const

const tokens = (maxCommands: number, more: Partial<RateLimitFields> = {}): RateLimitFields => ({
  maxCommands,
  windowMs: LONG_MS,
  unit: 'tokens',
  ...more,
})

/** Two workers; undefined where the engine keeps no rates or takes no charges. */
async function workers(
  stage: EngineStage,
  lanes: readonly EngineLane[],
): Promise<[first: EnginePeer, second: EnginePeer] | undefined> {
  const pair = await stage.pair(lanes)
  const [{ engine }] = pair
  return engine.capabilities.rateLimits && engine.charge !== undefined ? pair : undefined
}

/** Tries it with each algorithm, in a lane of its own. */
function withEach(
  attempt: (peers: readonly [EnginePeer, EnginePeer], laneId: string, stage: EngineStage) => Promise<void>,
): (stage: EngineStage) => Promise<void> {
  return async (stage) => {
    const peers = await workers(
      stage,
      ALGORITHMS.map((algorithm) => lane(algorithm, { rateLimits: [tokens(100, { algorithm })] })),
    )
    if (peers === undefined) return
    for (const algorithm of ALGORITHMS) await attempt(peers, algorithm, stage)
  }
}

/** Submits one of that cost, and claims it. */
async function started(peer: EnginePeer, laneId: string, cost: string): Promise<Claim> {
  await peer.submit({ laneId, cost })
  return await peer.claim(laneId)
}

/** Fails unless the lane starts so much more, and after that nothing. */
async function hasLeft([first, second]: readonly EnginePeer[], laneId: string, amount: number): Promise<void> {
  if (amount > 0) await started(first as EnginePeer, laneId, String(amount))
  await (second as EnginePeer).submit({ laneId, cost: '1' })
  await (second as EnginePeer).finds('rate_limited', laneId)
}

export const chargeCases: readonly EngineCase[] = [
  [
    'charge-debt',
    'takes what an attempt costs beyond its estimate at once, as a debt that holds the lane back',
    withEach(async ([first, second], laneId) => {
      const claim = await started(first, laneId, '{"tokens":40}')
      await started(second, laneId, '10')
      await first.charge(claim, '{"tokens":120}')
      await second.submit({ laneId, cost: '1' })
      const retryAt = present(await second.finds('rate_limited', laneId), 'when it is worth asking again')
      const waitMs = retryAt - second.now()
      holds(waitMs > LONG_MS / 5, `a debt of 30 and a token more are repaid in ${waitMs} ms`)
    }),
  ],
  [
    'charge-back',
    'gives back what an attempt did not cost, so that the next starts at once, and no more than that',
    withEach(async (peers, laneId) => {
      const [first, second] = peers
      const claim = await started(first, laneId, '100')
      await second.submit({ laneId, cost: '70' })
      await second.finds('rate_limited', laneId)
      await first.charge(claim, '10')
      await second.claim(laneId)
      await hasLeft(peers, laneId, 20)
    }),
  ],
  [
    'charge-brim',
    'gives back no more than the limit is',
    withEach(async (peers, laneId) => {
      const claim = await started(peers[0], laneId, '100')
      await peers[0].charge(claim, '0')
      await hasLeft(peers, laneId, 100)
    }),
  ],
  [
    'charge-again',
    'counts the last of several totals, and one that is told twice or late once',
    withEach(async (peers, laneId) => {
      const claim = await started(peers[0], laneId, '10')
      await peers[0].charge(claim, '90', 1)
      await peers[0].charge(claim, '60', 2)
      await peers[0].charge(claim, '60', 2)
      await peers[0].charge(claim, '90', 1)
      await hasLeft(peers, laneId, 40)
    }),
  ],
  [
    'charge-missed',
    'makes up with the next charge for one that never came',
    withEach(async (peers, laneId) => {
      const claim = await started(peers[0], laneId, '10')
      await peers[0].charge(claim, '30', 1)
      await peers[0].charge(claim, '70', 3)
      await hasLeft(peers, laneId, 30)
    }),
  ],
  [
    'charge-lost',
    'changes nothing for a charge under a lost lease',
    withEach(async (peers, laneId) => {
      const [first, second] = peers
      const ended = await started(first, laneId, '30')
      await first.settle(ended)
      await first.charge(ended, '0')
      const given = await started(first, laneId, '20')
      await first.release(given)
      await first.charge(given, '90')
      const again = await second.claim(laneId)
      await first.charge(given, '0', 2)
      await second.charge(again, '25')
      await hasLeft(peers, laneId, 100 - 30 - 20 - 25)
    }),
  ],
  [
    'charge-attempt',
    'counts each attempt for itself',
    withEach(async (peers, laneId) => {
      const claim = await started(peers[0], laneId, '10')
      await peers[0].charge(claim, '50', 4)
      await peers[0].delay(claim, 0)
      await peers[1].charge(await peers[1].claim(laneId), '20', 1)
      await hasLeft(peers, laneId, 30)
    }),
  ],
  [
    'charge-earlier',
    'gives nothing back to a limit that is newer than the attempt',
    withEach(async (peers, laneId, stage) => {
      const [{ engine }, { engine: other }] = peers
      const settings = peers[0].lanes.find((one) => one.laneId === laneId) as EngineLane
      await engine.configure({ ...settings, rateLimits: [] })
      const claim = await started(peers[0], laneId, '50')
      await stage.sleep(1)
      await other.configure(settings)
      await started(peers[1], laneId, '60')
      await peers[0].charge(claim, '0', 1)
      await peers[0].charge(claim, '10', 2)
      await hasLeft(peers, laneId, 30)
    }),
  ],
  [
    'charge-group',
    'corrects a limit that lanes share for all of them',
    async (stage) => {
      const groups = ALGORITHMS.map((algorithm) => tokens(100, { algorithm, group: algorithm }))
      const lanes = ['lane', 'other'].map((laneId) => lane(laneId, { rateLimits: groups }))
      const peers = await workers(stage, lanes)
      if (peers === undefined) return
      const [first, second] = peers
      const claim = await started(first, 'lane', '50')
      await first.charge(claim, '100', 1)
      await second.submit({ laneId: 'other', cost: '60' })
      await second.finds('rate_limited', 'other')
      await first.charge(claim, '30', 2)
      await second.claim('other')
      await hasLeft(peers, 'other', 10)
    },
  ],
  [
    'charge-tell',
    'tells workers that wait for a rate of what is given back, in each lane that it is for, watched or not',
    async (stage) => {
      const groups = [tokens(100, { group: 'provider' })]
      const own = lane('lane', { rateLimits: [tokens(100)] })
      const peers = await workers(stage, [own, ...['one', 'two'].map((id) => lane(id, { rateLimits: groups }))])
      if (peers === undefined) return
      const [first, second] = peers
      for (const [laneId, waiting] of [
        ['lane', 'lane'],
        ['one', 'two'],
      ] as const) {
        const claim = await started(first, laneId, '100')
        await second.submit({ laneId: waiting, cost: '50' })
        await second.finds('rate_limited', waiting)
        second.work.length = 0
        await first.charge(claim, '10')
        await stage.until(() => second.work.includes(waiting), `another worker is told of ${waiting}`)
        await second.claim(waiting)
      }
    },
  ],
  [
    'charge-window',
    'gives back in a window what the attempt itself took, while that counts',
    async (stage) => {
      const windowMs = 2000
      const limit = tokens(10, { windowMs, algorithm: 'sliding-window' })
      const peers = await workers(stage, [lane('lane', { rateLimits: [limit] })])
      if (peers === undefined) return
      const [first, second] = peers
      const old = await started(first, 'lane', '5')
      await stage.sleep(windowMs / 2)
      const young = await started(second, 'lane', '5')
      await first.charge(old, '0')
      await hasLeft(peers, 'lane', 5)
      // had the younger one been lowered, the window would have room now that the older one has left it
      await stage.sleep(windowMs / 2 + windowMs / 20)
      await second.finds('rate_limited')
      await stage.sleep(windowMs / 2)
      // all but what has just begun is older than a window
      await second.claim()
      await second.charge(young, '0')
      await hasLeft(peers, 'lane', 9)
    },
  ],
]
