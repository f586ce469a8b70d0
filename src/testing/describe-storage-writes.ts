/** Promises of a storage about writes: that a queue begins and ends well, and finds everything as it was written. */
import {
  bury,
  cold,
  holds,
  present,
  refuses,
  type StorageCase,
  type StorageStage,
  same,
  settle,
  submit,
  unbury,
  update,
  withdraw,
} from './describe-storage-stage.js'

const beginnings: readonly StorageCase[] = [
  [
    'gives a new storage the prefix of its queue, and numbers from a multiple of 1,296',
    (stage) => {
      const { idPrefix, nextSeq } = stage.attach('mine-')
      same(idPrefix, 'mine-', 'the prefix')
      holds(Number.isInteger(nextSeq) && nextSeq >= 0 && nextSeq % 1296 === 0, `the first number is ${nextSeq}`)
      same([stage.loaded(), stage.listed(), stage.letters(), stage.storage.coldCounts()], [[], [], [], []], 'a new one')
    },
  ],
  [
    'keeps its prefix for ever',
    async (stage) => {
      stage.attach('mine-')
      await stage.write(submit({ seq: stage.head.nextSeq }))
      await stage.reopen('other-')
      same(stage.head.idPrefix, 'mine-', 'the prefix after it was opened again')
      await stage.crash('third-')
      same(stage.head.idPrefix, 'mine-', 'the prefix after a crash')
    },
  ],
  [
    'never gives a number twice, also when nothing is left of its command',
    async (stage) => {
      stage.retention = { count: 0, ageMs: 0 }
      stage.attach()
      for (const jump of [0, 1, 1295, 1296, 40_000, 2 ** 32, 2 ** 45]) {
        const seq = stage.head.nextSeq + jump
        await stage.write(submit({ seq }), settle(seq))
        await stage.settleOthers(3, seq + 1)
        await (jump % 2 === 0 ? stage.reopen() : stage.crash())
        const { nextSeq } = stage.head
        holds(nextSeq > seq + 3, `${nextSeq} is not above ${seq + 3}, which was given out`)
        holds(nextSeq % 1296 === 0, `${nextSeq} is no multiple of 1,296`)
      }
    },
  ],
  [
    'refuses a second queue with CONFLICT, and serves the first as before',
    async (stage) => {
      stage.attach()
      await refuses(() => stage.storage.attach(stage.use('other-')), 'CONFLICT', 'a second attach')
      await stage.write(submit({ seq: stage.head.nextSeq }))
      same(stage.listed(), [stage.head.nextSeq], 'what the first queue has written')
    },
  ],
  [
    'is as it was when a crash follows an attach',
    async (stage) => {
      const { nextSeq } = stage.attach('mine-')
      await stage.write(submit({ seq: nextSeq }), cold({ seq: nextSeq + 1 }), bury(nextSeq))
      for (let n = 0; n < 3; n++) await stage.crash()
      same([stage.loaded(), stage.listed()], [[nextSeq], [nextSeq, nextSeq + 1]], 'the commands')
      same([stage.storage.coldCounts().length, stage.letters().length], [1, 1], 'cold counts and letters')
    },
  ],
]

const changes: readonly StorageCase[] = [
  [
    'gives a command back as it was submitted',
    async (stage) => {
      const { nextSeq: seq } = stage.attach()
      const full = submit({
        seq,
        id: 'own',
        laneId: 'a lane',
        commandType: 'a.type',
        payload: '12',
        priority: 2_097_150,
        key: 'tenant',
        createdAt: 1_767_225_600_000.25,
        options: '{"retry":{"maxRetries":3}}',
        state: 'delayed',
        attempt: 2,
        dueAt: 1_767_225_600_001.5,
        checkpoint: '[1]',
        details: '{"log":[]}',
      })
      const bare = submit({ seq: seq + 1, payload: undefined, priority: 0 })
      await stage.write(full, bare)
      const expected = [full.command, bare.command]
      same(stage.storage.list({ laneId: undefined, state: undefined, fromSeq: 0, limit: 9 }), expected, 'list')
      await stage.reopen()
      same([...stage.storage.load()], expected, 'load after it was opened again')
      same([stage.find('own'), stage.find(seq + 1)], expected, 'find')
    },
  ],
  [
    'replaces all that an update says, also by nothing',
    async (stage) => {
      const { nextSeq: seq } = stage.attach()
      const { command } = submit({ seq, id: 'own', key: 'k', options: '{}' })
      await stage.write(submit(command))
      const first = { state: 'delayed', attempt: 3, dueAt: 5, checkpoint: '"c"', details: '{}' } as const
      await stage.write(update(seq, first))
      same(stage.find(seq), { ...command, ...first }, 'after the first update')
      await stage.write(update(seq, { state: 'active', attempt: 4 }))
      const second = { state: 'active', attempt: 4, dueAt: undefined, checkpoint: undefined, details: undefined }
      same(stage.find('own'), { ...command, ...second }, 'after the second update')
      await stage.crash()
      same([...stage.storage.load()], [{ ...command, ...second }], 'load after a crash')
    },
  ],
  [
    'keeps the outcome of a command beside what was submitted',
    async (stage) => {
      const { nextSeq: seq } = stage.attach()
      const states = ['completed', 'failed', 'timed_out', 'cancelled'] as const
      for (const [n, state] of states.entries()) {
        const outcome = { state, attempt: n, endedAt: stage.now + n + 0.5, details: `[${n}]` }
        const said = state === 'completed' ? { result: '{"r":1}' } : { result: undefined, error: '{"name":"E"}' }
        await stage.write(submit({ seq: seq + n, id: `own ${n}`, payload: `${n}`, key: 'k' }))
        await stage.write(settle(seq + n, { ...outcome, ...said }))
        const expected = { ...submit({ seq: seq + n, id: `own ${n}`, payload: `${n}`, key: 'k' }).command, ...outcome }
        same(outcomeOf(stage, `own ${n}`), { ...expected, ...said }, `what is kept of a ${state} command`)
      }
      await stage.reopen()
      same(stage.loaded(), [], 'load gives no settled command that nobody waits for')
      same(outcomeOf(stage, seq)['result'], '{"r":1}', 'the result after it was opened again')
    },
  ],
  [
    'ignores an update of a command that has settled or was never there',
    async (stage) => {
      const { nextSeq: seq } = stage.attach()
      await stage.write(submit({ seq, payload: '1' }), settle(seq, { result: '"once"' }))
      await stage.write(update(seq, { state: 'active', attempt: 7, checkpoint: '9' }), update(seq + 1, { attempt: 7 }))
      same([stage.find(seq).state, stage.find(seq).attempt], ['completed', 1], 'the settled command')
      same(stage.storage.find(seq + 1), undefined, 'the command that was never there')
      await stage.crash()
      same([stage.loaded(), stage.listed()], [[], [seq]], 'after a crash')
    },
  ],
  [
    'ignores a second outcome, and that of a command that was never there',
    async (stage) => {
      const { nextSeq: seq } = stage.attach()
      await stage.write(submit({ seq }), settle(seq, { result: '"first"' }))
      const later = { state: 'failed', attempt: 5, endedAt: 9, result: undefined, error: '{}' } as const
      await stage.write(settle(seq, later), settle(seq + 1, later))
      await stage.reopen()
      const found = stage.find(seq)
      same(
        [found.state, found.result, found.error, found.attempt],
        ['completed', '"first"', undefined, 1],
        'the outcome',
      )
      same([stage.listed(), stage.storage.find(seq + 1)], [[seq], undefined], 'all commands')
    },
  ],
  [
    'has nothing of a command that was withdrawn, and withdraws none that is not there',
    async (stage) => {
      const { nextSeq: seq } = stage.attach()
      await stage.write(submit({ seq }), submit({ seq: seq + 1, id: 'own' }), cold({ seq: seq + 2, id: 'other' }))
      await stage.write(withdraw(seq + 1), withdraw(seq + 2), withdraw(seq + 3))
      same([stage.listed(), stage.storage.coldCounts().length], [[seq], 0], 'what is there')
      same(
        ['own', 'other'].map((id) => stage.storage.find(id)?.seq),
        [undefined, undefined],
        'their ids',
      )
      await stage.write(withdraw(seq + 4), submit({ seq: seq + 4, id: 'own' }), update(seq + 1), settle(seq + 2))
      await stage.crash()
      same(
        [stage.loaded(), stage.listed()],
        [
          [seq, seq + 4],
          [seq, seq + 4],
        ],
        'after a crash',
      )
      same(stage.find('own').seq, seq + 4, 'the command that has the id now')
    },
  ],
  [
    'writes the changes of a batch in their order',
    async (stage) => {
      const { nextSeq: seq } = stage.attach()
      await stage.write(
        submit({ seq, id: 'own' }),
        update(seq, { state: 'active', attempt: 1, checkpoint: '1' }),
        submit({ seq: seq + 1 }),
        settle(seq, { state: 'failed', result: undefined, error: '{}', details: '{"d":1}' }),
        bury(seq),
        cold({ seq: seq + 2 }),
        update(seq + 2, { attempt: 1 }),
        bury(seq + 1),
        unbury(seq + 1),
      )
      same([stage.find('own').state, stage.find('own').details], ['failed', '{"d":1}'], 'the command that settled')
      same(stage.storage.coldCounts(), [], 'a cold command that the same batch made hot')
      await stage.crash()
      same(
        [stage.loaded(), stage.listed()],
        [
          [seq + 1, seq + 2],
          [seq, seq + 1, seq + 2],
        ],
        'the commands',
      )
      same(
        stage.letters().map((letter) => letter.seq),
        [seq],
        'the letters',
      )
    },
  ],
  [
    'gives unsettled commands in the order of their numbers, whenever they were written',
    async (stage) => {
      const { nextSeq: seq } = stage.attach()
      const numbers = Array.from({ length: 200 }, (_, n) => seq + n)
      await stage.write(...numbers.filter((n) => n % 3 === 1).map((n) => submit({ seq: n, priority: n % 7 })))
      await stage.write(...numbers.filter((n) => n % 3 !== 1).map((n) => submit({ seq: n, priority: n % 5 })))
      await stage.write(...numbers.filter((n) => n % 4 === 0).map((n) => update(n, { attempt: 1 })))
      await stage.reopen()
      same(stage.loaded(), numbers, 'load')
    },
  ],
]

const endings: readonly StorageCase[] = [
  [
    'writes batches that are handed over together in their order',
    async (stage) => {
      const { nextSeq: seq } = stage.attach()
      const batches = [[submit({ seq })], [update(seq, { checkpoint: '1' })], [update(seq, { checkpoint: '2' })]]
      const together = batches.slice(0, stage.storage.writesAtOnce ?? 1)
      await Promise.all(together.map(async (batch) => stage.storage.write(batch)))
      for (const batch of batches.slice(together.length)) await stage.storage.write(batch)
      same(stage.find(seq).checkpoint, '2', 'what was written last')
    },
  ],
  [
    'writes nothing of a batch that fails, and writes again afterwards',
    async (stage) => {
      const { nextSeq: seq } = stage.attach()
      await stage.write(submit({ seq }), cold({ seq: seq + 1 }), bury(seq + 9))
      if (!stage.failNextWrite()) return
      const batch = [submit({ seq: seq + 2 }), settle(seq), update(seq + 1), bury(seq), unbury(seq + 9)]
      const outcome = await attempt(() => stage.storage.write(batch))
      same(outcome, 'refused', 'the write that was to fail')
      same([stage.find(seq).state, stage.listed()], ['pending', [seq, seq + 1]], 'the commands')
      same([stage.storage.coldCounts().length, stage.letters().length], [1, 1], 'cold counts and letters')
      await stage.write(...batch)
      same([stage.find(seq).state, stage.listed()], ['completed', [seq, seq + 1, seq + 2]], 'the commands, at last')
      same([stage.storage.coldCounts().length, stage.letters().map((one) => one.seq)], [0, [seq]], 'the rest, at last')
    },
  ],
  [
    'ends as often as it is told to, and still has what was written',
    async (stage) => {
      const { nextSeq: seq } = stage.attach()
      await stage.write(submit({ seq }))
      await Promise.all([stage.storage.close(), stage.storage.close()])
      await stage.storage.close()
      for (let n = 1; n <= 3; n++) {
        await stage.reopen()
        await stage.write(submit({ seq: stage.head.nextSeq }))
        holds(stage.listed().length === n + 1, `after ${n} times: ${stage.listed().length} commands`)
      }
      same(stage.find(seq).seq, seq, 'the first command')
    },
  ],
  [
    'ends after what is under way has been answered',
    async (stage) => {
      const { nextSeq: seq } = stage.attach()
      const answer = attempt(() => stage.storage.write([submit({ seq }), cold({ seq: seq + 1 })]))
      await stage.storage.close()
      same(await answer, 'done', 'the write that was under way')
      await stage.reopen()
      same([stage.loaded(), stage.listed()], [[seq], [seq, seq + 1]], 'the commands')
    },
  ],
  [
    'refuses a write after its end',
    async (stage) => {
      const { nextSeq: seq } = stage.attach()
      await stage.write(submit({ seq }))
      const { storage } = stage
      await storage.close()
      same(await attempt(() => storage.write([submit({ seq: seq + 1 })])), 'refused', 'a write after the end')
      await stage.reopen()
      same(stage.listed(), [seq], 'the commands')
    },
  ],
]

/** Begin, change, end. */
export const writeCases: readonly StorageCase[] = [...beginnings, ...changes, ...endings]

/** What is kept of a settled command; when it was due and what it had saved need not be. */
function outcomeOf(stage: StorageStage, which: number | string): Record<string, unknown> {
  const { checkpoint: _, dueAt: __, ...rest } = present(stage.storage.find(which), `the command ${which}`)
  return rest
}

async function attempt(write: () => void | Promise<void>): Promise<'done' | 'refused'> {
  try {
    await write()
    return 'done'
  } catch {
    return 'refused'
  }
}
