/** The documented examples that need no agent, each with what it shows. */
import {
  type ExternalTask,
  type SessionLane,
  SessionQueueConfig,
  type SessionQueueConfigInput,
} from '@a3s-lab/lane/session'
import { expect, test } from 'vitest'
import { napping } from '../../support/bodies.js'
import { type SessionSetup, sessionSetup } from '../../support/session.js'
import { errorOf } from '../../support/setup.js'

const begun = (t: SessionSetup): string[] => t.notes.filter((note) => note.startsWith('+')).map((note) => note.slice(1))
const ended = (t: SessionSetup): string[] => t.notes.filter((note) => note.startsWith('-')).map((note) => note.slice(1))

test('task priority 1: the read finishes before the remaining bash commands', async () => {
  await using t = sessionSetup({ queueConfig: { executeMaxConcurrency: 1, queryMaxConcurrency: 2 } })
  const bash = [1, 2, 3].map((n) => t.session.submitByTool('bash', { ms: 1000, label: `bash ${n}` }))
  await t.clock.advance(100)
  const read = t.session.submitByTool('read', { ms: 10, label: 'read' })
  await t.clock.advance(5000)
  await t.clock.expectSettled(Promise.all([...bash, read]))
  expect(ended(t)).toEqual(['read', 'bash 1', 'bash 2', 'bash 3'])
})

test('task priority 2: with every lane at 1, query beats execute', async () => {
  await using t = sessionSetup({
    queueConfig: {
      controlMaxConcurrency: 1,
      queryMaxConcurrency: 1,
      executeMaxConcurrency: 1,
      generateMaxConcurrency: 1,
      maxConcurrency: 1,
    },
  })
  const first = t.session.submitByTool('bash', { ms: 100, label: 'first' })
  await t.clock.settle()
  const rest = [
    t.session.submitByTool('bash', { ms: 10, label: 'bash' }),
    t.session.submitByTool('grep', { ms: 10, label: 'grep' }),
  ]
  await t.clock.advance(200)
  await t.clock.expectSettled(Promise.all([first, ...rest]))
  expect(ended(t)).toEqual(['first', 'grep', 'bash'])
})

test('task priority 3: an urgent grep completes before the last execute command', async () => {
  await using t = sessionSetup({ queueConfig: { executeMaxConcurrency: 1 } })
  const all = [1, 2, 3, 4].map((n) => t.session.submitByTool('bash', { ms: 2000, label: `bash ${n}` }))
  await t.clock.advance(2000)
  all.push(t.session.submitByTool('grep', { ms: 50, label: 'grep' }))
  expect(await t.session.queueStats()).toMatchObject({ lanes: { execute: { completed: 1, active: 1, pending: 2 } } })
  await t.clock.advance(6000)
  await t.clock.expectSettled(Promise.all(all))
  expect(ended(t).indexOf('grep')).toBeLessThan(ended(t).indexOf('bash 4'))
  expect(await t.session.queueStats()).toMatchObject({
    totalPending: 0,
    totalActive: 0,
    lanes: { execute: { completed: 4 }, query: { completed: 1 } },
  })
})

test('priority preemption: the urgent query finishes first, the background analysis resumes', async () => {
  await using t = sessionSetup({ queueConfig: { maxConcurrency: 1 } })
  t.session.handle('analysis', async (_payload: unknown, { signal, restored = 0, checkpoint }) => {
    for (let page = restored as number; page < 10; page++) {
      t.notes.push(`+page ${page}`)
      await napping(t, 100, signal)
      await checkpoint(page + 1)
    }
    return 'ten pages'
  })
  const done: string[] = []
  const submit = async (id: string, lane: SessionLane, commandType: string): Promise<void> => {
    const task = await t.session.submitTask({ id, lane, payload: { ms: 20 } }, { commandType })
    void task.result().then((value) => done.push(`${id}: ${JSON.stringify(value)}`))
  }
  await submit('background-analysis', 'generate', 'analysis')
  await t.clock.advance(250)
  await submit('urgent-query', 'query', 'lookup')
  await t.clock.advance(2000)
  expect(done.map((line) => line.split(':')[0])).toEqual(['urgent-query', 'background-analysis'])
  const pages = begun(t).filter((note) => note.startsWith('page'))
  expect(pages, 'page 2 alone is read again').toEqual([0, 1, 2, 2, 3, 4, 5, 6, 7, 8, 9].map((page) => `page ${page}`))
})

/** When a command that fails until its last attempt begins each of them. */
async function attempts(retryPolicy: SessionQueueConfigInput['retryPolicy']): Promise<number[]> {
  await using t = sessionSetup({ queueConfig: { retryPolicy } })
  const at: number[] = []
  t.session.handle('bash', () => {
    at.push(t.clock.now())
    throw new Error('E')
  })
  await t.call('bash', {}, 60_000)
  return at
}

test('lane features 1: retries, exponential 3 × 100 ms and fixed 500 ms', async () => {
  expect(await attempts({ strategy: 'exponential', maxRetries: 3, initialDelayMs: 100 })).toEqual([0, 100, 300, 700])
  expect(await attempts({ strategy: 'fixed', maxRetries: 3, fixedDelayMs: 500 })).toEqual([0, 500, 1000, 1500])
})

test('lane features 2: five per second, each lane its own', async () => {
  await using t = sessionSetup({
    queueConfig: {
      executeMaxConcurrency: 50,
      queryMaxConcurrency: 50,
      rateLimit: { limitType: 'per_second', maxOperations: 5 },
    },
  })
  const runs = (['execute', 'query'] as const).flatMap((lane) =>
    Array.from({ length: 12 }, () => t.session.submit(lane, { label: lane }, { commandType: 'work' })),
  )
  const started: number[] = []
  for (let second = 0; second < 4; second++) {
    await t.clock.advance(second === 0 ? 0 : 1000)
    started.push(begun(t).filter((lane) => lane === 'execute').length)
  }
  expect([started[0], started.at(-1), begun(t).length]).toEqual([5, 12, 24])
  expect(started[1]).toBeLessThanOrEqual(10)
  await t.clock.expectSettled(Promise.all(runs))
})

test.each([
  ['standard', 60_000, 10_000],
  ['aggressive', 30_000, 1],
] as const)('lane features 3: a %s boost of %i ms lifts old work', async (strategy, deadlineMs, early) => {
  /** Which begins first: an execute command of that age, or a fresh query. */
  const first = async (age: number): Promise<string | undefined> => {
    await using t = sessionSetup({ queueConfig: { maxConcurrency: 1, priorityBoost: { strategy, deadlineMs } } })
    const blocker = t.session.submit('execute', { ms: age, label: 'blocker' }, { commandType: 'work' })
    await t.clock.settle()
    const old = t.session.submit('execute', { label: 'old' }, { commandType: 'work' })
    await t.clock.advance(age - 1)
    const fresh = t.session.submit('query', { label: 'fresh' }, { commandType: 'work' })
    await t.clock.advance(1)
    await t.clock.expectSettled(Promise.all([blocker, old, fresh]))
    return begun(t)[1]
  }
  expect([await first(early), await first(deadlineMs - 1000)]).toEqual(['fresh', 'old'])
})

test('lane features 4: pressure at ten waiting, idle when they are gone', async () => {
  await using t = sessionSetup({ queueConfig: { pressureThreshold: 10, executeMaxConcurrency: 1 } })
  const runs = Array.from({ length: 11 }, () => t.session.submit('execute', { ms: 1 }, { commandType: 'work' }))
  await t.clock.advance(20)
  await Promise.all(runs)
  expect(await t.told('queue.lane.pressure', 'queue.lane.idle')).toEqual([
    { type: 'queue.lane.pressure', lane_id: 'execute' },
    { type: 'queue.lane.idle', lane_id: 'execute' },
  ])
})

test('lane features 5: query 30 s and execute 120 s over a default of 60 s', async () => {
  await using t = sessionSetup({
    queueConfig: {
      defaultTimeoutMs: 60_000,
      laneTimeouts: { query: 30_000, execute: 120_000 },
      executeMaxConcurrency: 4,
      retryPolicy: { strategy: 'none' },
    },
  })
  const ends = await Promise.all(
    (['query', 'generate', 'execute'] as const).map(async (lane, index) => {
      const run = errorOf(t.session.submit(lane, { ms: 1e6 }, { commandType: 'work' }))
      if (index === 2) void t.clock.advance(200_000)
      await run
      return t.clock.now()
    }),
  )
  expect(ends).toEqual([30_000, 60_000, 120_000])
})

test('lane features 6: all of them together', async () => {
  await using t = sessionSetup({
    queueConfig: new SessionQueueConfig({
      retryPolicy: { strategy: 'exponential', maxRetries: 3, initialDelayMs: 100 },
      rateLimit: { limitType: 'per_second', maxOperations: 5 },
      priorityBoost: { strategy: 'standard', deadlineMs: 60_000 },
      pressureThreshold: 10,
      laneTimeouts: { query: 30_000, execute: 120_000 },
    }).withLaneFeatures(),
  })
  const calls = t.calls(...Array.from({ length: 12 }, (_, n) => ['read', n === 0 ? { failing: 1 } : {}] as const))
  await t.clock.advance(10_000)
  expect((await calls).every(({ is_error }) => !is_error)).toBe(true)
  const timedOut = t.calls(['bash', { ms: 1e6 }])
  await t.clock.advance(600_000)
  expect((await timedOut)[0]?.output).toBe('Tool execution error: Command timed out after 120s')
  const types = new Set(await t.types())
  for (const type of ['command_retry', 'queue.lane.pressure', 'queue.lane.idle', 'command_dead_lettered'] as const) {
    expect(types).toContain(type)
  }
  expect((await t.session.queueMetrics())?.counters).toBeDefined()
})

/** Runs commands as a worker elsewhere does. */
const worker = ({ payload }: ExternalTask) => {
  const { command, working_dir } = payload as { command: string; working_dir?: string }
  return { success: true, result: { output: `${working_dir ?? '.'}$ ${command}`, exit_code: 0 } }
}

test('external task handler: a worker polls every 200 ms; then hybrid, then internal again', async () => {
  await using t = sessionSetup()
  await t.session.setLaneHandler('execute', { mode: 'external', timeoutMs: 60_000 })
  const call = t.calls(['bash', { command: 'cargo test', working_dir: '/src' }], ['bash', { command: 'ls' }])
  let isSettled = false
  void call.then(() => {
    isSettled = true
  })
  for (let polls = 0; !isSettled && polls < 10; polls++) {
    await t.clock.advance(200)
    for (const task of await t.session.pendingExternalTasks())
      await t.session.completeExternalTask(task.task_id, worker(task))
    await t.clock.settle()
  }
  expect((await call).map(({ output }) => output)).toEqual(['/src$ cargo test', '.$ ls'])
  await t.session.setLaneHandler('execute', { mode: 'hybrid' })
  expect((await t.call('bash')).output).toBe('bash done')
  await t.session.setLaneHandler('execute', { mode: 'internal' })
  expect((await t.call('bash')).output).toBe('bash done')
  expect(await t.told('external_task_completed')).toHaveLength(3)
})

test('coordinator and worker: every pending task is dispatched in parallel when the event is read', async () => {
  await using t = sessionSetup({ queueConfig: { enableAllFeatures: true, executeMaxConcurrency: 4 } })
  await t.session.setLaneHandler('execute', { mode: 'external' })
  const stream = t.session.subscribe({ types: ['external_task_pending'] })
  const dispatched = new Set<string>()
  const coordinator = (async () => {
    for await (const _event of stream) {
      const tasks = (await t.session.pendingExternalTasks()).filter(({ task_id }) => !dispatched.has(task_id))
      for (const { task_id } of tasks) dispatched.add(task_id)
      void Promise.all(
        tasks.map(async (task) => {
          await t.sleep(1000)
          await t.session.completeExternalTask(task.task_id, worker(task))
        }),
      )
    }
  })()
  const calls = [1, 2, 3, 4].map((n) => t.calls(['bash', { command: `step ${n}` }]))
  await t.clock.advance(1000)
  const outputs = (await t.clock.expectSettled(Promise.all(calls))).map(([result]) => result?.output)
  expect(outputs).toEqual([1, 2, 3, 4].map((n) => `.$ step ${n}`))
  stream.close()
  await coordinator
})

test('hybrid: it runs here, and an observer logs pending and completed', async () => {
  await using t = sessionSetup({ queueConfig: { laneHandlers: { execute: { mode: 'hybrid' } } } })
  await t.calls(['bash', { exit: 0 }], ['bash', { fail: 'E' }])
  const log = (await t.told('external_task_pending', 'external_task_completed')).map(({ type, success }) => [
    type,
    success,
  ])
  expect(log).toEqual([
    ['external_task_pending', undefined],
    ['external_task_completed', true],
    ['external_task_pending', undefined],
    ['external_task_completed', false],
  ])
})

test('dynamic switching: internal, external when a worker joins, internal again', async () => {
  await using t = sessionSetup()
  const outputs = [(await t.call('bash')).output]
  t.session.setExternalTaskHandler(worker)
  await t.session.setLaneHandler('execute', { mode: 'external' })
  outputs.push((await t.call('bash', { command: 'make' })).output)
  await t.session.setLaneHandler('execute', { mode: 'internal' })
  t.session.setExternalTaskHandler(null)
  outputs.push((await t.call('bash')).output)
  expect(outputs).toEqual(['bash done', '.$ make', 'bash done'])
})

test('parallel processing: one turn with many greps, three at a time', async () => {
  await using t = sessionSetup({ queueConfig: { queryMaxConcurrency: 3 } })
  const calls = t.calls(...Array.from({ length: 9 }, () => ['grep', { ms: 100 }] as const))
  await t.clock.advance(300)
  expect((await t.clock.expectSettled(calls)).length).toBe(9)
  expect(t.most['query']).toBe(3)
})

test('direct submission: a command to execute, and three paths to query', async () => {
  await using t = sessionSetup({
    tools: false,
    routeDirect: (lane, payload) => {
      const { command, path } = payload as { command?: string; path?: string }
      if (command !== undefined) return 'bash'
      return lane === 'query' && path !== undefined ? 'read' : undefined
    },
  })
  t.session.handle('bash', ({ command }: { command: string }) => ({ output: `ran ${command}`, exit_code: 0 }))
  t.session.handle('read', ({ path }: { path: string }) => ({ output: `text of ${path}`, exit_code: 0 }))
  expect(await t.session.submit('execute', { command: 'cargo test --workspace' })).toEqual({
    output: 'ran cargo test --workspace',
    exit_code: 0,
  })
  const paths = ['src/main.rs', 'src/lib.rs', 'Cargo.toml']
  expect(
    await t.session.submitBatch(
      'query',
      paths.map((path) => ({ path })),
    ),
  ).toEqual(paths.map((path) => ({ output: `text of ${path}`, exit_code: 0 })))
})

test('status: totals, pending tasks with what is left, metrics, dead letters', async () => {
  await using t = sessionSetup({
    queueConfig: { enableAllFeatures: true, laneHandlers: { execute: { mode: 'external', timeoutMs: 30_000 } } },
  })
  const call = t.calls(['bash', { command: 'make' }])
  await t.clock.advance(10_000)
  expect((await t.task()).remaining_ms).toBe(20_000)
  expect(await t.session.queueStats()).toMatchObject({ totalPending: 0, totalActive: 1, externalPending: 1 })
  await t.work(() => ({ success: false, error: 'no disk' }))
  await call
  expect(await t.session.queueMetrics()).not.toBeNull()
  expect(await t.session.deadLetters()).toMatchObject([{ command_type: 'bash', lane_id: 'execute', error: 'no disk' }])
})

test('config: handlers given in laneHandlers instead of setLaneHandler', async () => {
  await using t = sessionSetup({
    queueConfig: {
      laneHandlers: { execute: { mode: 'external', timeoutMs: 120_000 }, query: { mode: 'internal' } },
    },
  })
  const call = t.calls(['read'], ['bash'])
  expect(await t.task()).toMatchObject({ command_type: 'bash', timeout_ms: 120_000 })
  await t.work()
  expect((await call).map(({ output }) => output)).toEqual(['read done', 'from outside'])
})
