/** Promises of an engine about leases: one worker at a time, and what was lost comes back. */
import type { Claim } from '../core/index.js'
import { type EnginePeer, progressOf, settlement } from './describe-engine-peer.js'
import { type EngineCase, type EngineStage, lane, QUIET_MS } from './describe-engine-stage.js'
import { holds, present, same } from './describe-storage-stage.js'

/** Ends a lease that is lost, in each way that there is. */
async function endsInVain(peer: EnginePeer, { lease, progress }: Pick<Claim, 'lease' | 'progress'>): Promise<void> {
  const ends = [
    { kind: 'settle', state: 'failed', result: '1', error: '{}', progress: progressOf(7), letter: '{"l":1}' },
    { kind: 'delay', delayMs: 60_000, progress: progressOf(8), cause: '{}' },
    { kind: 'release', progress },
  ] as const
  for (const end of ends) {
    const { isLost } = await peer.engine.end(lease, end, undefined)
    same(isLost, true, `whether the lease is lost, to its end by '${end.kind}'`)
  }
}

/** What everybody can see of a command. */
async function seen(peer: EnginePeer, id: string): Promise<unknown> {
  const { state, progress, outcome, dueAt } = present(await peer.engine.find(id), `the command ${id}`)
  return { state, progress, outcome, dueAt, letters: await peer.engine.letters(10) }
}

/** Renews a lease for a time, as a worker does. */
async function renewFor(stage: EngineStage, peer: EnginePeer, claim: Claim, ms: number): Promise<void> {
  const end = stage.clock.now() + ms
  while (stage.clock.now() < end) {
    await stage.sleep(stage.leaseMs / 4)
    const [answer] = await peer.engine.renew([claim.lease])
    same(answer, { isLost: false, cancelled: undefined }, 'the answer to a renewal in time')
  }
}

const fencing: readonly EngineCase[] = [
  [
    'end-foreign-token',
    'refuses the end of a lease by another token, and changes nothing',
    async (stage) => {
      const [first, second] = await stage.pair()
      const id = await first.submit()
      const claim = await first.claim()
      const before = await seen(first, id)
      await endsInVain(second, { ...claim, lease: { ...claim.lease, token: 'another' } })
      same(await seen(first, id), before, 'the command')
      same(await second.engine.save({ ...claim.lease, token: 'another' }, progressOf(9)), false, 'a save')
      same(await seen(first, id), before, 'the command after a save')
      await first.settle(claim)
      same((await first.outcomeOf(id)).state, 'completed', 'its outcome')
    },
  ],
  [
    'end-twice',
    'refuses a second end of a lease, and changes nothing',
    async (stage) => {
      const peer = await stage.peer()
      const id = await peer.submit()
      const claim = await peer.claim()
      await peer.settle(claim)
      const before = await seen(peer, id)
      await endsInVain(peer, claim)
      same(await seen(peer, id), before, 'the command')
      const released = await peer.submit()
      const again = await peer.claim()
      await peer.release(again)
      await endsInVain(peer, again)
      same((await peer.claim()).command.id, released, 'what was released once')
    },
  ],
  [
    'end-late',
    'refuses the end of a lease that has run out, and changes nothing',
    async (stage) => {
      const [submitter, worker] = await stage.brief()
      const id = await submitter.submit()
      const claim = await worker.claim()
      same(await worker.engine.save(claim.lease, progressOf(1, '"kept"')), true, 'a save in time')
      await stage.sleep(stage.leaseMs + QUIET_MS)
      await endsInVain(worker, claim)
      same(await worker.engine.save(claim.lease, progressOf(9)), false, 'a save')
      same((await worker.engine.renew([claim.lease]))[0]?.isLost, true, 'a renewal')
      same((await submitter.engine.letters(10)).length, 0, 'letters')
      const again = await stage.recovered(submitter)
      same([again.command.id, again.progress], [id, progressOf(1, '"kept"')], 'what comes back')
      same(submitter.outcomes, [], 'outcomes')
    },
  ],
  [
    'end-stale',
    'settles a command once, by the worker that holds it, however many had it before',
    async (stage) => {
      const [submitter, worker] = await stage.brief()
      const id = await submitter.submit()
      const stale = await worker.claim()
      const claim = await stage.recovered(submitter)
      await endsInVain(worker, stale)
      same(await worker.engine.save(stale.lease, progressOf(9)), false, 'a save by the stale worker')
      same((await worker.engine.renew([stale.lease]))[0]?.isLost, true, 'a renewal by the stale worker')
      await submitter.settle(claim, { result: '"second"' })
      await endsInVain(worker, stale)
      same((await submitter.outcomeOf(id)).result, '"second"', 'the result')
      await stage.sleep(QUIET_MS)
      same(new Set(submitter.outcomes.map(({ result }) => result)).size, 1, 'the number of its outcomes')
    },
  ],
  [
    'end-lost-next',
    'gives no command to a worker for the end of a lost lease that is nobody else’s afterwards',
    async (stage) => {
      const [first, second] = await stage.pair()
      const id = await first.submit()
      const claim = await first.claim()
      await first.settle(claim)
      const other = await first.submit()
      const { isLost, next } = await first.engine.end(claim.lease, settlement(claim), first.newToken())
      same(isLost, true, 'whether the lease is lost')
      const got = next?.claim ?? (await second.claim())
      same(got.command.id, other, 'who has the next command')
      same((await first.outcomeOf(id)).state, 'completed', 'the outcome')
    },
  ],
]

const renewals: readonly EngineCase[] = [
  [
    'renew-keeps',
    'leaves a command with its worker for as long as the lease is renewed',
    async (stage) => {
      const [submitter, worker] = await stage.brief()
      const id = await submitter.submit()
      const claim = await worker.claim()
      await renewFor(stage, worker, claim, 4 * stage.leaseMs)
      await submitter.finds('empty')
      await worker.settle(claim)
      same((await submitter.outcomeOf(id)).state, 'completed', 'its outcome')
    },
  ],
  [
    'renew-answers',
    'answers for each lease that is renewed, in their order',
    async (stage) => {
      const peer = await stage.peer()
      for (let n = 0; n < 3; n++) await peer.submit({ laneId: n === 2 ? 'other' : 'lane' })
      const [first, second, third] = [await peer.claim(), await peer.claim(), await peer.claim('other')]
      await peer.settle(second)
      const unknown = { id: 'unknown', laneId: 'lane', token: 'none' }
      const answers = await peer.engine.renew([unknown, first.lease, second.lease, third.lease])
      const lost = answers.map(({ isLost }) => isLost)
      same(lost, [true, false, true, false], 'which of them are lost')
      same(await peer.engine.renew([]), [], 'the answer for no lease')
    },
  ],
  [
    'save-progress',
    'keeps the progress of a running command for whoever has it next',
    async (stage) => {
      const [submitter, worker] = await stage.brief()
      const id = await submitter.submit()
      const claim = await worker.claim()
      const progress = progressOf(2, '{"page":[1,{}]}', '{"history":[]}')
      same(await worker.engine.save(claim.lease, progressOf(1, '"first"')), true, 'whether it is saved')
      same(await worker.engine.save(claim.lease, progress), true, 'whether it is saved again')
      same((await submitter.engine.find(id))?.progress, progress, 'what others see')
      same((await stage.recovered(submitter)).progress, progress, 'what comes back')
    },
  ],
]

const recoveries: readonly EngineCase[] = [
  [
    'recovery-counts',
    'hands a command out again when its lease is lost, and counts how often that was',
    async (stage) => {
      const [submitter, worker] = await stage.brief()
      const id = await submitter.submit()
      await worker.claim()
      const second = await stage.recovered(submitter)
      same([second.command.id, second.recoveries, second.isRecovered], [id, 1, true], 'after one lost lease')
      const third = await stage.recovered(worker)
      same([third.command.id, third.recoveries, third.isRecovered], [id, 2, true], 'after two lost leases')
      await worker.release(third)
      const fourth = await worker.claim()
      same([fourth.recoveries, fourth.isRecovered], [2, false], 'after a lease that was given back')
      await worker.settle(fourth)
      same((await submitter.outcomeOf(id)).state, 'completed', 'its outcome')
    },
  ],
  [
    'recovery-in-time',
    'frees the slot of a lost lease within 2 s',
    async (stage) => {
      const [submitter, worker] = await stage.brief([lane('lane', { maxConcurrency: 1 })])
      await submitter.submit()
      const waiting = await submitter.submit({ priority: 1 })
      const claim = await worker.claim()
      const claimedAt = stage.clock.now()
      holds(claim.command.id === waiting, 'the better one goes first')
      await submitter.finds('full')
      await stage.recovered(submitter)
      const tookMs = stage.clock.now() - claimedAt
      holds(tookMs >= stage.leaseMs - QUIET_MS, `the lease of ${stage.leaseMs} ms was lost after ${tookMs} ms`)
    },
  ],
  [
    'recovery-priority',
    'puts a recovered command among the others by its priority',
    async (stage) => {
      const [submitter, worker] = await stage.brief()
      const low = await submitter.submit({ priority: 9 })
      // that it stood first once is over
      await worker.release(await worker.claim())
      await worker.claim()
      const high = await submitter.submit({ priority: 1 })
      const lower = await submitter.submit({ priority: 10 })
      await stage.until(
        async () => (await submitter.engine.find(low))?.state === 'pending',
        'the command waits again',
        stage.leaseMs + 2000,
      )
      same(await submitter.runAll(), [high, low, lower], 'the order')
    },
  ],
  [
    'recovery-place',
    'lets a recovered command take its old place, if it says so',
    async (stage) => {
      const [peer] = await stage.brief()
      if (!peer.engine.capabilities.keepsPlace) return
      const ids = [await peer.submit(), await peer.submit(), await peer.submit()]
      await peer.claim()
      const second = await peer.claim()
      const isFirstBack = async (): Promise<boolean> => {
        same((await peer.engine.renew([second.lease]))[0]?.isLost, false, 'a renewal')
        return (await peer.engine.find(ids[0] ?? ''))?.state === 'pending'
      }
      await stage.until(isFirstBack, 'the first waits again', stage.leaseMs + 2000)
      await peer.delay(second, 0)
      await stage.sleep(QUIET_MS)
      same(await peer.runAll(), ids, 'the order')
    },
  ],
]

export const leaseCases: readonly EngineCase[] = [...fencing, ...renewals, ...recoveries]
