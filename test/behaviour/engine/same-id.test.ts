import { type CommandRun, defineCommand } from '@a3s-lab/lane'
import { describe, expect, test } from 'vitest'
import { cluster } from '../../support/cluster.js'
import { errorOf } from '../../support/setup.js'

const x = (payload: unknown) => ({ type: 'x', payload })

describe('an id of its own:', () => {
  test('the same command twice in one process is one run, and the second submit is told', async () => {
    await using c = cluster()
    const [a] = await c.pair({ handlers: { x: (payload) => c.sleep(10).then(() => payload) } })
    const first = a.queue.submit('work', x({ n: 1 }), { id: 'mine' })
    expect(a.queue.submit('work', x({ n: 1 }), { id: 'mine' })).toBe(first)
    await first.accepted
    expect(a.queue.submit('work', x({ n: 1 }), { id: 'mine' })).toBe(first)
    expect(await c.outcome(first)).toEqual({ n: 1 })
    expect(a.keys('mine').filter((key) => key === 'deduplicated')).toHaveLength(2)
    expect(a.keys('mine').filter((key) => key === 'submitted')).toHaveLength(1)
  })

  test('the same command from two processes runs once, and both have its result', async () => {
    await using c = cluster()
    const [a] = await c.pair({
      handlers: {
        x: async (payload) => {
          c.notes.push('ran')
          await c.sleep(10)
          return payload
        },
      },
    })
    const b = await c.join({ role: 'coordinator' })
    const runs = [a.queue.submit('work', x(7), { id: 'mine' }), b.queue.submit('work', x(7), { id: 'mine' })]
    await c.clock.advance(10)
    expect([await Promise.all(runs), c.notes]).toEqual([[7, 7], ['ran']])
    expect([a.keys('mine'), b.keys('mine')].map((keys) => keys[0])).toEqual(['submitted', 'deduplicated'])
  })

  test('submitted to another lane, it is the command of the lane where it is', async () => {
    await using c = cluster({ lanes: { work: {}, other: {} } })
    const a = await c.join({ role: 'coordinator' })
    const b = await c.join({ role: 'coordinator' })
    const first = a.queue.submit('work', x(7), { id: 'mine' })
    await c.clock.expectSettled(first.accepted)
    const second = b.queue.submit('other', x(7), { id: 'mine' })
    await c.clock.expectSettled(second.accepted)
    expect([second.laneId, b.recorder.events.map(({ payload }) => payload)]).toEqual([
      'work',
      [{ lane_id: 'work', command_id: 'mine' }],
    ])
    expect(second.cancel('enough')).toBe(true)
    for (const run of [first, second])
      expect(await errorOf(c.outcome(run))).toMatchObject({ code: 'COMMAND_CANCELLED' })
  })

  test('a command that has settled gives its outcome again, without a run', async () => {
    await using c = cluster()
    const [a] = await c.pair({
      handlers: {
        x: () => c.notes.push('ran'),
        bad: () => {
          throw new Error('bad')
        },
      },
    })
    const b = await c.join({ role: 'coordinator' })
    await c.outcome(a.queue.submit('work', x(7), { id: 'good' }))
    await errorOf(c.outcome(a.queue.submit('work', { type: 'bad' }, { id: 'bad' })))
    for (const { queue } of [a, b]) {
      expect(await c.clock.expectSettled(queue.submit('work', x(7), { id: 'good' }))).toBe(1)
      expect(await errorOf(c.clock.expectSettled(queue.submit('work', { type: 'bad' }, { id: 'bad' })))).toMatchObject({
        code: 'COMMAND_FAILED',
        message: 'bad',
      })
    }
    expect(c.notes).toEqual(['ran'])
  })

  test('another payload or type under the same id is a CONFLICT, in this process and from another', async () => {
    await using c = cluster()
    const a = await c.join({ role: 'coordinator' })
    const b = await c.join({ role: 'coordinator' })
    const first = a.queue.submit('work', x(1), { id: 'mine' })
    await first.accepted
    for (const { queue } of [a, b]) {
      for (const other of [x(2), { type: 'y', payload: 1 }, x(undefined)]) {
        const run = queue.submit('work', other, { id: 'mine' })
        expect(await errorOf(run)).toMatchObject({ code: 'CONFLICT' })
      }
    }
    expect([first.state, await c.counts()]).toMatchObject(['pending', { work: { pending: 1 } }])
  })

  test('payloads are the same when they say the same, whatever the order of their fields', async () => {
    await using c = cluster()
    const a = await c.join({ role: 'coordinator' })
    const b = await c.join({ role: 'coordinator' })
    await a.queue.submit('work', x({ p: 1, q: [2] }), { id: 'mine' }).accepted
    await b.queue.submit('work', x({ q: [2], p: 1 }), { id: 'mine' }).accepted
    expect((await c.counts())['work']?.pending).toBe(1)
  })

  test.for(['at once', 'later'])('what was submitted counts, not what a schema has made of it %s', async (when) => {
    await using c = cluster()
    const [a] = await c.pair({ handlers: { trimmed: (payload) => c.sleep(10).then(() => payload) } })
    const validate = (value: unknown) => ({ value: String(value).trim() })
    const trimmed = defineCommand({
      type: 'trimmed',
      payload: {
        '~standard': {
          version: 1,
          vendor: 'test',
          validate: when === 'at once' ? validate : (value: unknown) => Promise.resolve(validate(value)),
        },
      },
    })
    const first = a.queue.submit('work', trimmed('  text '), { id: 'mine' })
    const second = a.queue.submit('work', trimmed('  text '), { id: 'mine' })
    await first.accepted
    const third = a.queue.submit('work', trimmed('  text '), { id: 'mine' })
    expect([second, third].map((run) => run === first)).toEqual([true, true])
    expect(await c.outcome(first)).toBe('text')
  })

  test('a submit that was refused leaves its id free', async () => {
    await using c = cluster()
    const [a] = await c.pair({ handlers: { x: (payload) => payload } })
    a.engine.cut()
    const refused = a.queue.submit('work', x(1), { id: 'mine' })
    await c.clock.advance(10_000)
    expect(await errorOf(refused)).toMatchObject({ code: 'ENGINE_UNAVAILABLE' })
    a.engine.mend()
    expect(await c.outcome(a.queue.submit('work', x(2), { id: 'mine' }))).toBe(2)
  })

  test('a duplicate cannot be cancelled away from its owner unnoticed: both runs are cancelled', async () => {
    await using c = cluster()
    const a = await c.join({ role: 'coordinator' })
    const b = await c.join({ role: 'coordinator' })
    const [first, second] = [a.queue.submit('work', x(1), { id: 'mine' }), b.queue.submit('work', x(1), { id: 'mine' })]
    await Promise.all([first.accepted, second.accepted])
    second.cancel('enough')
    for (const run of [first, second]) {
      expect(await errorOf(c.clock.expectSettled(run))).toMatchObject({ code: 'COMMAND_CANCELLED', reason: 'enough' })
    }
  })
})

describe('a dedupe id:', () => {
  test('drop: a duplicate from any process has the outcome of the owner', async () => {
    await using c = cluster()
    const [a, b] = await c.pair({ handlers: { x: (name) => c.sleep(10).then(() => name) } })
    const options = { dedupe: { id: 'd' } }
    const owner = a.queue.submit('work', x('owner'), options)
    const own = a.queue.submit('work', x('same process'), options)
    await owner.accepted
    const other = b.queue.submit('work', x('other process'), options)
    await Promise.all([own.accepted, other.accepted])
    expect([own.id, other.id]).toEqual([owner.id, owner.id])
    await c.clock.advance(10)
    expect(await Promise.all([owner, own, other])).toEqual(['owner', 'owner', 'owner'])
    expect([owner, own, other].map(({ state }) => state)).toEqual(['completed', 'completed', 'completed'])
    expect(await c.outcome(b.queue.submit('work', x('next'), options))).toBe('next')
  })

  test('drop: for as long as its window lasts, also when the owner has settled', async () => {
    await using c = cluster()
    const [a] = await c.pair({ handlers: { x: (name) => name } })
    const options = { dedupe: { id: 'd', ttlMs: 1000 } }
    expect(await c.outcome(a.queue.submit('work', x('first'), options))).toBe('first')
    expect(await c.outcome(a.queue.submit('work', x('second'), options))).toBe('first')
    await c.clock.advance(1000)
    expect(await c.outcome(a.queue.submit('work', x('third'), options))).toBe('third')
  })

  test('replace: the newest takes the place of one that waits', async () => {
    await using c = cluster()
    const a = await c.join({ role: 'coordinator' })
    const b = await c.join({ role: 'coordinator' })
    const options = { dedupe: { id: 'd', mode: 'replace' } } as const
    const first = a.queue.submit('work', x('first'), options)
    await first.accepted
    const second = b.queue.submit('work', x('second'), options)
    expect(await errorOf(c.clock.expectSettled(first))).toMatchObject({ code: 'COMMAND_CANCELLED' })
    await c.join({ role: 'worker', handlers: { x: (name) => name } })
    expect(await c.outcome(second)).toBe('second')
  })

  test('keep-last: the newest runs after the one that runs, and those between never', async () => {
    await using c = cluster()
    const [a] = await c.pair({
      handlers: {
        x: async (name) => {
          c.notes.push(String(name))
          await c.sleep(100)
        },
      },
    })
    const options = { dedupe: { id: 'd', mode: 'keep-last' } } as const
    const runs: CommandRun[] = []
    for (const name of ['first', 'second', 'third']) {
      runs.push(a.queue.submit('work', x(name), options))
      await c.clock.advance(10)
    }
    expect(await errorOf(c.clock.expectSettled(runs[1] as CommandRun))).toMatchObject({ code: 'COMMAND_CANCELLED' })
    await c.outcome(runs[2] as CommandRun)
    expect(c.notes).toEqual(['first', 'third'])
  })
})

test('a lane that is full refuses with QUEUE_FULL, whoever submits, and takes more when there is room', async () => {
  await using c = cluster({ lanes: { work: { capacity: 2 } } })
  const a = await c.join({ role: 'coordinator' })
  const b = await c.join({ role: 'coordinator' })
  await a.queue.submit('work', x(1)).accepted
  await b.queue.submit('work', x(2), { delayMs: 1000 }).accepted
  for (const { queue } of [a, b]) {
    for (const options of [{}, { delayMs: 10 }, { id: 'mine' }]) {
      const run = queue.submit('work', x(3), options)
      expect(await errorOf(run)).toMatchObject({ code: 'QUEUE_FULL', laneId: 'work', capacity: 2 })
      expect(await errorOf(run.accepted)).toMatchObject({ code: 'QUEUE_FULL' })
    }
  }
  expect(a.keys().filter((key) => key === 'rejected')).toHaveLength(3)
  await c.join({ role: 'worker', handlers: { x: (payload) => payload } })
  await c.clock.advance(1000)
  expect(await c.outcome(a.queue.submit('work', x(4)))).toBe(4)
})
