/** Promises of a storage about what it keeps: settled commands, letters, and texts of every kind as they were. */
import {
  bury,
  cold,
  holds,
  type StorageCase,
  type StorageStage,
  same,
  settle,
  submit,
  unbury,
  update,
} from './describe-storage-stage.js'

/** Batches after which what is to be forgotten is forgotten: a storage may take its time. */
const LONG = 300

const retention: readonly StorageCase[] = [
  [
    'keeps as many settled commands as it is told, those that have settled last',
    async (stage) => {
      stage.retention = { count: 5, ageMs: 1e12 }
      const { nextSeq: seq } = stage.attach()
      const numbers = Array.from({ length: LONG }, (_, n) => seq + n)
      await stage.write(...numbers.map((n) => submit({ seq: n, id: `own ${n - seq}` })))
      for (const n of [...numbers].reverse()) await stage.write(settle(n, { endedAt: stage.now }))
      same(
        [0, 1, 2, 3, 4].map((n) => stage.storage.find(`own ${n}`)?.state),
        new Array(5).fill('completed'),
        'the newest',
      )
      const oldest = [1, 50, 99].map((n) => stage.storage.find(`own ${LONG - n}`)?.seq)
      same(oldest, [undefined, undefined, undefined], 'the oldest')
      await stage.reopen()
      same(stage.listed().filter((n) => n < seq + 5).length, 5, 'the newest after it was opened again')
    },
  ],
  [
    'keeps settled commands as long as it is told',
    async (stage) => {
      stage.retention = { count: 1e6, ageMs: 10_000 }
      const { nextSeq: seq } = stage.attach()
      await stage.write(submit({ seq }), submit({ seq: seq + 1 }), cold({ seq: seq + 2 }), submit({ seq: seq + 3 }))
      await stage.write(settle(seq, { endedAt: stage.now }), settle(seq + 1, { endedAt: stage.now }))
      stage.now += 9000
      await stage.settleOthers(LONG, seq + 10)
      same([stage.find(seq).state, stage.find(seq + 1).state], ['completed', 'completed'], 'before their time')
      stage.now += 2000
      await stage.settleOthers(LONG, seq + 10 + LONG)
      same([stage.storage.find(seq), stage.storage.find(seq + 1)], [undefined, undefined], 'after their time')
      same(stage.listed().length, 2 * LONG + 2, 'all others')
      stage.now += 1e9
      await stage.settleOthers(1, seq + 10 + 2 * LONG)
      same([stage.find(seq + 2).state, stage.find(seq + 3).state], ['pending', 'pending'], 'what has not settled')
    },
  ],
  [
    'keeps a command whose dedupe id keeps others out, whatever the rest says, and loads it',
    async (stage) => {
      stage.retention = { count: 0, ageMs: 0 }
      const { nextSeq: seq } = stage.attach()
      const until = stage.now + 10_000
      const { command } = submit({ seq, id: 'own', options: '{"dedupe":{"id":"d"}}' })
      await stage.write(submit(command), settle(seq, { endedAt: stage.now, keepUntil: until, result: '"r"' }))
      stage.now += 5000
      await stage.settleOthers(LONG, seq + 1)
      await stage.crash()
      same(stage.loaded(), [seq], 'load')
      const { state, result, options, endedAt } = stage.find('own')
      same(
        [state, result, options, endedAt],
        ['completed', '"r"', command.options, until - 10_000],
        'what is known of it',
      )
      stage.now = until + 1
      await stage.settleOthers(LONG, seq + 1 + LONG)
      same(stage.storage.find('own'), undefined, 'after its time')
      await stage.reopen()
      same(stage.loaded(), [], 'load after its time')
    },
  ],
  [
    'keeps less, or more, when another queue says so',
    async (stage) => {
      stage.retention = { count: 1e6, ageMs: 1e12 }
      const { nextSeq: seq } = stage.attach()
      await stage.settleOthers(50, seq)
      stage.retention = { count: 3, ageMs: 1e12 }
      await stage.reopen()
      await stage.settleOthers(LONG, seq + 50)
      same(stage.listed().filter((n) => n < seq + 50).length, 0, 'those of the first queue')
      same(stage.listed().filter((n) => n >= seq + 47 + LONG).length, 3, 'the newest')
    },
  ],
  [
    'gives the id of a forgotten command to another one',
    async (stage) => {
      stage.retention = { count: 0, ageMs: 0 }
      const { nextSeq: seq } = stage.attach()
      await stage.write(submit({ seq, id: 'own' }), settle(seq, { endedAt: stage.now }))
      stage.now += 1
      await stage.settleOthers(LONG, seq + 1)
      await stage.write(submit({ seq: seq + 1000, id: 'own' }))
      await stage.settleOthers(3, seq + 1001)
      await stage.reopen()
      same([stage.find('own').seq, stage.loaded()], [seq + 1000, [seq + 1000]], 'the command with that id')
    },
  ],
]

const deadLetters: readonly StorageCase[] = [
  [
    'gives letters in the order of their burial',
    async (stage) => {
      const { nextSeq: seq } = stage.attach()
      const order = [5, 1, 9, 3]
      await stage.write(bury(seq + 5), bury(seq + 1))
      await stage.write(bury(seq + 9, '{"of":"nine"}', 12.5))
      await stage.write(bury(seq + 3))
      const buried = (): number[] => stage.letters().map((letter) => letter.seq - seq)
      same(buried(), order, 'at once')
      await stage.reopen()
      same(buried(), order, 'after it was opened again')
      same(stage.letters()[2], { seq: seq + 9, failedAt: 12.5, letter: '{"of":"nine"}' }, 'a letter')
    },
  ],
  [
    'has no letter that was taken out, and takes none out that is not there',
    async (stage) => {
      const { nextSeq: seq } = stage.attach()
      await stage.write(bury(seq), bury(seq + 1), bury(seq + 2))
      await stage.write(unbury(seq + 1), unbury(seq + 8))
      await stage.write(bury(seq + 3), unbury(seq))
      await stage.crash()
      same(
        stage.letters().map((letter) => letter.seq - seq),
        [2, 3],
        'the letters',
      )
    },
  ],
  [
    'keeps a letter when its command is forgotten',
    async (stage) => {
      stage.retention = { count: 0, ageMs: 0 }
      const { nextSeq: seq } = stage.attach()
      await stage.write(submit({ seq }), settle(seq, { state: 'failed', endedAt: stage.now }), bury(seq))
      stage.now += 1e9
      await stage.settleOthers(LONG, seq + 1)
      await stage.reopen()
      same([stage.storage.find(seq), stage.letters().length], [undefined, 1], 'the command, and its letter')
    },
  ],
]

/** Names that something between a queue and a disk might change, cut, or take for one another. */
const NAMES = [
  'plain',
  'PLAIN',
  ' plain',
  'plain ',
  'a\0b',
  'a\0',
  'a',
  '\ud800',
  '\ud801',
  '\udc00',
  '\ufffd',
  'a\udfff\ud83d',
  'é',
  'e\u0301',
  '\u{1f469}\u200d\u{1f680}',
  '\u202eright\u2028left',
  "'; DROP TABLE commands; --",
  '%_"\\',
  '__proto__',
  'constructor',
  '1e3',
  '1000',
  'null',
  'undefined',
  'n'.repeat(10_000),
]

const texts: readonly StorageCase[] = [
  [
    'keeps names as they are and tells them apart, whatever characters they are made of',
    async (stage) => {
      const { nextSeq: seq } = stage.attach()
      await stage.write(
        ...NAMES.map((name, n) => cold({ seq: seq + n, id: name, laneId: name, commandType: name, key: name })),
      )
      const check = (when: string): void => {
        for (const [n, name] of NAMES.entries()) {
          const { id, laneId, commandType, key, seq: found } = stage.find(name)
          const isAsItWas = found === seq + n && [id, laneId, commandType, key].every((text) => text === name)
          holds(isAsItWas, `${when}: ${JSON.stringify(name.slice(0, 40))} was not found as it was written`)
          same(
            pagesOf(stage, name),
            [[seq + n], [seq + n]],
            `${when}: the pages of ${JSON.stringify(name.slice(0, 40))}`,
          )
        }
        same(stage.storage.coldCounts().length, NAMES.length, `${when}: lanes with cold commands`)
      }
      check('at once')
      await stage.reopen('other-')
      check('after it was opened again')
    },
  ],
  [
    'keeps JSON texts as they are, also of a megabyte',
    async (stage) => {
      const { nextSeq: seq } = stage.attach()
      const values = [
        '',
        0,
        null,
        'a\0b',
        '\u{1f680}\u2028',
        '\ud800',
        { __proto__: 1, 'a"b': ['\\'] },
        'x'.repeat(1_000_000),
      ]
      for (const [n, value] of values.entries()) {
        const text = JSON.stringify(value)
        const progress = { state: 'pending', attempt: 0, dueAt: undefined, checkpoint: text, details: text } as const
        const { command } = submit({ seq: seq + 2 * n, payload: text, options: text, ...progress })
        await stage.write(submit(command), submit({ seq: seq + 2 * n + 1 }), bury(seq + n, text))
        await stage.write(
          update(seq + 2 * n, progress),
          settle(seq + 2 * n + 1, { result: text, error: text, details: text }),
        )
        same(stage.find(command.seq), command, `command ${n}`)
      }
      await stage.crash()
      for (const [n, value] of values.entries()) {
        const { payload, options, checkpoint, details } = stage.find(seq + 2 * n)
        const settled = stage.find(seq + 2 * n + 1)
        const kept = [payload, options, checkpoint, details, settled.result, settled.error, settled.details]
        const letter = stage.letters()[n]?.letter
        holds(
          [...kept, letter].every((text) => text === JSON.stringify(value)),
          `text ${n} has changed`,
        )
      }
    },
  ],
]

/** Retention, letters, texts. */
export const keepCases: readonly StorageCase[] = [...retention, ...deadLetters, ...texts]

/** Numbers of the cold commands of a lane: of all keys, and of the key of the same name. */
const pagesOf = (stage: StorageStage, name: string): number[][] =>
  [null, name].map((key) =>
    stage.storage.page({ laneId: name, key, lifo: false, after: undefined, limit: 9 }).map(({ seq }) => seq),
  )
