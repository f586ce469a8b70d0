/** What `submit` and `submitBatch` take, and what their runs give. */
import {
  type Command,
  type CommandContext,
  type CommandDefinition,
  type CommandRun,
  type CommandState,
  defaultLanes,
  defineCommand,
  discard,
  JsonCommand,
  type LaneName,
  QueueManager,
  QueueManagerBuilder,
  RetryPolicy,
  snooze,
} from '@a3s-lab/lane'
import { expectTypeOf, test } from 'vitest'

const queue = new QueueManager({ lanes: { ...defaultLanes(), render: { priority: 7 } } })

test('a function command gives what it returns, promised or not', async () => {
  expectTypeOf(queue.submit('query', () => 1)).toEqualTypeOf<CommandRun<number>>()
  expectTypeOf(queue.submit('query', async () => 'a')).toEqualTypeOf<CommandRun<string>>()
  expectTypeOf(queue.submit('query', () => {})).toEqualTypeOf<CommandRun<void>>()
  expectTypeOf(await queue.submit('query', async () => ({ size: 1 }))).toEqualTypeOf<{ size: number }>()
  void queue.submit('query', (context) => {
    expectTypeOf(context).toEqualTypeOf<CommandContext>()
    expectTypeOf(context.signal).toEqualTypeOf<AbortSignal>()
    expectTypeOf(context.attempt).toEqualTypeOf<number>()
  })
})

test('outcomes are not results', () => {
  const later = queue.submit('query', ({ attempt }) => (attempt === 1 ? snooze(5) : String(attempt)))
  expectTypeOf(later).toEqualTypeOf<CommandRun<string>>()
  const never = queue.submit('query', async ({ attempt }) => (attempt === 1 ? discard('no use') : attempt))
  expectTypeOf(never).toEqualTypeOf<CommandRun<number>>()
})

test('a command object gives what its execute returns', () => {
  class Count implements Command<number> {
    readonly commandType = 'count'
    execute(): Promise<number> {
      return Promise.resolve(1)
    }
  }
  expectTypeOf(queue.submit('query', new Count())).toEqualTypeOf<CommandRun<number>>()
  expectTypeOf(queue.submit('query', { commandType: 'count', execute: () => 'a' })).toEqualTypeOf<CommandRun<string>>()
  expectTypeOf(queue.submit('query', new JsonCommand('count', { a: 1 }))).toEqualTypeOf<CommandRun<unknown>>()
})

test('a command by type and payload gives what the caller says', () => {
  expectTypeOf(queue.submit('query', { type: 'count', payload: { a: 1 } })).toEqualTypeOf<CommandRun<unknown>>()
  expectTypeOf(queue.submit('query', { type: 'count' })).toEqualTypeOf<CommandRun<unknown>>()
  expectTypeOf(queue.submit<number>('query', { type: 'count' })).toEqualTypeOf<CommandRun<number>>()
})

/** What the last overload of `submit` takes. */
type Taken = Parameters<typeof queue.submit>[1]

test('what is no command is refused', () => {
  expectTypeOf<Parameters<typeof queue.submit>[0]>().toExtend<string>()
  expectTypeOf<{ payload: number }>().not.toExtend<Taken>()
  // @ts-expect-error text is no command
  void queue.submit('query', 'count')
  // @ts-expect-error nothing is no command
  void queue.submit('query', undefined)
  // a definition is called with its payload first
  expectTypeOf<CommandDefinition<{ path: string }>>().not.toExtend<Taken>()
  // @ts-expect-error the lane comes first
  void queue.submit(() => 1)
})

const plainPolicy = { maxRetries: 1, initialMs: 5, maxMs: 5, factor: 1, jitter: 'none' } as const

test('submit options are the known ones, each also as undefined', () => {
  const maybe = undefined as number | undefined
  expectTypeOf(queue.submit('query', () => String(1), { priority: maybe })).toEqualTypeOf<CommandRun<string>>()
  void queue.submit('query', () => 1, { priority: maybe, timeoutMs: maybe, delayMs: maybe })
  void queue.submit('query', () => 1, {
    runAt: new Date(),
    retry: RetryPolicy.fixed(1, 5),
    signal: undefined,
    id: undefined,
  })
  void queue.submit('query', () => 1, {
    runAt: '2026-01-01T00:00:00Z',
    retry: plainPolicy,
    metadata: { a: 1 },
  })
  void queue.submit('query', () => 1, undefined)
  // @ts-expect-error no such option
  void queue.submit('query', () => 1, { timeout: 1 })
  // @ts-expect-error priority is a number
  void queue.submit('query', () => 1, { priority: 'high' })
  // @ts-expect-error retry is a policy, not a count
  void queue.submit('query', () => 1, { retry: 3 })
  // @ts-expect-error a controller is not its signal
  void queue.submit('query', () => 1, { signal: new AbortController() })
})

test('lane ids complete to those of the queue and allow any other', () => {
  expectTypeOf<Parameters<typeof queue.lane>[0]>().toEqualTypeOf<
    LaneName<'system' | 'control' | 'query' | 'session' | 'skill' | 'prompt' | 'render'>
  >()
  void queue.submit('query', () => 1)
  void queue.submit('render', () => 1)
  void queue.submit('found at run time', () => 1)
  // @ts-expect-error a lane id is text
  void queue.submit(1, () => 1)
})

test('a builder knows the lanes it was given', async () => {
  const empty = new QueueManagerBuilder()
  const built = await empty.withDefaultLanes().withLane('render', {}, 7).build()
  expectTypeOf(built).toEqualTypeOf<
    QueueManager<'system' | 'control' | 'query' | 'session' | 'skill' | 'prompt' | 'render'>
  >()
})

test('a run is a promise of its result with facts of its own', async () => {
  const run = queue.submit('query', () => 1)
  expectTypeOf(run).toExtend<Promise<number>>()
  expectTypeOf(await run).toEqualTypeOf<number>()
  expectTypeOf(run.result()).toEqualTypeOf<Promise<number>>()
  expectTypeOf(run.accepted).toEqualTypeOf<Promise<void>>()
  expectTypeOf(run.state).toEqualTypeOf<CommandState>()
  expectTypeOf(run.cancel('no more')).toEqualTypeOf<boolean>()
  expectTypeOf(run.progress()).toExtend<AsyncIterable<unknown>>()
  await run.result({ signal: undefined })
  // @ts-expect-error the id is the queue's to give
  run.id = 'other'
  // @ts-expect-error the state is the queue's to change
  run.state = 'completed'
})

test('a batch gives a tuple of runs, each of its own type', async () => {
  const count = defineCommand<string, number>({ type: 'count' })
  const isNew: boolean = queue.isShuttingDown
  const runs = queue.submitBatch('query', [() => String(1), count('b'), { type: 'c' }, [() => isNew, { priority: 0 }]])
  expectTypeOf(runs).toEqualTypeOf<[CommandRun<string>, CommandRun<number>, CommandRun<unknown>, CommandRun<boolean>]>()
  expectTypeOf(await Promise.all(runs)).toEqualTypeOf<[string, number, unknown, boolean]>()

  const many = ['a', 'b'].map((text) => count(text))
  expectTypeOf(queue.submitBatch('query', many)).toEqualTypeOf<CommandRun<number>[]>()
  expectTypeOf(queue.submitBatch('query', [])).toEqualTypeOf<[]>()
  void queue.submitBatch('query', [[count('a'), { id: 'a' }], count('b')], { timeoutMs: undefined })
  // @ts-expect-error a batch is a list
  void queue.submitBatch('query', () => 1)
})

test('a batch takes nothing that submit would not take', () => {
  expectTypeOf(queue.submitBatch('query', [() => String(1)])).toEqualTypeOf<[CommandRun<string>]>()
  // @ts-expect-error text is no command
  void queue.submitBatch('query', ['count'])
  // @ts-expect-error no such option
  void queue.submitBatch('query', [[() => 1, { timeout: 1 }]])
})

test('a redrive gives a run, or the runs of all that match', () => {
  expectTypeOf(queue.deadLetters.redrive('id')).toEqualTypeOf<CommandRun>()
  expectTypeOf(queue.deadLetters.redrive({ laneId: 'query' })).toEqualTypeOf<Promise<CommandRun[]>>()
  expectTypeOf(queue.deadLetters.redrive(({ attempts }) => attempts > 1)).toEqualTypeOf<Promise<CommandRun[]>>()
})
