/** A session with a storage: what a crash leaves, and what the next session with the same id does with it. */
import { MemoryStorage, VirtualClock } from '@a3s-lab/lane/testing'
import { expect, test } from 'vitest'
import { sorted } from '../../support/bodies.js'
import { type SessionSetup, type SessionSetupOptions, sessionSetup } from '../../support/session.js'
import { errorOf } from '../../support/setup.js'

/** A session on a storage; `crash` is its death, and gives the next one. */
class Process {
  readonly t: SessionSetup
  readonly #storage: MemoryStorage
  readonly #options: SessionSetupOptions

  constructor(options: SessionSetupOptions = {}, storage = new MemoryStorage(), clock = new VirtualClock()) {
    this.#storage = storage
    this.#options = options
    this.t = sessionSetup({ sessionId: 'me', ...options, storage, clock })
  }

  crash(options: SessionSetupOptions = this.#options): SessionSetup {
    this.t.die()
    // a clock of its own: the timers of the dead are not those of the living
    const clock = new VirtualClock({ startAt: this.t.clock.wallNow() })
    return new Process(options, this.#storage.crash(), clock).t
  }
}

const DLQ = { queueConfig: { enableDlq: true } } as const

/** Submits without waiting for an outcome that dies with its process. */
async function accepted(t: SessionSetup, id: string, payload: unknown, options: object = {}): Promise<void> {
  await t.session.submitTask({ id, lane: 'execute', payload }, options)
}

test('direct submissions accepted before a crash run after a restart, in order, with their payload', async () => {
  const process = new Process({ queueConfig: { executeMaxConcurrency: 1 } })
  await process.t.session.pause()
  await accepted(process.t, 'a', { label: 'first', deep: [1, { x: null }] }, { commandType: 'work' })
  await accepted(process.t, 'b', { label: 'second' }, { commandType: 'work' })
  await using next = process.crash()
  await next.session.start()
  await next.session.resume()
  await next.clock.settle()
  expect([process.t.notes, next.notes]).toEqual([[], ['+first', '-first', '+second', '-second']])
})

test('what was running when the process died runs again, as the next attempt', async () => {
  const process = new Process()
  await accepted(process.t, 'a', { ms: 100, label: 'work' }, { commandType: 'work' })
  await process.t.clock.advance(50)
  const attempts: number[] = []
  await using next = process.crash({ execute: (_name, _args, { attempt }) => void attempts.push(attempt) })
  await next.session.start()
  await next.clock.settle()
  expect([process.t.notes, attempts]).toEqual([['+work'], [2]])
})

test('a task is accepted when it is written, and not before', async () => {
  const writes: (() => void)[] = []
  const storage = new MemoryStorage({
    write: (commit) =>
      new Promise((resolve) => {
        writes.push(() => {
          commit()
          resolve()
        })
      }),
  })
  const { t } = new Process({}, storage)
  let isAccepted = false
  const task = t.session.submitTask({ id: 'a', lane: 'execute', payload: {} }, { commandType: 'work' })
  void task.then(() => {
    isAccepted = true
  })
  await t.clock.settle()
  expect([isAccepted, t.notes]).toEqual([false, []])
  writes.shift()?.()
  await t.clock.expectSettled(task)
  await t.clock.settle()
  expect(t.notes).toEqual(['+work', '-work'])
  t.die()
})

test('the tool calls of a turn that died with its process settle as failed and never run', async () => {
  const process = new Process({ ...DLQ, tools: true })
  void process.t.calls(['bash', { ms: 100, label: 'running' }])
  void process.t.calls(['read', { ms: 100, label: 'looking' }])
  await process.t.clock.advance(50)
  await process.t.session.pause().acknowledged
  void process.t.calls(['bash', { label: 'waiting' }])
  await process.t.clock.settle()
  await using next = process.crash()
  await next.session.start()
  await next.session.resume()
  await next.clock.advance(10_000)
  const letters = await next.session.deadLetters()
  expect([sorted(letters.map(({ command_type }) => command_type)), next.notes]).toEqual([['bash', 'bash', 'read'], []])
  for (const { error, lane_id, attempts } of letters) {
    expect(error).toBe('The turn that has made this call ended with its process')
    expect(['execute', 'query']).toContain(lane_id)
    expect(attempts).toBeGreaterThan(0)
  }
  expect((await next.told('command_dead_lettered')).length).toBe(3)
})

test('the external task of a dead turn is not made again', async () => {
  const options = { queueConfig: { enableDlq: true, laneHandlers: { execute: { mode: 'external' } } } } as const
  const process = new Process(options)
  void process.t.calls(['bash', { command: 'ls' }])
  await process.t.task()
  await using next = process.crash()
  await next.session.start()
  await next.clock.settle()
  expect([await next.session.pendingExternalTasks(), (await next.session.deadLetters()).length]).toEqual([[], 1])
})

test('model calls and control commands leave nothing behind', async () => {
  const process = new Process(DLQ)
  void process.t.session.callModel('p', (_payload, context) => process.t.run('llm', { ms: 100 }, context))
  await process.t.clock.advance(10)
  void process.t.session.pause()
  await process.t.clock.settle()
  await using next = process.crash()
  await next.session.start()
  await next.clock.advance(1000)
  const { totalPending, totalActive } = await next.session.queueStats()
  expect([next.notes, totalPending, totalActive, await next.session.deadLetters()]).toEqual([[], 0, 0, []])
})

test.each([
  ['running', false],
  ['waiting', true],
])('a direct external submission that was %s becomes a new task after a restart', async (_how, isPaused) => {
  const options = {
    queueConfig: { laneHandlers: { execute: { mode: 'external', timeoutMs: 5000 } } },
    tools: false,
  } as const
  const process = new Process(options)
  if (isPaused) await process.t.session.pause()
  await accepted(process.t, 'a', { command: 'ls' })
  const [before] = await process.t.pending()
  await using next = process.crash({ tools: false })
  await next.session.start()
  await next.session.resume()
  const task = await next.task()
  expect(task).toMatchObject({
    session_id: 'me',
    command_id: 'a',
    command_type: 'json',
    payload: { command: 'ls' },
    timeout_ms: 5000,
    lane: 'execute',
    attempt: before === undefined ? 1 : 2,
  })
  await next.work()
  expect((await next.session.queueStats()).lanes.execute?.completed).toBe(1)
})

test('a submission whose handler is registered later waits for it', async () => {
  const process = new Process({ tools: false })
  process.t.session.handle('report', () => new Promise(() => undefined))
  await accepted(process.t, 'a', { n: 1 }, { commandType: 'report' })
  await process.t.clock.settle()
  await using next = process.crash({ tools: false })
  await next.session.start()
  await next.clock.advance(10_000)
  const seen: unknown[] = []
  next.session.handle('report', (payload) => void seen.push(payload))
  await next.clock.settle()
  expect(seen).toEqual([{ n: 1 }])
})

test('a handler that is registered before start, before anything else, is enough', async () => {
  const process = new Process({ tools: false })
  process.t.session.handle('json', () => new Promise(() => undefined))
  await accepted(process.t, 'a', { n: 1 })
  await using next = process.crash({ tools: false })
  const seen: unknown[] = []
  next.session.handle('json', (payload, { id, restored }) => void seen.push([payload, id, restored]))
  await next.session.start()
  await next.clock.settle()
  expect(seen).toEqual([[{ n: 1 }, 'a', undefined]])
})

test('a checkpoint survives the crash', async () => {
  const process = new Process({ tools: false })
  process.t.session.handle('json', async (_payload, { checkpoint }) => {
    await checkpoint({ page: 7 })
    await new Promise(() => undefined)
  })
  await accepted(process.t, 'a', {})
  await process.t.clock.settle()
  await using next = process.crash()
  const restored: unknown[] = []
  next.session.handle('json', (_payload, context) => void restored.push(context.restored))
  await next.session.start()
  await next.clock.settle()
  expect(restored).toEqual([{ page: 7 }])
})

test('the same task submitted again after a crash is the same task', async () => {
  const process = new Process({ queueConfig: { executeMaxConcurrency: 1 } })
  await accepted(process.t, 'done', { label: 'done' }, { commandType: 'work' })
  await accepted(process.t, 'open', { ms: 100, label: 'open' }, { commandType: 'work' })
  await process.t.clock.advance(10)
  await using next = process.crash()
  await next.session.start()
  const submit = (id: string, payload: object) =>
    next.session.submitTask({ id, lane: 'execute', payload }, { commandType: 'work' })
  const [done, open] = [await submit('done', { label: 'done' }), await submit('open', { ms: 100, label: 'open' })]
  await next.clock.advance(200)
  expect([await done.result(), await open.result(), next.notes]).toEqual([
    { output: 'done done', exit_code: 0 },
    { output: 'open done', exit_code: 0 },
    ['+open', '-open'],
  ])
  expect((await errorOf(submit('done', { label: 'other' })))['code']).toBe('CONFLICT')
})

test('what was recovered can be cancelled like anything else', async () => {
  const process = new Process()
  await accepted(process.t, 'a', { ms: 1e6 }, { commandType: 'work' })
  await process.t.clock.settle()
  await using next = process.crash()
  await next.session.start()
  await next.clock.settle()
  expect(next.running['execute']).toBe(1)
  expect(await next.clock.expectSettled(next.session.cancel({ scope: 'session' }))).toMatchObject({
    cancelled: 1,
    stoppedAfterMs: 0,
    unstopped: [],
  })
  expect(next.running['execute']).toBe(0)
})

test.each(['queued', 'session'] as const)(
  'cancel of scope %s reaches what waits from the process before',
  async (scope) => {
    const process = new Process({ queueConfig: { executeMaxConcurrency: 1 } })
    await process.t.session.pause()
    for (const id of ['a', 'b', 'c']) await accepted(process.t, id, { label: id }, { commandType: 'work' })
    await using next = process.crash()
    const paused = next.session.pause()
    await next.session.start()
    await paused
    expect(await next.session.cancel({ scope })).toMatchObject({ cancelled: 3, unstopped: [] })
    await next.session.resume()
    await next.clock.settle()
    expect(next.notes).toEqual([])
  },
)

test('close keeps waiting direct submissions for the next session', async () => {
  const storage = new MemoryStorage()
  const clock = new VirtualClock()
  const first = sessionSetup({ sessionId: 'me', storage, clock })
  await first.session.pause()
  await accepted(first, 'a', { label: 'kept' }, { commandType: 'work' })
  const closed = first.session.close({ timeoutMs: 10 })
  await clock.advance(100)
  await clock.expectSettled(closed)
  first.die()
  await using next = sessionSetup({ sessionId: 'me', storage: storage.crash(), clock })
  await next.session.start()
  await next.clock.settle()
  expect([first.notes, next.notes]).toEqual([[], ['+kept', '-kept']])
})

test('dead letters outlive the process', async () => {
  const process = new Process(DLQ)
  await process.t.call('bash', { fail: 'no such file' })
  await process.t.clock.settle()
  await using next = process.crash()
  await next.session.start()
  expect(await next.session.deadLetters()).toMatchObject([{ command_type: 'bash', error: 'no such file', attempts: 1 }])
})

test('metadata of a submission is kept beside what the session writes', async () => {
  const storage = new MemoryStorage()
  await using t = sessionSetup({ storage })
  const task = await t.session.submitTask(
    { id: 'a', lane: 'execute', payload: {} },
    { commandType: 'work', metadata: { user: 1 } },
  )
  expect(await task.result()).toMatchObject({ output: 'work done' })
})

test('a storage that cannot be read rejects what is submitted', async () => {
  const storage = new MemoryStorage({
    write: () => {
      throw new Error('disk full')
    },
  })
  const t = sessionSetup({ storage })
  expect((await errorOf(t.session.submit('execute', {}, { commandType: 'work' })))['code']).toBe('STORAGE_FAILED')
  expect(t.notes).toEqual([])
  t.die()
})
