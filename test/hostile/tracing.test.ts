/** A tracing library that fails, and one that does not keep to the contract: a lost span is better than a lost command. */
import {
  type AttemptSpan,
  type CommandRun,
  discard,
  type LaneError,
  QueueManager,
  RetryAfterError,
  RetryPolicy,
  snooze,
  type TraceContext,
  type Tracing,
} from '@a3s-lab/lane'
import { describe, expect, test } from 'vitest'
import { stopping } from '../support/bodies.js'
import { errorOf, type Setup, setup, thrownBy } from '../support/setup.js'

const broken = new Error('the tracing broke')
const breaks = (): never => {
  throw broken
}

const plainSpan: AttemptSpan = { run: (body) => body(), end: () => undefined }
const plain: Tracing = { submitted: () => undefined, refused: () => undefined, started: () => plainSpan }

/** A tracing whose spans run bodies in a way of their own. */
const runningIt = (run: (body: () => unknown) => unknown): Tracing => ({
  ...plain,
  started: () => ({ ...plainSpan, run: run as AttemptSpan['run'] }),
})

const lanes = {
  control: { preempts: true, minConcurrency: 0 },
  work: {
    ...{ preemptible: true, minConcurrency: 0, maxConcurrency: 9, timeoutMs: 50, zombieGraceMs: 20 },
    retry: RetryPolicy.fixed(1, 5),
  },
}

/** Runs commands of many fates; gives those that did not end with the value or error that is theirs, and what was told. */
async function runWith(tracing: Tracing): Promise<{ t: Setup<'control' | 'work'>; wrong: unknown[] }> {
  await using t = await setup(lanes, { maxConcurrency: 4, tracing, deadLetters: true })
  const submit = t.queue.submit.bind(t.queue, 'work') as (body: unknown) => CommandRun
  t.queue.handle('echo', (payload) => payload)
  const all: (readonly [CommandRun, unknown])[] = [
    [submit(() => 'a value'), 'a value'],
    [t.queue.submit('work', { type: 'echo', payload: 7 }), 7],
    [submit(() => Promise.reject(new Error('rejects'))), 'COMMAND_FAILED: rejects'],
    [
      submit(() => {
        throw new Error('throws')
      }),
      'COMMAND_FAILED: throws',
    ],
    [submit(stopping(t, 'slow', 1000)), 'COMMAND_TIMEOUT: Command timed out after 50ms'],
    [submit(() => (t.clock.now() < 20 ? snooze(10) : 'late')), 'late'],
    [submit(() => (t.clock.now() < 20 ? Promise.reject(new RetryAfterError(10)) : 'later')), 'later'],
    [submit(() => discard('no use')), 'COMMAND_CANCELLED: Command cancelled: no use'],
    [submit(stopping(t, 'preempted', 30)), 'preempted'],
    [t.queue.submit('nowhere' as 'work', () => 1), 'LANE_NOT_FOUND: Lane not found: nowhere'],
  ]
  const answers = all.map(([run]) =>
    run.then(
      (value) => value,
      (error: unknown) => `${(error as LaneError).code}: ${(error as LaneError).message}`,
    ),
  )
  t.clock.setTimer(3, () => void t.queue.submit('control', t.takes(4)))
  await t.clock.advance(500)
  const { totalPending, totalActive, totalDelayed, totalSlots } = t.queue.stats()
  const given = await Promise.all(answers)
  const wrong = [
    ...given.filter((answer, index) => answer !== all[index]?.[1]),
    ...[totalPending, totalActive, totalDelayed, totalSlots].filter((count) => count !== 0),
  ]
  return { t, wrong }
}

const told = (t: Pick<Setup, 'faults'>): number => t.faults.filter((fault) => fault === broken).length

describe('a tracing that throws', () => {
  test.each<[string, Tracing]>([
    ['when a command is submitted', { ...plain, submitted: breaks }],
    ['when a submit is refused', { ...plain, refused: breaks }],
    ['when an attempt begins', { ...plain, started: breaks }],
    ['before it calls the body', { ...plain, started: () => ({ ...plainSpan, run: breaks }) }],
    [
      'after it has called the body',
      {
        ...plain,
        started: () => ({
          ...plainSpan,
          run: (body) => {
            body()
            return breaks()
          },
        }),
      },
    ],
    ['when an attempt ends', { ...plain, started: () => ({ ...plainSpan, end: breaks }) }],
    ['everywhere', { submitted: breaks, refused: breaks, started: () => ({ run: breaks, end: breaks }) }],
  ])('%s harms nobody, and is told', async (_when, tracing) => {
    const { t, wrong } = await runWith(tracing)
    expect(wrong).toEqual([])
    expect(told(t)).toBeGreaterThan(0)
    expect(t.recorder.of('queue.fault').map(({ payload }) => payload.error)).toContain('the tracing broke')
  })

  test('has each body run once', async () => {
    for (const run of [breaks, (body: () => unknown) => [body(), breaks()]]) {
      const tracing = { ...plain, started: () => ({ ...plainSpan, run: run as AttemptSpan['run'] }) }
      await using t = await setup(undefined, { tracing })
      await t.queue.submit('work', t.noting('once'))
      expect(t.notes).toEqual(['once'])
    }
  })

  test('when a submit has a trace of its own leaves the command that', async () => {
    await using t = await setup(undefined, { tracing: { ...plain, submitted: breaks } })
    const traceContext = { traceparent: `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01` }
    const seen = await t.queue.submit('work', (context) => context.traceContext, { traceContext })
    expect(seen).toEqual(traceContext)
  })
})

describe('a tracing that does not keep to its contract harms nobody:', () => {
  test.each<[string, unknown]>([
    ['it gives null for a span', { ...plain, started: () => null }],
    ['it gives a span without methods', { ...plain, started: () => ({}) }],
    ['it gives a text for a span', { ...plain, started: () => 'span' }],
    ['it gives nothing for a span', { ...plain, started: () => undefined }],
    ['it forgets the value of the body', runningIt((body) => [body()].slice(1)[0])],
    ['it forgets the body', runningIt(() => undefined)],
    ['it gives another value', runningIt((body) => [body()])],
    [
      'it swallows what the body throws',
      runningIt((body) => {
        try {
          return body()
        } catch {
          return 'nothing happened'
        }
      }),
    ],
  ])('%s', async (_what, tracing) => {
    const { t, wrong } = await runWith(tracing as Tracing)
    expect(wrong).toEqual([])
    expect(t.recorder.of('queue.command.failed').length).toBeGreaterThan(0)
  })

  test('it calls the body twice', async () => {
    const run = (body: () => unknown): unknown => {
      body()
      return body()
    }
    await using t = await setup(undefined, { tracing: runningIt(run) })
    await t.queue.submit('work', t.noting('once'))
    expect(t.notes).toEqual(['once'])
  })
})

describe('a tracing that uses the queue is served:', () => {
  test('it cancels what is submitted, before that has started', async () => {
    const tracing: Tracing = {
      ...plain,
      submitted: ({ laneId }, given) => {
        t.queue.lane(laneId as 'work').cancelAll('by the tracing')
        return given
      },
    }
    await using t: Setup<'work'> = await setup(undefined, { tracing })
    const run = t.queue.submit('work', t.noting('never'))
    expect(await errorOf(run)).toMatchObject({ code: 'COMMAND_CANCELLED' })
    expect(t.notes).toEqual([])
  })

  test('it cancels what starts: its body does not run', async () => {
    const tracing: Tracing = {
      ...plain,
      started: ({ commandId }) => {
        t.queue.cancel(commandId, 'by the tracing')
        return plainSpan
      },
    }
    await using t: Setup<'work'> = await setup(undefined, { tracing })
    const run = t.queue.submit('work', t.noting('never'))
    expect(await errorOf(run)).toMatchObject({ code: 'COMMAND_CANCELLED' })
    await t.clock.settle()
    expect(t.notes).toEqual([])
    expect(t.queue.stats().totalSlots).toBe(0)
  })

  test('it submits when an attempt ends', async () => {
    const runs: CommandRun[] = []
    const end = (): void => {
      if (runs.length < 3) runs.push(t.queue.submit('work', () => 'by the tracing'))
    }
    await using t: Setup<'work'> = await setup(undefined, {
      tracing: { ...plain, started: () => ({ ...plainSpan, end }) },
    })
    await t.queue.submit('work', () => 1)
    await t.clock.settle()
    expect(await Promise.all(runs)).toEqual(new Array(3).fill('by the tracing'))
  })

  test.each(['retried', 'deferred', 'preempted'])('it cancels what was %s', async (how) => {
    const ended: string[] = []
    const tracing: Tracing = {
      ...plain,
      started: ({ commandId }) => ({
        ...plainSpan,
        end: (kind) => {
          ended.push(kind)
          if (kind === how) t.queue.cancel(commandId, 'by the tracing')
        },
      }),
    }
    await using t: Setup<'control' | 'work'> = await setup(lanes, { maxConcurrency: 1, tracing })
    const bodies: Readonly<Record<string, unknown>> = {
      retried: () => Promise.reject(new Error('no')),
      deferred: () => snooze(10),
      preempted: stopping(t, 'low', 30),
    }
    const run = t.queue.submit('work', bodies[how] as () => number)
    const error = errorOf(run)
    await t.clock.advance(2)
    await t.queue.submit('control', () => 1)
    await t.clock.advance(200)
    expect(await error).toMatchObject({ code: 'COMMAND_CANCELLED' })
    expect(ended).toContain(how)
    expect(t.queue.stats()).toMatchObject({ totalPending: 0, totalActive: 0, totalDelayed: 0, totalSlots: 0 })
    expect(await t.queue.submit('work', () => 'still at work')).toBe('still at work')
  })
})

test.each([null, 5, {}, { submitted: () => undefined, refused: () => undefined }])('%j is no tracing', (tracing) => {
  const error = thrownBy(
    () => new QueueManager({ lanes: { work: { priority: 0 } }, tracing: tracing as unknown as Tracing }),
  )
  expect(error).toMatchObject({ code: 'CONFIG_INVALID', option: 'tracing' })
})

test.each<[unknown]>([
  [null],
  ['00-x'],
  [{}],
  [{ traceparent: 'forged\r\n' }],
  [{ traceparent: `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`, tracestate: 5 }],
])('%j is no trace context', async (traceContext) => {
  await using t = await setup()
  const run = t.queue.submit('work', () => 1, { traceContext: traceContext as TraceContext })
  expect(await errorOf(run)).toMatchObject({ code: 'CONFIG_INVALID', option: 'submit traceContext' })
})
