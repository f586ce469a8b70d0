/** Turns: one at a time, and what a message does that arrives while one runs. */
import type { InputPolicy, Turn, TurnOptions } from '@a3s-lab/lane/session'
import { expect, test } from 'vitest'
import { napping, sorted } from '../../support/bodies.js'
import { type SessionSetup, sessionSetup } from '../../support/session.js'
import { errorOf, gate } from '../../support/setup.js'

/** A turn that calls some tools one after another, each taking 10 ms, and notes its own begin and end. */
function chat(t: SessionSetup, message: string, options: TurnOptions & { tools?: number; deaf?: boolean } = {}) {
  const { tools = 3, deaf = false, ...turn } = options
  return t.session.runTurn(
    message,
    async ({ signal, message: text, number, isRolledBack }) => {
      t.notes.push(`begin ${text}`)
      for (let n = 0; n < tools; n++) {
        await t.session.runToolCalls([{ id: `${n}`, name: 'bash', args: { ms: 10, label: `${text} ${n}`, deaf } }], {
          signal,
        })
        signal.throwIfAborted()
      }
      t.notes.push(`end ${text}`)
      return [text, number, isRolledBack]
    },
    turn,
  )
}

const begun = (t: SessionSetup): string[] => t.notes.filter((note) => note.startsWith('begin'))

test('a turn gives what its body gives, and is numbered', async () => {
  await using t = sessionSetup()
  expect(
    await t.session.runTurn('a', async ({ number, message, isRolledBack }) => [number, message, isRolledBack]),
  ).toEqual([1, 'a', false])
  expect(await t.session.runTurn('b', async (turn) => [turn.number, turn.signal.aborted, turn.takeSteered()])).toEqual([
    2,
    false,
    [],
  ])
})

test('a turn rejects with what its body rejects with, and the next one runs', async () => {
  await using t = sessionSetup()
  const failed = errorOf(t.session.runTurn('a', () => Promise.reject(new Error('as it is'))))
  const thrown = errorOf(
    t.session.runTurn('b', () => {
      throw new Error('at once')
    }),
  )
  const next = t.session.runTurn('c', async () => 'fine')
  expect([(await failed).message, (await thrown).message, await next]).toEqual(['as it is', 'at once', 'fine'])
})

test('enqueue: messages wait for their turn, in their order', async () => {
  await using t = sessionSetup()
  const turns = ['a', 'b', 'c'].map((message) => chat(t, message, { tools: 1 }))
  await t.clock.advance(30)
  expect(await t.clock.expectSettled(Promise.all(turns))).toEqual([
    ['a', 1, false],
    ['b', 2, false],
    ['c', 3, false],
  ])
  expect(t.notes).toEqual(['a', 'b', 'c'].flatMap((m) => [`begin ${m}`, `+${m} 0`, `-${m} 0`, `end ${m}`]))
})

test('reject: the message is refused while a turn runs, and taken when none does', async () => {
  await using t = sessionSetup()
  const first = chat(t, 'a', { tools: 1, input: 'reject' })
  const { code, message, retryable } = await errorOf(chat(t, 'b', { input: 'reject' }))
  expect([code, retryable, message.includes('busy')]).toEqual(['CONFLICT', true, true])
  await t.clock.advance(10)
  await first
  const third = chat(t, 'c', { tools: 1, input: 'reject' })
  await t.clock.advance(10)
  expect(await third).toEqual(['c', 2, false])
})

test.each(['interrupt', 'rollback'] as const)(
  '%s: the turn that runs ends, and the message goes next',
  async (input) => {
    await using t = sessionSetup()
    const first = errorOf(chat(t, 'a'))
    const waiting = chat(t, 'waiting', { tools: 1 })
    await t.clock.advance(15)
    const second = chat(t, 'b', { input, tools: 1 })
    const { code, message } = await t.clock.expectSettled(first)
    expect([code, message]).toEqual([
      'COMMAND_CANCELLED',
      `Command cancelled: ${input === 'rollback' ? 'undone' : 'interrupted'} by a newer message`,
    ])
    await t.clock.advance(20)
    expect(await t.clock.expectSettled(Promise.all([second, waiting]))).toEqual([
      ['b', 2, false],
      ['waiting', 3, false],
    ])
    expect(t.notes).toEqual([
      ...['begin a', '+a 0', '-a 0', '+a 1', '!a 1'],
      ...['begin b', '+b 0', '-b 0', 'end b'],
      ...['begin waiting', '+waiting 0', '-waiting 0', 'end waiting'],
    ])
  },
)

test.each([
  ['interrupt', false],
  ['rollback', true],
] as const)('%s: the turn that ends is told whether it is to be undone', async (input, isUndone) => {
  await using t = sessionSetup()
  const seen: boolean[] = []
  const first = errorOf(
    t.session.runTurn('a', async (turn) => {
      try {
        await napping(t, 1000, turn.signal)
      } finally {
        seen.push(turn.isRolledBack)
      }
    }),
  )
  await t.clock.settle()
  await t.session.runTurn('b', async () => undefined, { input })
  expect([(await first)['code'], seen]).toEqual(['COMMAND_CANCELLED', [isUndone]])
})

test('nothing of an interrupted turn runs when the next one begins, deaf tools included', async () => {
  await using t = sessionSetup()
  const first = errorOf(
    t.session.runTurn('a', ({ signal }) =>
      t.session.runToolCalls([{ id: '1', name: 'bash', args: { ms: 500, deaf: true } }], { signal }),
    ),
  )
  await t.clock.advance(100)
  let running: number | undefined
  const second = t.session.runTurn(
    'b',
    async () => {
      running = t.running['execute']
      return t.clock.now()
    },
    { input: 'interrupt' },
  )
  expect((await t.clock.expectSettled(first))['code'], 'its caller is answered at once').toBe('COMMAND_CANCELLED')
  await t.clock.advance(400)
  expect([await t.clock.expectSettled(second), running]).toEqual([500, 0])
})

test('nothing of an interrupted turn runs when the next one begins, nested calls included', async () => {
  await using t = sessionSetup()
  t.session.handle('batch', (_args, { runToolCalls }) =>
    runToolCalls([{ id: 'n', name: 'bash', args: { ms: 500, deaf: true, label: 'nested' } }]),
  )
  const first = errorOf(
    t.session.runTurn('a', ({ signal }) => t.session.runToolCalls([{ id: '1', name: 'batch' }], { signal })),
  )
  await t.clock.advance(100)
  const second = t.session.runTurn('b', async () => [t.clock.now(), [...t.notes]], { input: 'interrupt' })
  await first
  await t.clock.advance(400)
  expect(await t.clock.expectSettled(second)).toEqual([500, ['+nested', '-nested']])
})

test('a body that goes on after its end holds the next turn back until it is through', async () => {
  await using t = sessionSetup()
  const through = gate()
  const first = errorOf(
    t.session.runTurn('a', async () => {
      await through.promise
      t.notes.push('a is through')
    }),
  )
  await t.clock.settle()
  const second = t.session.runTurn('b', async () => void t.notes.push('b'), { input: 'interrupt' })
  expect((await first)['code']).toBe('COMMAND_CANCELLED')
  await t.clock.settle()
  expect(t.notes).toEqual([])
  through.open()
  await second
  expect(t.notes).toEqual(['a is through', 'b'])
})

test('the next turn waits at most 30 s for a tool that never ends', async () => {
  await using t = sessionSetup()
  const first = errorOf(
    t.session.runTurn('a', ({ signal }) =>
      t.session.runToolCalls([{ id: '1', name: 'bash', args: { ms: 1e9, deaf: true } }], { signal }),
    ),
  )
  await t.clock.settle()
  const second = t.session.runTurn('b', async () => t.clock.now(), { input: 'interrupt' })
  await first
  await t.clock.advance(30_000)
  expect(await t.clock.expectSettled(second)).toBe(30_000)
})

test('several interruptions: the newest message goes next, the others keep their order after it', async () => {
  await using t = sessionSetup()
  const first = errorOf(chat(t, 'a'))
  await t.clock.advance(5)
  const [b, c] = [chat(t, 'b', { input: 'interrupt', tools: 1 }), chat(t, 'c', { input: 'interrupt', tools: 1 })]
  await t.clock.advance(100)
  await Promise.all([first, c, b])
  expect(begun(t)).toEqual(['begin a', 'begin c', 'begin b'])
})

test('steer: the turn that runs takes the message at its next step, and its answer is the answer', async () => {
  await using t = sessionSetup()
  const taken: string[][] = []
  const first = t.session.runTurn('a', async (turn) => {
    await t.sleep(10)
    taken.push(turn.takeSteered())
    await t.sleep(10)
    taken.push(turn.takeSteered())
    return 'one answer'
  })
  await t.clock.advance(5)
  const steered = ['b', 'c'].map((message) => t.session.runTurn(message, async () => 'never run', { input: 'steer' }))
  await t.clock.advance(15)
  expect(await t.clock.expectSettled(Promise.all([first, ...steered]))).toEqual([
    'one answer',
    'one answer',
    'one answer',
  ])
  expect(taken).toEqual([['b', 'c'], []])
})

test('steer: without a turn it is a turn of its own', async () => {
  await using t = sessionSetup()
  expect(await t.session.runTurn('a', async ({ number }) => number, { input: 'steer' })).toBe(1)
})

test('steer: what a turn has not taken becomes turns of their own, before those that wait', async () => {
  await using t = sessionSetup()
  const turns = [
    chat(t, 'a', { tools: 1 }),
    chat(t, 'waiting', { tools: 1 }),
    chat(t, 'b', { input: 'steer', tools: 1 }),
    chat(t, 'c', { input: 'steer', tools: 1 }),
  ]
  await t.clock.advance(40)
  await t.clock.expectSettled(Promise.all(turns))
  expect(begun(t)).toEqual(['begin a', 'begin b', 'begin c', 'begin waiting'])
})

test('steer: a turn that fails, or is interrupted, leaves what it has not taken as turns of their own', async () => {
  await using t = sessionSetup()
  const first = errorOf(chat(t, 'a'))
  await t.clock.advance(5)
  const steered = chat(t, 'b', { input: 'steer', tools: 1 })
  const second = chat(t, 'c', { input: 'interrupt', tools: 1 })
  await t.clock.advance(50)
  await t.clock.expectSettled(Promise.all([first, second, steered]))
  expect(sorted(begun(t))).toEqual(['begin a', 'begin b', 'begin c'])
})

test('a signal takes a waiting message back, and ends a running turn', async () => {
  await using t = sessionSetup()
  const [running, waiting, steering] = [new AbortController(), new AbortController(), new AbortController()]
  const first = errorOf(chat(t, 'a', { signal: running.signal }))
  const second = errorOf(chat(t, 'b', { signal: waiting.signal }))
  const third = errorOf(chat(t, 'c', { signal: steering.signal, input: 'steer' }))
  const last = chat(t, 'd', { tools: 1 })
  await t.clock.advance(5)
  waiting.abort('not needed')
  steering.abort('nor this')
  expect([(await second).message, (await third).message]).toEqual([
    'Command cancelled: not needed',
    'Command cancelled: nor this',
  ])
  running.abort('enough')
  expect((await t.clock.expectSettled(first)).message).toBe('Command cancelled: enough')
  await t.clock.advance(10)
  await t.clock.expectSettled(last)
  expect(begun(t)).toEqual(['begin a', 'begin d'])
})

test('a signal that has aborted before begins nothing', async () => {
  await using t = sessionSetup()
  const turn = chat(t, 'a', { signal: AbortSignal.abort(new Error('too late')) })
  expect((await errorOf(turn)).message).toBe('too late')
  expect(t.notes).toEqual([])
})

test('a signal that aborts after the turn changes nothing', async () => {
  await using t = sessionSetup()
  const signal = new AbortController()
  expect(await t.session.runTurn('a', async () => 1, { signal: signal.signal })).toBe(1)
  signal.abort()
  expect(await t.session.runTurn('b', async ({ signal: { aborted } }) => aborted)).toBe(false)
})

test('close lets the running turn finish, and gives the waiting ones back', async () => {
  await using t = sessionSetup()
  const first = t.session.runTurn('a', async () => t.sleep(50).then(() => 'done'))
  const waiting = errorOf(chat(t, 'b'))
  const steered = errorOf(chat(t, 'c', { input: 'steer' }))
  await t.clock.settle()
  const closed = t.session.close()
  expect([(await waiting)['code'], (await steered)['code']]).toEqual(['SHUTTING_DOWN', 'SHUTTING_DOWN'])
  await t.clock.advance(50)
  await t.clock.expectSettled(closed)
  expect([await first, (await errorOf(chat(t, 'd')))['code']]).toEqual(['done', 'SHUTTING_DOWN'])
})

test('close ends a turn that does not finish in time', async () => {
  await using t = sessionSetup()
  const turn = errorOf(t.session.runTurn('a', ({ signal }) => napping(t, 1e6, signal)))
  await t.clock.settle()
  const closed = t.session.close({ timeoutMs: 100 })
  await t.clock.advance(100)
  await t.clock.expectSettled(closed)
  expect((await turn)['code']).toBe('SHUTTING_DOWN')
})

test('close does not wait longer than an ended turn takes to stop', async () => {
  await using t = sessionSetup()
  const turn = errorOf(t.session.runTurn('a', () => t.sleep(70)))
  await t.clock.settle()
  await t.session.cancel({ scope: 'turn' })
  await turn
  const closed = t.session.close()
  await t.clock.advance(70)
  await t.clock.expectSettled(closed)
  expect(t.session.isShuttingDown).toBe(true)
})

test.each([
  ['', {}],
  [5, {}],
  ['a', { input: 'queue' as InputPolicy }],
] as const)('the message %j with %j is refused', async (message, options) => {
  await using t = sessionSetup()
  expect((await errorOf(t.session.runTurn(message as string, async (_turn: Turn) => 1, options)))['code']).toBe(
    'CONFIG_INVALID',
  )
})

test('turns work without a queue too', async () => {
  await using t = sessionSetup({ queueConfig: false })
  const first = errorOf(chat(t, 'a'))
  await t.clock.advance(15)
  const second = chat(t, 'b', { input: 'interrupt', tools: 1 })
  expect((await t.clock.expectSettled(first))['code']).toBe('COMMAND_CANCELLED')
  await t.clock.advance(10)
  expect(await t.clock.expectSettled(second)).toEqual(['b', 2, false])
})
