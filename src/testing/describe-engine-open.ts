/** Promises of an engine about its beginning, its end, and what all that share a lane agree on. */
import { type EngineCase, lane, QUIET_MS } from './describe-engine-stage.js'
import { holds, present, refuses, same } from './describe-storage-stage.js'

/** A close comes back within this, also while the server is away. */
const CLOSE_MS = 6000

const beginnings: readonly EngineCase[] = [
  [
    'open-facts',
    'says what it is and what it can do',
    async (stage) => {
      for (const role of ['both', 'coordinator', 'worker'] as const) {
        const { engine } = await stage.peer(undefined, { role, leaseMs: stage.leaseMs })
        same([engine.role, engine.leaseMs], [role, stage.leaseMs], 'its role and lease')
        const { capabilities } = engine
        const names = ['keepsPlace', 'lifo', 'keys', 'rateLimits', 'durable'] as const
        for (const name of names) same(typeof capabilities[name], 'boolean', `whether it is ${name}`)
        for (const [name, fact] of Object.entries(engine.facts()))
          holds(['string', 'number', 'boolean'].includes(typeof fact), `the fact ${name} is no plain value`)
      }
    },
  ],
  [
    'open-closed-at-once',
    'is closed as soon as it is open without a fault',
    async (stage) => {
      for (let times = 0; times < 5; times++) await (await stage.peer()).engine.close()
      // what they report is judged at the end of every case
    },
  ],
  [
    'open-second-queue',
    'refuses a second queue with CONFLICT, and serves the first as before',
    async (stage) => {
      const peer = await stage.peer()
      await refuses(() => peer.open(), 'CONFLICT', 'a second open')
      const id = await peer.submit()
      same((await peer.claim()).command.id, id, 'what the first queue has submitted')
    },
  ],
  [
    'open-other-limits',
    'refuses a lane that others know with other limits with CONFLICT, and names it',
    async (stage) => {
      const rateLimits = [{ maxCommands: 10, windowMs: 1000 }]
      const known = lane('lane', { maxConcurrency: 3, capacity: 50, rateLimits })
      await stage.peer([known])
      await stage.peer([{ ...known, rateLimits: [{ ...rateLimits[0], windowMs: 1000, maxCommands: 10, burst: 10 }] }])
      const others = [
        { maxConcurrency: 4 },
        { capacity: 51 },
        { rateLimits: [] },
        { maxConcurrency: Number.POSITIVE_INFINITY },
      ]
      for (const other of others) {
        const peer = await stage.unopened([lane('fresh'), { ...known, ...other }])
        const error: unknown = await peer.open().catch((thrown: unknown) => thrown)
        const { code, message } = error as { code?: string; message?: string }
        same(code, 'CONFLICT', `an open with ${JSON.stringify(other)}`)
        holds(message?.includes('lane') === true, `the message does not name the lane: ${message}`)
      }
    },
  ],
  [
    'open-reconfigure',
    'takes other limits when it is opened to reconfigure, and tells the others',
    async (stage) => {
      const first = await stage.peer([lane('lane', { maxConcurrency: 1 })])
      const changed = lane('lane', { maxConcurrency: 2 })
      const second = await stage.peer([changed], { reconfigure: true })
      const told = (): boolean => first.changes.some(([id, { lane: to }]) => id === 'lane' && to?.maxConcurrency === 2)
      await stage.until(told, 'the first process is told of the new limits')
      await second.submit()
      await second.submit()
      await first.claim()
      await first.claim()
      await stage.peer([changed])
      const late = await stage.unopened([lane('lane', { maxConcurrency: 1 })])
      await refuses(() => late.open(), 'CONFLICT', 'an open with the limits of before')
    },
  ],
  [
    'open-later',
    'gives an engine that is opened later what was submitted, and whether a lane is paused',
    async (stage) => {
      const first = await stage.peer()
      const id = await first.submit()
      await first.engine.pause('other')
      await first.engine.close()
      const second = await stage.peer()
      same((await second.claim()).command.id, id, 'what was submitted before it was opened')
      await second.finds('paused', 'other')
    },
  ],
]

const ends: readonly EngineCase[] = [
  [
    'close-idempotent',
    'closes once, quickly, and as often as it is asked to',
    async (stage) => {
      const peer = await stage.peer()
      await peer.submit()
      await peer.claim()
      const before = stage.clock.now()
      let isClosed = false
      void Promise.all([peer.engine.close(), peer.engine.close(), peer.engine.close()]).then(() => {
        isClosed = true
      })
      await stage.until(() => isClosed, 'three closes come back', CLOSE_MS)
      await peer.engine.close()
      holds(stage.clock.now() - before <= CLOSE_MS, 'a close takes too long')
    },
  ],
  [
    'close-unopened',
    'closes when it was never opened',
    async (stage) => {
      const { engine } = await stage.unopened()
      let isClosed = false
      void engine.close().then(() => {
        isClosed = true
      })
      await stage.until(() => isClosed, 'the close comes back', CLOSE_MS)
    },
  ],
  [
    'close-calls',
    'refuses calls after its close, and tells nothing any more',
    async (stage) => {
      const [submitter, worker] = await stage.pair()
      const id = await submitter.submit()
      submitter.engine.watch(['lane'])
      await submitter.engine.close()
      const lease = { id, laneId: 'lane', token: 'token' }
      const calls: readonly (() => Promise<unknown>)[] = [
        () => submitter.engine.add([submitter.command()]),
        () => submitter.engine.claim('lane', 'token'),
        () => submitter.engine.renew([lease]),
        () => submitter.engine.find(id),
        () => submitter.engine.counts(),
        () => submitter.engine.pause('lane'),
      ]
      for (const call of calls) {
        const error: unknown = await call().then(
          () => undefined,
          (thrown: unknown) => thrown,
        )
        present(error, 'the error of a call after the close')
      }
      const told = [submitter.outcomes.length, submitter.work.length]
      await worker.settle(await worker.claim())
      await worker.submit()
      await stage.sleep(QUIET_MS)
      same([submitter.outcomes.length, submitter.work.length], told, 'what a closed engine has told')
    },
  ],
  [
    'close-others',
    'serves the others as before when one has closed',
    async (stage) => {
      const [first, second] = await stage.pair()
      const id = await second.submit()
      await first.engine.close()
      await second.settle(await second.claim())
      same((await second.outcomeOf(id)).state, 'completed', 'the outcome')
    },
  ],
]

export const openCases: readonly EngineCase[] = [...beginnings, ...ends]
