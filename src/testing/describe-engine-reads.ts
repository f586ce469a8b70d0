/** Promises of an engine about what it shows: commands, counts, dead letters. */
import type { CommandState, EngineLaneCounts, EngineQuery, EngineRecord } from '../core/index.js'
import { type EnginePeer, progressOf } from './describe-engine-peer.js'
import { type EngineCase, lane } from './describe-engine-stage.js'
import { holds, present, same } from './describe-storage-stage.js'

/** Instants of engine and test are those of one clock, rounded. */
const NEAR_MS = 1000

/** Ids of all pages of a list. */
async function pages(peer: EnginePeer, query: Partial<EngineQuery>): Promise<string[][]> {
  const found: string[][] = []
  let cursor: string | undefined
  do {
    const page = await peer.engine.list({ laneIds: ['lane', 'other'], state: undefined, limit: 4, ...query, cursor })
    holds(page.items.length <= (query.limit ?? 4), `a page has ${page.items.length} commands`)
    found.push(page.items.map(({ command }) => command.id))
    cursor = page.nextCursor
    holds(found.length < 100, 'the list never ends')
  } while (cursor !== undefined)
  return found
}

const ordered = (ids: readonly string[]): string[] => [...ids].sort((a, b) => (a < b ? -1 : 1))

async function countsOf(peer: EnginePeer, laneId: string): Promise<EngineLaneCounts> {
  const all = await peer.engine.counts()
  return present(
    all.find((one) => one.laneId === laneId),
    `the counts of ${laneId}`,
  )
}

/** One command in each state, by state. */
async function everyState(peer: EnginePeer, dueAt: number): Promise<Map<CommandState, string>> {
  const ids = new Map<CommandState, string>()
  for (const state of ['completed', 'failed', 'timed_out', 'cancelled'] as const) {
    ids.set(state, await peer.submit())
    await peer.settle(await peer.claim(), { state, letter: state === 'failed' ? '{"l":1}' : undefined })
  }
  ids.set('active', await peer.submit())
  await peer.claim()
  ids.set('pending', await peer.submit())
  ids.set('delayed', await peer.submit({ dueAt }))
  return ids
}

const records: readonly EngineCase[] = [
  [
    'find-states',
    'shows a command in every state',
    async (stage) => {
      const [peer, other] = await stage.pair()
      const before = stage.now()
      const dueAt = Math.ceil(before) + 60_000
      for (const [state, id] of await everyState(peer, dueAt)) {
        const record: EngineRecord = present(await other.engine.find(id), `the ${state} command`)
        same([record.command.id, record.state], [id, state], 'the command')
        same(record.outcome?.state, record.endedAt === undefined ? undefined : state, 'its outcome')
        const hasStarted = state !== 'pending' && state !== 'delayed'
        same(record.startedAt !== undefined, hasStarted, `whether the ${state} command has a start`)
        same(record.endedAt !== undefined, hasStarted && state !== 'active', `whether the ${state} command has an end`)
        for (const at of [record.startedAt, record.endedAt])
          holds(at === undefined || Math.abs(at - before) < NEAR_MS, `${state}: ${at} is not near ${before}`)
        const dueAs = state === 'delayed' ? dueAt : undefined
        holds(Math.abs((record.dueAt ?? 0) - (dueAs ?? 0)) <= 2, `${state}: it is due at ${record.dueAt}, not ${dueAs}`)
      }
      same(await other.engine.find('unknown'), undefined, 'an unknown command')
    },
  ],
  [
    'find-whole',
    'shows a command as it was submitted, with its progress',
    async (stage) => {
      const [submitter, worker] = await stage.pair()
      const command = submitter.command({
        options: '{"metadata":{"a":[]}}',
        deadlineAt: Math.floor(stage.now()) + 60_000,
        cost: '3',
        payload: undefined,
      })
      await submitter.add(command)
      same((await worker.engine.find(command.id))?.command, command, 'the command while it waits')
      const progress = progressOf(1, '"c"', '{"retries":1}')
      await worker.delay(await worker.claim(), 60_000, progress)
      const record = present(await submitter.engine.find(command.id), 'the command')
      same([record.command, record.progress, record.state], [command, progress, 'delayed'], 'the command in back-off')
    },
  ],
  [
    'list-pages',
    'lists each command of the lanes once, page by page',
    async (stage) => {
      const [first, second] = await stage.pair()
      const ids: string[] = []
      for (let n = 0; n < 11; n++)
        ids.push(await first.submit({ laneId: n % 3 === 0 ? 'other' : 'lane', priority: 9 - n }))
      await second.settle(await second.claim())
      await second.claim('other')
      same(ordered((await pages(second, {})).flat()), ordered(ids), 'the commands of both lanes')
      const other = ids.filter((_, n) => n % 3 === 0)
      same(ordered((await pages(second, { laneIds: ['other'] })).flat()), ordered(other), 'the commands of one')
      same((await pages(second, { limit: 100 })).length, 1, 'pages when one holds all')
      same((await pages(second, { laneIds: [] })).flat(), [], 'the commands of no lane')
    },
  ],
  [
    'list-states',
    'lists the commands in one state',
    async (stage) => {
      const peer = await stage.peer()
      const ids = await everyState(peer, Math.ceil(stage.now()) + 60_000)
      for (const [state, id] of ids) same((await pages(peer, { state })).flat(), [id], `the ${state} commands`)
      same((await pages(peer, { state: 'pending', laneIds: ['other'] })).flat(), [], 'those of another lane')
      const many = Array.from({ length: 9 }, () => peer.command({ laneId: 'other' }))
      await peer.add(...many)
      const found = (await pages(peer, { state: 'pending', laneIds: ['other'] })).flat()
      same(ordered(found), ordered(many.map(({ id }) => id)), 'the pending commands of several pages')
    },
  ],
]

const counts: readonly EngineCase[] = [
  [
    'counts-all',
    'counts the commands of each lane over all workers',
    async (stage) => {
      const [first, second] = await stage.pair([lane('lane'), lane('other')])
      await everyState(first, Math.ceil(stage.now()) + 60_000)
      await second.submit()
      await second.engine.pause('other')
      const empty = { pending: 0, active: 0, delayed: 0, letters: 0, paused: false, deadlineAt: undefined }
      const expected = { ...empty, laneId: 'lane', pending: 2, active: 1, delayed: 1, letters: 1 }
      same(await countsOf(second, 'lane'), expected, 'the counts of the lane')
      same(await countsOf(first, 'other'), { ...empty, laneId: 'other', paused: true }, 'the counts of the other')
    },
  ],
  [
    'counts-deadline',
    'says the earliest deadline among the waiting commands of a lane',
    async (stage) => {
      const peer = await stage.peer()
      const at = Math.floor(stage.now()) + 100_000
      await peer.submit({ deadlineAt: at + 3 })
      await peer.submit({ deadlineAt: at + 1, priority: 1 })
      await peer.submit({ deadlineAt: at + 2, priority: 2000 })
      await peer.submit()
      same((await countsOf(peer, 'lane')).deadlineAt, at + 1, 'of all')
      const claim = await peer.claim()
      same((await countsOf(peer, 'lane')).deadlineAt, at + 2, 'without the one that runs')
      const { deadlineMs } = await countsOf(peer, 'lane')
      const isRight = deadlineMs === undefined || Math.abs(deadlineMs - 100_002) < NEAR_MS
      holds(isRight, `from its submit to its deadline it has ${deadlineMs} ms, if that is said`)
      await peer.release(claim)
      same((await countsOf(peer, 'lane')).deadlineAt, at + 1, 'when it waits again')
      await peer.runAll()
      same((await countsOf(peer, 'lane')).deadlineAt, undefined, 'when none waits')
    },
  ],
]

const letters: readonly EngineCase[] = [
  [
    'letters-kept',
    'keeps dead letters, oldest first, until they are taken away',
    async (stage) => {
      const [first, second] = await stage.pair()
      const ids: string[] = []
      for (let n = 0; n < 5; n++) {
        ids.push(await first.submit({ laneId: n === 1 ? 'other' : 'lane' }))
        const claim = await first.claim(n === 1 ? 'other' : 'lane')
        await first.settle(claim, { state: 'failed', error: '{}', letter: `{"n":${n},"ä":[]}` })
        await stage.sleep(3)
      }
      await first.submit()
      await first.runAll()
      const expected = ids.map((id, n) => ({ id, laneId: n === 1 ? 'other' : 'lane', letter: `{"n":${n},"ä":[]}` }))
      same(await second.engine.letters(10), expected, 'the letters')
      same(await second.engine.letters(2), expected.slice(0, 2), 'the oldest two')
      const [a, b] = [ids[1] as string, ids[3] as string]
      same(ordered(await second.engine.removeLetters([a, 'unknown', b])), ordered([a, b]), 'those that were there')
      same(await second.engine.removeLetters([a]), [], 'those that were there the second time')
      same(await first.engine.letters(10), [expected[0], expected[2], expected[4]], 'the letters that are left')
      same((await countsOf(first, 'lane')).letters, 3, 'how many the lane counts')
      const [won, alsoWon] = await Promise.all(
        [first, second].map(({ engine }) => engine.removeLetters(ids.slice(0, 1))),
      )
      same([...(won ?? []), ...(alsoWon ?? [])], ids.slice(0, 1), 'who takes one away that two want')
    },
  ],
]

export const readCases: readonly EngineCase[] = [...records, ...counts, ...letters]
