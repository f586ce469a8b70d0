/** Promises of a storage about the death of its process: whole batches, and attempts that had begun. */
import type { StorageChange, StoredStart } from '../core/index.js'
import {
  cold,
  holds,
  type StorageCase,
  type StorageStage,
  same,
  settle,
  submit,
  update,
} from './describe-storage-stage.js'

const batches: readonly StorageCase[] = [
  [
    'has every batch that was answered',
    async (stage) => {
      const { nextSeq: seq } = stage.attach()
      for (let n = 0; n < 30; n++)
        await stage.write(submit({ seq: seq + n }), ...(n % 3 === 2 ? [settle(seq + n - 1)] : []))
      await stage.crash()
      same(stage.listed().length, 30, 'the commands')
      same(stage.loaded().length, 20, 'those that have not settled')
    },
  ],
  [
    'has a batch whole or not at all when the process dies before the answer',
    async (stage) => {
      stage.attach()
      for (const size of [1, 40, 400]) {
        const seq = stage.head.nextSeq
        const before = stage.listed().length
        handOver(
          stage,
          Array.from({ length: size }, (_, n) => (n % 2 === 0 ? submit : cold)({ seq: seq + n })),
        )
        await stage.crash()
        const more = stage.listed().length - before
        holds(more === 0 || more === size, `${more} of ${size} changes are there`)
        const waiting = stage.storage.coldCounts().reduce((sum, { count }) => sum + count, 0)
        same(waiting + stage.loaded().length, stage.listed().length, 'hot and cold ones together')
      }
    },
  ],
  [
    'has no batch without the one before it',
    async (stage) => {
      const { nextSeq: seq } = stage.attach()
      const count = stage.storage.writesAtOnce ?? 1
      for (let n = 0; n < count; n++) handOver(stage, [submit({ seq: seq + n })])
      await stage.crash()
      const left = stage.listed()
      same(
        left,
        Array.from(left, (_, n) => seq + n),
        'what is left of them',
      )
    },
  ],
]

const attempts: readonly StorageCase[] = [
  [
    'gives a command whose attempt had begun back as active, with the number of that attempt',
    async (stage) => {
      const { nextSeq: seq } = stage.attach()
      const { command } = submit({ seq: seq + 1, id: 'own', attempt: 2, checkpoint: '{"at":1}', details: '{"d":1}' })
      await stage.write(submit({ seq }), submit(command), submit({ seq: seq + 2 }))
      begin(stage, [0, seq, 1], [1, seq + 1, 3])
      await stage.crash()
      same(
        attemptsOf(stage),
        [
          ['active', 1],
          ['active', 3],
          ['pending', 0],
        ],
        'the attempts',
      )
      same(stage.find('own'), { ...command, state: 'active', attempt: 3 }, 'the rest of it')
    },
  ],
  [
    'knows it after every further crash, too, until something newer is written',
    async (stage) => {
      const { nextSeq: seq } = stage.attach()
      await stage.write(submit({ seq }), submit({ seq: seq + 1 }))
      begin(stage, [0, seq, 1], [1, seq + 1, 1])
      for (let n = 0; n < 3; n++) {
        await (n === 1 ? stage.reopen() : stage.crash())
        same(
          attemptsOf(stage),
          [
            ['active', 1],
            ['active', 1],
          ],
          `the attempts, ${n + 1} times later`,
        )
      }
      await stage.write(update(seq, { attempt: 1 }), settle(seq + 1))
      begin(stage, [0, seq, 2])
      await stage.crash()
      same(attemptsOf(stage), [['active', 2]], 'the attempts at last')
      await stage.write(update(seq, { state: 'delayed', attempt: 2 }))
      await stage.crash()
      same(attemptsOf(stage), [['delayed', 2]], 'the attempts after an update')
    },
  ],
  [
    'forgets an attempt of which something newer was written',
    async (stage) => {
      const { nextSeq: seq } = stage.attach()
      await stage.write(...[0, 1, 2, 3].map((n) => submit({ seq: seq + n })))
      begin(stage, [0, seq, 1], [1, seq + 1, 1], [2, seq + 2, 1], [3, seq + 3, 1])
      await stage.write(settle(seq), update(seq + 1, { attempt: 1 }), update(seq + 2, { state: 'delayed', attempt: 2 }))
      await stage.crash()
      same(
        attemptsOf(stage),
        [
          ['pending', 1],
          ['delayed', 2],
          ['active', 1],
        ],
        'the attempts',
      )
      same([stage.find(seq).state, stage.find(seq).attempt], ['completed', 1], 'the command that settled')
    },
  ],
  [
    'has the newest attempt of each place',
    async (stage) => {
      const { nextSeq: seq } = stage.attach()
      await stage.write(...[0, 1, 2].map((n) => submit({ seq: seq + n })))
      begin(stage, [5, seq, 1])
      await stage.write(settle(seq))
      begin(stage, [5, seq + 1, 1])
      await stage.write(update(seq + 1, { attempt: 1 }))
      begin(stage, [5, seq + 1, 2])
      await stage.crash()
      same(
        attemptsOf(stage),
        [
          ['active', 2],
          ['pending', 0],
        ],
        'the attempts',
      )
    },
  ],
  [
    'makes a cold command hot when its attempt had begun',
    async (stage) => {
      const { nextSeq: seq } = stage.attach()
      await stage.write(cold({ seq, key: 'k' }), cold({ seq: seq + 1, key: 'k' }))
      begin(stage, [0, seq, 1])
      await stage.crash()
      same(attemptsOf(stage), [['active', 1]], 'load')
      same(
        stage.storage.coldCounts().map(({ count }) => count),
        [1],
        'the count',
      )
      const page = stage.storage.page({ laneId: 'lane', key: null, lifo: false, after: undefined, limit: 9 })
      same(
        page.map((command) => command.seq),
        [seq + 1],
        'the page',
      )
      await stage.crash()
      same([attemptsOf(stage), stage.listed().length], [[['active', 1]], 2], 'after another crash')
    },
  ],
  [
    'knows nothing of an attempt whose command was never written, and of none in its places',
    async (stage) => {
      const { nextSeq: seq } = stage.attach()
      await stage.write(submit({ seq: seq + 1 }))
      begin(stage, [7, seq + 50, 1], [3, seq, 1])
      await stage.crash()
      same([attemptsOf(stage), stage.listed()], [[['pending', 0]], [seq + 1]], 'what is there')
      await stage.write(submit({ seq: seq + 50 }))
      await stage.crash()
      same(
        attemptsOf(stage),
        [
          ['pending', 0],
          ['pending', 0],
        ],
        'a command that was written after the crash',
      )
    },
  ],
  [
    'knows the attempts of hundreds of places and of large numbers',
    async (stage) => {
      stage.attach()
      const seq = stage.head.nextSeq + 2 ** 40
      const numbers = Array.from({ length: 300 }, (_, n) => n)
      await stage.write(...numbers.map((n) => submit({ seq: seq + n, attempt: n })))
      begin(stage, ...numbers.map((n): Start => [(n * 7) % 300, seq + n, n + 1]))
      await stage.crash()
      same(
        attemptsOf(stage),
        numbers.map((n) => ['active', n + 1]),
        'the attempts',
      )
    },
  ],
]

/** Crashes: batches and attempts. */
export const crashCases: readonly StorageCase[] = [...batches, ...attempts]

type Start = readonly [place: number, seq: number, attempt: number]

function begin(stage: StorageStage, ...starts: readonly Start[]): void {
  stage.storage.begin(starts.map(([place, seq, attempt]): StoredStart => ({ place, seq, attempt })))
}

/** A write that nobody waits for. */
function handOver(stage: StorageStage, batch: readonly StorageChange[]): void {
  const answer = stage.storage.write(batch)
  if (answer !== undefined) answer.catch(() => undefined)
}

const attemptsOf = (stage: StorageStage): (readonly [string, number])[] =>
  [...stage.storage.load()].map(({ state, attempt }) => [state, attempt] as const)
