/** Promises of an engine about what a command is when it is claimed, in which order, and when. */
import type { EngineCommand } from '../core/index.js'
import { progressOf } from './describe-engine-peer.js'
import { type EngineCase, lane, QUIET_MS, SOON_MS } from './describe-engine-stage.js'
import { holds, present, same } from './describe-storage-stage.js'

/** A delay may be so much longer than it was asked for. */
const LATE_MS = 400
/** The wall clocks of two machines may differ by so much, rounding included. */
const EARLY_MS = 5

/** JSON texts that something that reads and writes JSON on the way would change. */
const PAYLOADS: readonly (string | undefined)[] = [
  undefined,
  'null',
  '""',
  '0',
  '-0',
  '1.0',
  '0.1',
  '1e400',
  '12345678901234567890',
  'true',
  '[]',
  '{}',
  '{"b":1,"a":[],"c":{}}',
  '{"1":1,"0":0}',
  '{"__proto__":{"a":1}}',
  '{"a" : [1 , 2]}',
  '"ä€😀\\u0000\\ud800\\u2028"',
  '"\u2028\u2029\ufeff"',
  `"${'x'.repeat(100_000)}"`,
]

const commands: readonly EngineCase[] = [
  [
    'claim-once',
    'hands a command out once, as it was submitted',
    async (stage) => {
      const [submitter, worker] = await stage.pair()
      const command: EngineCommand = {
        ...submitter.command(),
        id: 'own id: 12/ä',
        commandType: 'a.type:of its own',
        priority: 2_097_150,
        deadlineAt: Math.floor(stage.now()) + 60_000,
        options: '{"retry":{"maxRetries":3},"list":[],"none":{}}',
        cost: '{"tokens":2.5}',
        hasOwnId: true,
      }
      same(await submitter.add(command), [{ kind: 'accepted' }], 'the answer')
      const claim = await worker.claim()
      same(claim.command, command, 'the command')
      same({ ...claim.lease, token: '' }, { id: command.id, laneId: 'lane', token: '' }, 'its lease')
      same(claim.progress, progressOf(0), 'its progress')
      same([claim.recoveries, claim.isRecovered, claim.cancelled], [0, false, undefined], 'its past')
      await worker.finds('empty')
      await submitter.finds('empty')
      await worker.settle(claim)
      await worker.finds('empty')
    },
  ],
  [
    'claim-own-token',
    'puts a claim under the token that it was given',
    async (stage) => {
      const peer = await stage.peer()
      await peer.submit()
      const { claim } = await peer.engine.claim('lane', 'a token of its own')
      same(claim?.lease.token, 'a token of its own', 'the token')
    },
  ],
  [
    'payload-verbatim',
    'keeps payloads, checkpoints and results letter for letter',
    async (stage) => {
      const [submitter, worker] = await stage.pair()
      for (const payload of PAYLOADS) {
        const id = await submitter.submit({ payload })
        const claim = await worker.claim()
        const shown = payload?.slice(0, 40)
        holds(claim.command.payload === payload, `the payload ${shown} came as ${claim.command.payload?.slice(0, 40)}`)
        await worker.delay(claim, 0, progressOf(1, payload, payload))
        const again = await stage.claimWithin(SOON_MS, worker)
        same(again.progress, progressOf(1, payload, payload), `the progress ${shown}`)
        await worker.settle(again, { result: payload })
        const { result } = await submitter.outcomeOf(id)
        holds(result === payload, `the result ${shown} came as ${result?.slice(0, 40)}`)
      }
    },
  ],
  [
    'add-batch',
    'answers for each command of a batch, in their order',
    async (stage) => {
      const peer = await stage.peer([lane('lane', { capacity: 2 }), lane('other')])
      const answers = await peer.add(
        peer.command(),
        peer.command(),
        peer.command(),
        peer.command({ laneId: 'other' }),
        peer.command(),
      )
      const kinds = answers.map(({ kind }) => kind)
      same(kinds, ['accepted', 'accepted', 'refused', 'accepted', 'refused'], 'the answers')
      same([(await peer.runAll()).length, (await peer.runAll('other')).length], [2, 1], 'what is there')
      same(await peer.engine.add([]), [], 'the answer to no command')
    },
  ],
]

const order: readonly EngineCase[] = [
  [
    'order-priority',
    'gives commands by priority, 0 first, and those of one priority as they came',
    async (stage) => {
      const [first, second] = await stage.pair()
      const priorities = [1000, 0, 2_097_150, 1000, 1, 0, 999, 2_097_150, 1]
      const ids: string[] = []
      for (const [index, priority] of priorities.entries())
        ids.push(await (index % 2 === 0 ? first : second).submit({ priority }))
      const expected = [1, 5, 4, 8, 6, 0, 3, 2, 7].map((index) => ids[index])
      same(await second.runAll(), expected, 'the order')
    },
  ],
  [
    'order-arrival',
    'gives the commands of a batch in its order',
    async (stage) => {
      const [submitter, worker] = await stage.pair()
      const batch = Array.from({ length: 50 }, () => submitter.command())
      await submitter.add(...batch)
      const expected = batch.map(({ id }) => id)
      same(await worker.runAll(), expected, 'the order')
    },
  ],
  [
    'order-next',
    'gives the next of the same lane with the end of a lease, if that is asked for',
    async (stage) => {
      const peer = await stage.peer()
      await peer.submit({ laneId: 'other' })
      const ids = [await peer.submit(), await peer.submit(), await peer.submit()]
      const first = await peer.claim()
      const { next } = await peer.settle(first, {}, 'second token')
      const second = present(next?.claim, 'the next claim')
      same([first.command.id, second.command.id, second.lease.token], [ids[0], ids[1], 'second token'], 'the claims')
      const progress = progressOf(1)
      const { next: third } = await peer.engine.end(
        second.lease,
        { kind: 'delay', delayMs: 60_000, progress, cause: '{}' },
        'third',
      )
      same(third?.claim?.command.id, ids[2], 'the claim with a delay')
      const last = await peer.settle(present(third?.claim, 'the third claim'), {}, 'fourth')
      same(last.next?.claim === undefined ? last.next?.why : 'a claim', 'empty', 'the answer of a lane with none left')
      same((await peer.settle(await peer.claim('other'))).next, undefined, 'the next when it is not asked for')
    },
  ],
  [
    'order-lanes',
    'gives the commands of a lane to those alone who claim from that lane',
    async (stage) => {
      const peer = await stage.peer()
      const ids = [await peer.submit({ laneId: 'other' }), await peer.submit()]
      same([await peer.runAll(), await peer.runAll('other')], [[ids[1]], [ids[0]]], 'what the lanes give')
    },
  ],
]

const delays: readonly EngineCase[] = [
  [
    'delay-due',
    'hands a delayed command out when it is due, and says when that is',
    async (stage) => {
      const [submitter, worker] = await stage.pair()
      const dueAt = Math.ceil(stage.now()) + 300
      await submitter.submit({ dueAt })
      await submitter.submit({ dueAt: dueAt + 60_000 })
      const retryAt = present(await worker.finds('empty'), 'when it is worth asking again')
      holds(Math.abs(retryAt - dueAt) <= LATE_MS, `it is due in 300 ms and said to be ${retryAt - dueAt} ms after that`)
      await stage.claimWithin(300 + LATE_MS, worker)
      holds(stage.now() >= dueAt - EARLY_MS, `it came ${dueAt - stage.now()} ms too early`)
      await worker.finds('empty')
    },
  ],
  [
    'delay-past',
    'hands a command out at once that is due already',
    async (stage) => {
      const peer = await stage.peer()
      const id = await peer.submit({ dueAt: Math.floor(stage.now()) - 1000 })
      same((await peer.claim()).command.id, id, 'the command')
    },
  ],
  [
    'delay-priority',
    'puts a command that has come due among the others by its priority',
    async (stage) => {
      const peer = await stage.peer()
      const low = await peer.submit({ priority: 9, dueAt: Math.ceil(stage.now()) + 100 })
      const high = await peer.submit({ priority: 1, dueAt: Math.ceil(stage.now()) + 100 })
      const middle = await peer.submit({ priority: 5 })
      await stage.sleep(100 + LATE_MS)
      same(await peer.runAll(), [high, middle, low], 'the order')
    },
  ],
  [
    'delay-retry',
    'lets a command wait that ends its lease so, and keeps its progress',
    async (stage) => {
      const [submitter, worker] = await stage.pair()
      const id = await submitter.submit()
      const claim = await worker.claim()
      const endedAt = stage.now()
      const progress = progressOf(1, '{"at":7}', '{"retries":1}')
      await worker.delay(claim, 300, progress)
      await submitter.finds('empty')
      const again = await stage.claimWithin(300 + LATE_MS, submitter)
      holds(stage.now() - endedAt >= 300 - EARLY_MS, `it came back after ${stage.now() - endedAt} ms of 300`)
      same([again.command.id, again.progress], [id, progress], 'what comes back')
      same([again.recoveries, again.isRecovered], [0, false], 'its past: no lease was lost')
      same(submitter.outcomes, [], 'outcomes')
    },
  ],
  [
    'delay-place',
    'lets a command that comes back take its old place, if it says so',
    async (stage) => {
      const peer = await stage.peer()
      if (!peer.engine.capabilities.keepsPlace) return
      const ids = [await peer.submit(), await peer.submit(), await peer.submit()]
      const first = await peer.claim()
      const second = await peer.claim()
      await peer.delay(second, 50)
      await peer.delay(first, 100)
      await stage.sleep(100 + LATE_MS)
      same(await peer.runAll(), ids, 'the order')
    },
  ],
]

const releases: readonly EngineCase[] = [
  [
    'release-head',
    'puts a released command before the others of its priority, and it has spent nothing',
    async (stage) => {
      const [first, second] = await stage.pair()
      const ids = [await first.submit(), await first.submit(), await first.submit()]
      await first.settle(await first.claim())
      const claim = await first.claim()
      const progress = progressOf(0, '{"step":3}', '{"logs":[]}')
      await first.release(claim, progress)
      const again = await second.claim()
      same([again.command.id, again.progress], [ids[1], progress], 'what is claimed next')
      same([again.recoveries, again.isRecovered], [0, false], 'its past: no lease was lost')
      await second.settle(again)
      same(await second.runAll(), [ids[2]], 'what is left')
    },
  ],
  [
    'release-first',
    'puts a released command before those of its lane that have a better priority',
    async (stage) => {
      const peer = await stage.peer()
      const low = await peer.submit({ priority: 9 })
      const claim = await peer.claim()
      const high = await peer.submit({ priority: 1 })
      await peer.release(claim)
      same(await peer.runAll(), [low, high], 'the order')
    },
  ],
  [
    'release-over',
    'puts a command that was released before, and comes back otherwise now, by its priority again',
    async (stage) => {
      const peer = await stage.peer()
      const low = await peer.submit({ priority: 9 })
      await peer.release(await peer.claim())
      const claim = await peer.claim()
      const high = await peer.submit({ priority: 1 })
      await peer.delay(claim, 0)
      await stage.sleep(QUIET_MS)
      same(await peer.runAll(), [high, low], 'the order')
    },
  ],
]

export const orderCases: readonly EngineCase[] = [...commands, ...order, ...delays, ...releases]
