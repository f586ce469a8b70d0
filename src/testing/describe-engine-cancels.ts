/** Promises of an engine about commands that somebody wants cancelled. */
import { isFinal } from '../core/index.js'
import { type EngineCase, QUIET_MS, SOON_MS } from './describe-engine-stage.js'
import { holds, present, same } from './describe-storage-stage.js'

/** The reason that an error record of a cancelled command gives. */
function reasonOf(error: string | undefined): { code?: unknown; message?: string } {
  return JSON.parse(present(error, 'the error of a cancelled command')) as { code?: unknown; message?: string }
}

const waiting: readonly EngineCase[] = [
  [
    'cancel-waiting',
    'settles a waiting command as cancelled at once, and tells its submitter',
    async (stage) => {
      const [submitter, other] = await stage.pair()
      const id = await submitter.submit()
      const next = await submitter.submit()
      same(await other.engine.cancel(id, 'lane', 'not needed'), 'cancelled', 'the answer')
      const { state, result, error } = await submitter.outcomeOf(id)
      same([state, result], ['cancelled', undefined], 'its outcome')
      const { code, message } = reasonOf(error)
      same(code, 'COMMAND_CANCELLED', 'the code of its error')
      holds(message?.includes('not needed') === true, `the message does not say why: ${message}`)
      same((await other.engine.find(id))?.state, 'cancelled', 'its state')
      same(await other.engine.cancel(id, 'lane', 'again'), 'too_late', 'the second answer')
      same(await other.runAll(), [next], 'what runs')
    },
  ],
  [
    'cancel-delayed',
    'settles a delayed command as cancelled at once, also one in back-off and without its lane',
    async (stage) => {
      const peer = await stage.peer()
      const delayed = await peer.submit({ dueAt: Math.ceil(stage.now()) + 200 })
      const retried = await peer.submit()
      await peer.delay(await peer.claim(), 200)
      same(await peer.engine.cancel(delayed, undefined, 'one'), 'cancelled', 'the answer for a delayed one')
      same(await peer.engine.cancel(retried, 'lane', 'two'), 'cancelled', 'the answer for one in back-off')
      for (const id of [delayed, retried]) same((await peer.outcomeOf(id)).state, 'cancelled', 'the outcome')
      await stage.sleep(200 + QUIET_MS)
      same(await peer.runAll(), [], 'what runs')
    },
  ],
  [
    'cancel-paused',
    'settles a waiting command of a paused lane as cancelled at once',
    async (stage) => {
      const peer = await stage.peer()
      const id = await peer.submit()
      await peer.engine.pause('lane')
      same(await peer.engine.cancel(id, 'lane', ''), 'cancelled', 'the answer')
      same((await peer.outcomeOf(id)).state, 'cancelled', 'the outcome')
    },
  ],
  [
    'cancel-late',
    'comes too late for a command that has settled or that nobody knows',
    async (stage) => {
      const peer = await stage.peer()
      const id = await peer.submit()
      await peer.settle(await peer.claim())
      const outcome = await peer.outcomeOf(id)
      same(await peer.engine.cancel(id, 'lane', 'late'), 'too_late', 'the answer for a settled one')
      same(await peer.engine.cancel(id, undefined, 'late'), 'too_late', 'the answer without its lane')
      same(await peer.engine.cancel('unknown', 'lane', 'late'), 'too_late', 'the answer for an unknown one')
      same(await peer.engine.cancel('unknown', undefined, 'late'), 'too_late', 'the answer for one without a lane')
      same((await peer.engine.find(id))?.outcome, outcome, 'its outcome')
    },
  ],
]

const active: readonly EngineCase[] = [
  [
    'cancel-active',
    'tells the worker of a running command that it is to be cancelled, and lets the worker end it',
    async (stage) => {
      const [submitter, worker] = await stage.pair()
      const id = await submitter.submit()
      const claim = await worker.claim()
      same(await submitter.engine.cancel(id, 'lane', 'stop it'), 'requested', 'the answer')
      const isTold = (): boolean => worker.cancels.some(([of, reason]) => of === id && reason === 'stop it')
      await stage.until(isTold, 'the worker is told')
      const expected = [{ isLost: false, cancelled: { reason: 'stop it' } }]
      same(await worker.engine.renew([claim.lease]), expected, 'the renewal')
      same(submitter.outcomes, [], 'outcomes before the worker has ended it')
      await worker.settle(claim, { state: 'cancelled', result: undefined, error: '{"message":"stopped"}' })
      const { state, error } = await submitter.outcomeOf(id)
      same([state, error], ['cancelled', '{"message":"stopped"}'], 'its outcome')
    },
  ],
  [
    'cancel-ignored',
    'leaves the outcome to the worker, also when that is another',
    async (stage) => {
      const peer = await stage.peer()
      const id = await peer.submit()
      const claim = await peer.claim()
      same(await peer.engine.cancel(id, undefined, 'stop it'), 'requested', 'the answer')
      await peer.settle(claim)
      same((await peer.outcomeOf(id)).state, 'completed', 'its outcome')
      same(await peer.engine.cancel(id, 'lane', 'again'), 'too_late', 'the answer when it has settled')
    },
  ],
  [
    'cancel-unheard',
    'says at the renewal that a command is to be cancelled, when the message was lost',
    async (stage) => {
      const [submitter, worker] = await stage.pair()
      const id = await submitter.submit()
      const claim = await worker.claim()
      await stage.faults.loseMessages?.(worker.engine)
      same(await submitter.engine.cancel(id, 'lane', 'stop it'), 'requested', 'the answer')
      await stage.sleep(QUIET_MS)
      same(worker.cancels, [], 'messages')
      same((await worker.engine.renew([claim.lease]))[0]?.cancelled, { reason: 'stop it' }, 'the renewal')
    },
    'loseMessages',
  ],
  ...(['lost', 'released', 'delayed'] as const).map(
    (how): EngineCase => [
      `cancel-then-${how}`,
      `does not forget that a command is to be cancelled when its lease is ${how}`,
      async (stage) => {
        const [submitter, worker] = await stage.brief()
        const id = await submitter.submit()
        const claim = await worker.claim()
        same(await submitter.engine.cancel(id, 'lane', 'stop it'), 'requested', 'the answer')
        if (how === 'released') await worker.release(claim)
        if (how === 'delayed') await worker.delay(claim, 60_000)
        const isCancelled = async (): Promise<boolean> => {
          const { state } = present(await submitter.engine.find(id), 'the command')
          if (isFinal(state)) return state === 'cancelled'
          const again = await submitter.tryClaim()
          if (again === undefined) return false
          same([again.command.id, again.cancelled], [id, { reason: 'stop it' }], 'what is claimed next')
          await submitter.settle(again, { state: 'cancelled' })
          return true
        }
        await stage.until(isCancelled, 'it is cancelled, or claimed to be', stage.leaseMs + SOON_MS + 1000)
        same((await submitter.outcomeOf(id)).state, 'cancelled', 'its outcome')
      },
    ],
  ),
]

export const cancelCases: readonly EngineCase[] = [...waiting, ...active]
