/** Promises of a storage about reads: cold commands in the order in which they start, and everything by number and id. */
import type { ColdPage } from '../core/index.js'
import {
  cold,
  cool,
  holds,
  type StorageCase,
  type StorageStage,
  same,
  settle,
  submit,
  update,
} from './describe-storage-stage.js'

type Spot = { readonly priority: number; readonly seq: number }

/** The pages from the first to the last, each after the last command of the one before. */
function pages(stage: StorageStage, which: Omit<ColdPage, 'after'>): number[] {
  const seen: number[] = []
  let after: Spot | undefined
  for (let n = 0; n < 1000; n++) {
    const page = stage.storage.page({ ...which, after })
    holds(page.length <= which.limit, `a page of ${page.length} commands, asked for ${which.limit}`)
    if (page.length === 0) return seen
    seen.push(...page.map(({ seq }) => seq))
    after = page[page.length - 1]
  }
  throw new Error('the pages have no end')
}

/** Forty cold commands of two lanes, of four priorities and of three keys, and hot ones between them. */
async function waiting(stage: StorageStage): Promise<(Spot & { laneId: string; key: string | undefined })[]> {
  const { nextSeq } = stage.attach()
  const commands = Array.from({ length: 40 }, (_, n) => ({
    seq: nextSeq + 2 * n,
    laneId: n % 4 === 3 ? 'other' : 'lane',
    priority: [1000, 0, 2_097_150, 1000, 7][n % 5] as number,
    key: [undefined, 'a', 'b'][n % 3],
  }))
  await stage.write(...commands.map((command) => cold(command)))
  await stage.write(...commands.map(({ seq, ...command }) => submit({ ...command, seq: seq + 1 })))
  return commands
}

const counted = (stage: StorageStage): string[] =>
  stage.storage
    .coldCounts()
    .filter(({ count }) => count > 0)
    .map(({ laneId, key, count }) => `${laneId}/${key === undefined ? 'no key' : `key ${key}`}: ${count}`)
    .sort()

const coldOnes: readonly StorageCase[] = [
  [
    'keeps cold commands out of load, and gives them by page, find and list',
    async (stage) => {
      const { nextSeq: seq } = stage.attach()
      const { command } = submit({ seq: seq + 1, id: 'own', key: 'k', payload: '[1]', options: '{}', dueAt: 9.5 })
      await stage.write(submit({ seq }), cold(command))
      await stage.reopen()
      same([stage.loaded(), stage.listed()], [[seq], [seq, seq + 1]], 'load and list')
      const page = { laneId: 'lane', key: null, lifo: false, after: undefined, limit: 9 }
      same([...stage.storage.page(page), stage.find('own')], [command, command], 'page and find')
    },
  ],
  ...[false, true].flatMap((lifo) =>
    [null, undefined, 'a', 'never used'].map(
      (key): StorageCase => [
        `gives cold commands ${lifo ? 'newest' : 'oldest'} first by priority, ${ofKey(key)}`,
        async (stage) => {
          const commands = await waiting(stage)
          const order = (a: Spot, b: Spot): number => a.priority - b.priority || (lifo ? b.seq - a.seq : a.seq - b.seq)
          const expected = commands
            .filter(({ laneId, key: own }) => laneId === 'lane' && (key === null || own === key))
            .sort(order)
            .map(({ seq }) => seq)
          for (const limit of [1, 3, 100]) {
            same(pages(stage, { laneId: 'lane', key, lifo, limit }), expected, `in pages of ${limit}`)
          }
          await stage.reopen()
          same(pages(stage, { laneId: 'lane', key, lifo, limit: 7 }), expected, 'after it was opened again')
        },
      ],
    ),
  ),
  [
    'goes on after a place that holds no cold command any more',
    async (stage) => {
      const { nextSeq: seq } = stage.attach()
      await stage.write(...[1, 2, 3, 4].map((n) => cold({ seq: seq + n, priority: 5 })))
      await stage.write(update(seq + 2), settle(seq + 3))
      const after = (place: number, lifo: boolean): number[] =>
        stage.storage
          .page({ laneId: 'lane', key: null, lifo, after: { priority: 5, seq: seq + place }, limit: 9 })
          .map((command) => command.seq - seq)
      same([after(2, false), after(3, true), after(9, true), after(0, false)], [[4], [1], [4, 1], [1, 4]], 'after them')
      const [worse, better] = [4, 6].map((priority) =>
        stage.storage.page({ laneId: 'lane', key: null, lifo: true, after: { priority, seq }, limit: 9 }),
      )
      same([worse?.length, better?.length], [2, 0], 'after a place of a better and of a worse priority')
    },
  ],
  [
    'counts cold commands by lane and key',
    async (stage) => {
      await waiting(stage)
      const expected = [
        'lane/key a: 10',
        'lane/key b: 10',
        'lane/no key: 10',
        'other/key a: 3',
        'other/key b: 3',
        'other/no key: 4',
      ]
      same(counted(stage), expected, 'at once')
      await stage.reopen()
      same(counted(stage), expected, 'after it was opened again')
      await stage.crash()
      same(counted(stage), expected, 'after a crash')
    },
  ],
  [
    'makes a cold command hot by an update',
    async (stage) => {
      const { nextSeq: seq } = stage.attach()
      await stage.write(cold({ seq, key: 'k' }), cold({ seq: seq + 1, key: 'k' }))
      await stage.write(update(seq, { state: 'active', attempt: 1 }))
      same(counted(stage), ['lane/key k: 1'], 'the count')
      same(pages(stage, { laneId: 'lane', key: 'k', lifo: false, limit: 9 }), [seq + 1], 'the page')
      await stage.write(update(seq, { attempt: 1 }))
      await stage.crash()
      same([stage.loaded(), counted(stage)], [[seq], ['lane/key k: 1']], 'after a crash')
    },
  ],
  [
    'makes a hot command that waits cold, and no other',
    async (stage) => {
      const { nextSeq: seq } = stage.attach()
      const { command } = submit({ seq, id: 'own', key: 'k', state: 'delayed', attempt: 2, dueAt: 7, checkpoint: '1' })
      await stage.write(submit(command), submit({ seq: seq + 1 }), cold({ seq: seq + 2, key: 'k' }))
      await stage.write(settle(seq + 1), cool(seq), cool(seq + 1), cool(seq + 2), cool(seq + 3))
      same(counted(stage), ['lane/key k: 2'], 'the count')
      same(pages(stage, { laneId: 'lane', key: 'k', lifo: false, limit: 1 }), [seq, seq + 2], 'the page')
      await stage.crash()
      same([stage.loaded(), counted(stage)], [[], ['lane/key k: 2']], 'after a crash')
      same([stage.find('own'), stage.find(seq + 1).state], [command, 'completed'], 'what is known of them')
      await stage.write(update(seq))
      same([stage.find('own').state, counted(stage)], ['pending', ['lane/key k: 1']], 'after it was made hot again')
    },
  ],
  [
    'settles a cold command',
    async (stage) => {
      const { nextSeq: seq } = stage.attach()
      await stage.write(cold({ seq, id: 'own' }), cold({ seq: seq + 1 }))
      await stage.write(settle(seq, { state: 'cancelled', attempt: 0, result: undefined, error: '{}' }))
      same([counted(stage), stage.find('own').state], [['lane/no key: 1'], 'cancelled'], 'the count, and the state')
      await stage.write(settle(seq), update(seq))
      await stage.reopen()
      same([counted(stage), stage.loaded(), stage.listed()], [['lane/no key: 1'], [], [seq, seq + 1]], 'the rest')
    },
  ],
]

const lookUps: readonly StorageCase[] = [
  [
    'finds a command by its number and by the id of its submitter, whatever its state',
    async (stage) => {
      const { nextSeq: seq } = stage.attach()
      await stage.write(
        submit({ seq, id: 'hot' }),
        cold({ seq: seq + 1, id: 'cold' }),
        submit({ seq: seq + 2, id: 'done' }),
      )
      await stage.write(settle(seq + 2))
      const ids = ['hot', 'cold', 'done', 'none', 'HOT', '']
      const found = (): unknown[] => ids.map((id) => stage.storage.find(id)?.seq)
      const expected = [seq, seq + 1, seq + 2, undefined, undefined, undefined]
      same(found(), expected, 'at once')
      await stage.crash()
      same(found(), expected, 'after a crash')
      same(
        [0, 1, 2, 3].map((n) => stage.storage.find(seq + n)?.id),
        ['hot', 'cold', 'done', undefined],
        'by number',
      )
    },
  ],
  [
    'tells an id of digits from a number',
    async (stage) => {
      const { nextSeq: seq } = stage.attach()
      await stage.write(
        submit({ seq, id: String(seq + 1) }),
        submit({ seq: seq + 1, id: '007' }),
        submit({ seq: seq + 2, id: '7' }),
      )
      same([stage.find(seq + 1).id, stage.find(String(seq + 1)).seq], ['007', seq], 'a number, and the same digits')
      same([stage.find('7').seq, stage.storage.find('7.0')], [seq + 2, undefined], 'seven')
    },
  ],
  [
    'lists by lane, state, number and limit, in the order of numbers',
    async (stage) => {
      const { nextSeq: seq } = stage.attach()
      const numbers = Array.from({ length: 30 }, (_, n) => n)
      const laneOf = (n: number): string => (n % 2 === 0 ? 'even' : 'odd')
      await stage.write(...numbers.map((n) => submit({ seq: seq + n, laneId: laneOf(n) }, n % 3 === 1)))
      const active = numbers.filter((n) => n % 3 === 2)
      const settled = numbers.filter((n) => n % 3 === 0).reverse()
      await stage.write(...active.map((n) => update(seq + n, { state: 'active', attempt: 1 })))
      await stage.write(...settled.map((n) => settle(seq + n)))
      const list = (query: {
        laneId?: string
        state?: 'active' | 'pending' | 'completed'
        from?: number
        limit?: number
      }) =>
        stage.storage
          .list({
            laneId: query.laneId,
            state: query.state,
            fromSeq: seq + (query.from ?? 0),
            limit: query.limit ?? 99,
          })
          .map((command) => command.seq - seq)
      same(list({}), numbers, 'all')
      same(list({ from: 7, limit: 4 }), [7, 8, 9, 10], 'four from the seventh')
      same(list({ laneId: 'odd', limit: 4 }), [1, 3, 5, 7], 'four of a lane')
      same(
        list({ state: 'active', from: 3 }),
        active.filter((n) => n >= 3),
        'those that run',
      )
      same(list({ laneId: 'even', state: 'completed', from: 6, limit: 3 }), [6, 12, 18], 'three completed of a lane')
      same(list({ laneId: 'odd', state: 'pending', limit: 2 }), [1, 7], 'two cold ones')
      same([list({ laneId: 'none' }), list({ from: 30 })], [[], []], 'nothing')
    },
  ],
]

/** Cold commands and look-ups. */
export const readCases: readonly StorageCase[] = [...coldOnes, ...lookUps]

function ofKey(key: string | undefined | null): string {
  if (key === null) return 'those of all keys'
  return key === undefined ? 'those without a key' : `those of key ${key}`
}
