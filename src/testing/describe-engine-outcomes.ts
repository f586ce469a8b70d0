/** Promises of an engine about outcomes and progress: they reach the process that waits for them. */
import type { Engine, FinalState } from '../core/index.js'
import { type EngineCase, type EngineStage, LOOK_MS, QUIET_MS } from './describe-engine-stage.js'
import { present, refuses, same } from './describe-storage-stage.js'

const STATES: readonly FinalState[] = ['completed', 'failed', 'timed_out', 'cancelled']

/** A call may wait so long for an engine that cannot be reached. */
const OFFLINE_MS = 15_000

const messages: readonly EngineCase[] = [
  [
    'outcome-states',
    'tells the submitter each outcome as its worker has given it',
    async (stage) => {
      const [submitter, worker] = await stage.pair()
      for (const state of STATES) {
        const id = await submitter.submit()
        const result = state === 'completed' ? '{"n":[1,null]}' : undefined
        const error = state === 'completed' ? undefined : '{"name":"Error","message":"ä","cause":{"message":"c"}}'
        await worker.settle(await worker.claim(), { state, result, error })
        const outcome = { id, laneId: 'lane', state, result, error }
        same(await submitter.outcomeOf(id), outcome, `the outcome ${state}`)
        same((await worker.engine.find(id))?.outcome, outcome, `what is kept of ${state}`)
      }
    },
  ],
  [
    'outcome-submitter',
    'tells an outcome to the process that has submitted the command, and to no other',
    async (stage) => {
      const [first, second] = await stage.pair()
      const third = await stage.peer()
      const ids = [await first.submit(), await second.submit(), await second.submit({ replyTo: undefined })]
      await third.runAll()
      await first.outcomeOf(ids[0] as string)
      await second.outcomeOf(ids[1] as string)
      await stage.sleep(QUIET_MS)
      const told = [first, second, third].map((peer) => [...new Set(peer.outcomes.map(({ id }) => id))])
      same(told, [[ids[0]], [ids[1]], []], 'who is told which')
    },
  ],
  [
    'outcome-own',
    'tells an outcome also when the process that waits is the one that has worked',
    async (stage) => {
      const peer = await stage.peer()
      const ids = [await peer.submit(), await peer.submit()]
      await peer.runAll()
      for (const id of ids) same((await peer.outcomeOf(id)).state, 'completed', 'the outcome')
    },
  ],
  [
    'outcome-many',
    'tells the outcomes of many commands that end at once',
    async (stage) => {
      const [submitter, worker] = await stage.pair()
      const batch = Array.from({ length: 100 }, () => submitter.command())
      await submitter.add(...batch)
      const claims = await Promise.all(batch.map(() => worker.claim()))
      await Promise.all(claims.map((claim) => worker.settle(claim, { result: `"${claim.command.id}"` })))
      for (const { id } of batch) same((await submitter.outcomeOf(id)).result, `"${id}"`, 'the result')
    },
  ],
  [
    'progress-told',
    'tells the submitter what a handler reports, and keeps the last of it',
    async (stage) => {
      const [submitter, worker] = await stage.pair()
      const id = await submitter.submit()
      const claim = await worker.claim()
      worker.engine.report(claim, '1')
      worker.engine.report(claim, '{"done":2,"of":[3]}')
      const isTold = (): boolean => submitter.progress.some(([, value]) => value === '{"done":2,"of":[3]}')
      await stage.until(isTold, 'the submitter is told')
      same([...new Set(submitter.progress.map(([of]) => of))], [id], 'of which commands')
      const isKept = async (): Promise<boolean> =>
        (await submitter.engine.find(id))?.lastProgress === '{"done":2,"of":[3]}'
      await stage.until(isKept, 'the last of it is kept')
      same(worker.progress, [], 'what the worker is told')
      await worker.settle(claim)
    },
  ],
]

const recoveries: readonly EngineCase[] = [
  [
    'outcome-unheard',
    'finds an outcome whose message was lost',
    async (stage) => {
      const [submitter, worker] = await stage.pair()
      await stage.faults.loseMessages?.(submitter.engine)
      const ids = [await submitter.submit(), await submitter.submit({ laneId: 'other' }), await submitter.submit()]
      await worker.runAll()
      await worker.runAll('other')
      for (const id of ids) same((await submitter.outcomeOf(id, LOOK_MS)).result, '"done"', 'the result')
    },
    'loseMessages',
  ],
  [
    'cut-outcome',
    'finds the outcomes that it missed when it is connected again',
    async (stage) => {
      const [submitter, worker] = await stage.pair()
      const id = await submitter.submit()
      await cut(stage, submitter.engine)
      await stage.until(() => submitter.connection.includes(false), 'it says that it is cut off', LOOK_MS)
      await worker.runAll()
      await stage.sleep(QUIET_MS)
      same(submitter.outcomes, [], 'what a process is told that is cut off')
      await stage.faults.mend?.(submitter.engine)
      await stage.until(() => submitter.connection.at(-1) === true, 'it says that it is connected', LOOK_MS)
      same((await submitter.outcomeOf(id, LOOK_MS)).state, 'completed', 'the outcome')
    },
    'cut',
  ],
  [
    'cut-call',
    'answers a call when the connection comes back in time, and else refuses it with ENGINE_UNAVAILABLE',
    async (stage) => {
      const [first, second] = await stage.pair()
      await cut(stage, first.engine)
      const patient = first.submit()
      await stage.sleep(QUIET_MS)
      await stage.faults.mend?.(first.engine)
      await settled(stage, patient)
      const id = await patient
      same((await second.claim()).command.id, id, 'what was submitted meanwhile')
      await cut(stage, first.engine)
      const calls = [first.engine.add([first.command()]), first.engine.claim('lane', 'token'), first.engine.counts()]
      await settled(stage, ...calls)
      for (const call of calls) await refuses(() => call, 'ENGINE_UNAVAILABLE', 'a call in vain')
      await stage.faults.mend?.(first.engine)
    },
    'cut',
  ],
  [
    'cut-lease',
    'loses the leases of a process that is cut off, and refuses what it ends then',
    async (stage) => {
      const submitter = await stage.peer()
      const worker = await stage.peer(undefined, { leaseMs: stage.leaseMs })
      const id = await submitter.submit()
      const stale = await worker.claim()
      await cut(stage, worker.engine)
      const claim = await stage.recovered(submitter)
      await stage.faults.mend?.(worker.engine)
      const end = worker.engine.end(stale.lease, { kind: 'release', progress: stale.progress }, undefined)
      await settled(stage, end)
      same((await end).isLost, true, 'whether the lease is lost')
      await submitter.settle(claim)
      same((await submitter.outcomeOf(id)).state, 'completed', 'the outcome')
    },
    'cut',
  ],
  [
    'cut-work',
    'tells of the work that came while it was cut off',
    async (stage) => {
      const [submitter, worker] = await stage.pair()
      worker.engine.watch(['lane'])
      await cut(stage, worker.engine)
      await submitter.submit()
      await stage.sleep(QUIET_MS)
      await stage.faults.mend?.(worker.engine)
      await stage.until(() => worker.work.includes('lane'), 'the worker is told of the work', LOOK_MS)
    },
    'cut',
  ],
  [
    'cut-close',
    'closes while it is cut off',
    async (stage) => {
      const peer = await stage.peer()
      await cut(stage, peer.engine)
      const waiting = peer.engine.add([peer.command()])
      await settled(stage, waiting, peer.engine.close())
      await refuses(() => waiting, 'ENGINE_UNAVAILABLE', 'a call that waited')
    },
    'cut',
  ],
]

function cut(stage: EngineStage, engine: Engine): void | Promise<void> {
  stage.mayFault = true
  return present(stage.faults.cut, 'cut')(engine)
}

/** Lets time pass until calls are answered, however. */
async function settled(stage: EngineStage, ...calls: readonly Promise<unknown>[]): Promise<void> {
  let isOver = false
  void Promise.allSettled(calls).then(() => {
    isOver = true
  })
  await stage.until(() => isOver, 'the calls are answered', OFFLINE_MS)
}

export const outcomeCases: readonly EngineCase[] = [...messages, ...recoveries]
