/** Promises of an engine about commands that are the same: by an id that the submitter chose, or by a dedupe id. */
import type { EngineCommand, EngineDedupe } from '../core/index.js'
import type { EnginePeer } from './describe-engine-peer.js'
import { type EngineCase, LOOK_MS, QUIET_MS } from './describe-engine-stage.js'
import { refuses, same } from './describe-storage-stage.js'

const ID = 'an id of its own'

/** The answer to one command. */
async function answerTo(peer: EnginePeer, command: EngineCommand): Promise<unknown> {
  const [answer] = await peer.add(command)
  if (answer?.kind === 'refused') throw answer.error
  return answer
}

const own = (peer: EnginePeer, fields: Partial<EngineCommand> = {}): EngineCommand =>
  peer.command({ id: ID, hasOwnId: true, payload: '{"a":1,"b":[2]}', ...fields })

const duplicateOf = (id: string, laneId = 'lane'): unknown => ({ kind: 'duplicate', id, laneId })

const ids: readonly EngineCase[] = [
  [
    'id-duplicate',
    'takes a command with the id, type and payload of another for that one, also by another process',
    async (stage) => {
      const [first, second] = await stage.pair()
      same(await answerTo(first, own(first)), { kind: 'accepted' }, 'the first answer')
      same(await answerTo(first, own(first)), duplicateOf(ID), 'the answer while it waits')
      const claim = await second.claim()
      same(await answerTo(second, own(second)), duplicateOf(ID), 'the answer while it runs')
      same(await answerTo(second, own(second, { laneId: 'other' })), duplicateOf(ID), 'the answer in another lane')
      await second.settle(claim, { result: '"one"' })
      same((await first.outcomeOf(ID)).result, '"one"', 'the outcome at the first')
      same((await second.outcomeOf(ID, LOOK_MS)).result, '"one"', 'the outcome at the second')
      await second.finds('empty')
      await second.finds('empty', 'other')
    },
  ],
  [
    'id-settled',
    'answers with the outcome when the command with the id has settled',
    async (stage) => {
      const [first, second] = await stage.pair()
      await first.submit(own(first))
      const error = '{"name":"Error","message":"no"}'
      await first.settle(await first.claim(), { state: 'failed', result: undefined, error })
      const outcome = { id: ID, laneId: 'lane', state: 'failed', result: undefined, error }
      same(await answerTo(second, own(second)), { ...(duplicateOf(ID) as object), outcome }, 'the answer')
      await second.finds('empty')
    },
  ],
  [
    'id-same-payload',
    'takes payloads for the same that say the same in another order',
    async (stage) => {
      const peer = await stage.peer()
      await peer.submit(own(peer))
      same(await answerTo(peer, own(peer, { payload: '{"b":[2],"a":1}' })), duplicateOf(ID), 'the answer')
    },
  ],
  [
    'id-conflict',
    'refuses a command with the id of another that has another type or payload with CONFLICT',
    async (stage) => {
      const [first, second] = await stage.pair()
      await first.submit(own(first))
      const others = [{ payload: '{"a":2,"b":[2]}' }, { payload: undefined }, { payload: 'null' }, { commandType: 'b' }]
      for (const other of others) {
        const what = JSON.stringify(other)
        await refuses(() => answerTo(second, own(second, other)), 'CONFLICT', what)
        await refuses(
          () => answerTo(second, own(second, { ...other, laneId: 'other' })),
          'CONFLICT',
          `${what} elsewhere`,
        )
      }
      await first.settle(await first.claim())
      await refuses(() => answerTo(first, own(first, { payload: '1' })), 'CONFLICT', 'when it has settled')
    },
  ],
  [
    'id-race',
    'accepts one of many commands with an id that come at once, in whatever lane',
    async (stage) => {
      const [first, second] = await stage.pair()
      const answers = await Promise.all(
        Array.from({ length: 20 }, (_, n) => {
          const peer = n % 2 === 0 ? first : second
          return peer.add(own(peer, { laneId: n % 3 === 0 ? 'other' : 'lane' }))
        }),
      )
      const kinds = answers.flat().map(({ kind }) => kind)
      same(kinds.filter((kind) => kind === 'accepted').length, 1, 'how many are accepted')
      same(kinds.filter((kind) => kind === 'duplicate').length, 19, 'how many are duplicates')
      same([...(await first.runAll()), ...(await first.runAll('other'))], [ID], 'what runs')
    },
  ],
]

const dedupe = (mode: EngineDedupe['mode'], until?: number): Partial<EngineCommand> => ({
  dedupe: { id: 'same', mode, until },
})

const drops: readonly EngineCase[] = [
  [
    'dedupe-drop',
    'drops a duplicate for as long as the owner of its dedupe id has not settled',
    async (stage) => {
      const [first, second] = await stage.pair()
      const id = await first.submit(dedupe('drop'))
      same(await answerTo(second, second.command(dedupe('drop'))), duplicateOf(id), 'while it waits')
      const claim = await second.claim()
      const elsewhere = second.command({ ...dedupe('drop'), laneId: 'other', payload: '"other"' })
      same(await answerTo(second, elsewhere), duplicateOf(id), 'while it runs, from another lane')
      await second.delay(claim, 60_000)
      same(await answerTo(first, first.command(dedupe('drop'))), duplicateOf(id), 'while it is delayed')
      same(await second.engine.cancel(id, 'lane', 'enough'), 'cancelled', 'its cancellation')
      same((await second.outcomeOf(id, LOOK_MS)).state, 'cancelled', 'the outcome for the duplicate')
      await second.submit(dedupe('drop'))
      same((await first.runAll()).length, 1, 'what runs')
    },
  ],
  [
    'dedupe-window',
    'drops a duplicate until the end of the window, also when the owner has settled',
    async (stage) => {
      const [first, second] = await stage.pair()
      const until = Math.ceil(stage.now()) + 400
      const id = await first.submit(dedupe('drop', until))
      await second.settle(await second.claim(), { result: '"one"' })
      const outcome = { id, laneId: 'lane', state: 'completed', result: '"one"', error: undefined }
      const again = await answerTo(second, second.command(dedupe('drop', until)))
      same(again, { ...(duplicateOf(id) as object), outcome }, 'within the window')
      await stage.sleep(400 + QUIET_MS)
      await second.submit(dedupe('drop'))
      same((await first.runAll()).length, 1, 'what runs after the window')
    },
  ],
  [
    'dedupe-ids',
    'keeps commands with different dedupe ids apart',
    async (stage) => {
      const peer = await stage.peer()
      const expected = [await peer.submit(dedupe('drop')), await peer.submit()]
      expected.push(await peer.submit({ dedupe: { id: 'other', mode: 'drop', until: undefined } }))
      same(await peer.runAll(), expected, 'what runs')
    },
  ],
]

const replacements: readonly EngineCase[] = [
  [
    'dedupe-replace',
    'lets a duplicate take the place of an owner that has not started, which is cancelled',
    async (stage) => {
      const [first, second] = await stage.pair()
      const old = await first.submit(dedupe('replace'))
      const fresh = await second.submit({ ...dedupe('replace'), payload: '"fresh"' })
      same((await first.outcomeOf(old)).state, 'cancelled', 'the outcome of the old one')
      const delayed = await first.submit({ ...dedupe('replace'), dueAt: Math.ceil(stage.now()) + 60_000 })
      same((await second.outcomeOf(fresh)).state, 'cancelled', 'the outcome of the second')
      const last = await second.submit({ ...dedupe('replace'), laneId: 'other' })
      same((await first.outcomeOf(delayed)).state, 'cancelled', 'the outcome of the delayed one')
      same([await first.runAll(), await first.runAll('other')], [[], [last]], 'what runs')
    },
  ],
  [
    'dedupe-replace-started',
    'drops a duplicate that would replace an owner that has started',
    async (stage) => {
      const [first, second] = await stage.pair()
      const id = await first.submit(dedupe('replace'))
      const claim = await second.claim()
      same(await answerTo(second, second.command(dedupe('replace'))), duplicateOf(id), 'while it runs')
      await second.delay(claim, 60_000, { ...claim.progress, attempt: 1 })
      same(await answerTo(second, second.command(dedupe('replace'))), duplicateOf(id), 'before its retry')
      await second.finds('empty')
    },
  ],
  [
    'dedupe-last',
    'keeps the newest duplicate until the owner that has started has settled',
    async (stage) => {
      const [first, second] = await stage.pair()
      const owner = await first.submit(dedupe('keep-last'))
      const claim = await second.claim()
      const earlier = await first.submit(dedupe('keep-last'))
      const newest = await second.submit({ ...dedupe('keep-last'), laneId: 'other' })
      same((await first.outcomeOf(earlier)).state, 'cancelled', 'the outcome of the duplicate in between')
      await first.finds('empty')
      await first.finds('empty', 'other')
      same((await first.engine.find(newest))?.state, 'delayed', 'the state of the newest')
      await second.settle(claim)
      same((await first.outcomeOf(owner)).state, 'completed', 'the outcome of the owner')
      same(await first.runAll('other'), [newest], 'what follows')
      same((await second.outcomeOf(newest)).state, 'completed', 'the outcome of the newest')
      same(await first.runAll(), [], 'what else runs')
    },
  ],
  [
    'dedupe-last-waiting',
    'lets the newest duplicate take the place of an owner that has not started',
    async (stage) => {
      const peer = await stage.peer()
      const old = await peer.submit(dedupe('keep-last'))
      const fresh = await peer.submit(dedupe('keep-last'))
      same((await peer.outcomeOf(old)).state, 'cancelled', 'the outcome of the old one')
      same(await peer.runAll(), [fresh], 'what runs')
    },
  ],
  [
    'dedupe-last-cancelled',
    'lets the newest duplicate run when the owner is cancelled, and forgets one that is cancelled itself',
    async (stage) => {
      const peer = await stage.peer()
      await peer.submit(dedupe('keep-last'))
      const claim = await peer.claim()
      const gone = await peer.submit(dedupe('keep-last'))
      same(await peer.engine.cancel(gone, 'lane', 'no need'), 'cancelled', 'the cancellation of the duplicate')
      const kept = await peer.submit(dedupe('keep-last'))
      await peer.settle(claim, { state: 'cancelled' })
      same(await peer.runAll(), [kept], 'what runs')
      await peer.submit(dedupe('keep-last'))
      same((await peer.runAll()).length, 1, 'what runs when all of them have settled')
    },
  ],
]

export const identityCases: readonly EngineCase[] = [...ids, ...drops, ...replacements]
