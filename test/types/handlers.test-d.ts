/** What `handle` takes, and what a handler is given. */
import {
  type AnyCommand,
  type CommandContext,
  type CommandRun,
  defaultLanes,
  discard,
  type Handler,
  type HandlerResult,
  QueueManager,
  type QueueStats,
  snooze,
} from '@a3s-lab/lane'
import { expectTypeOf, test } from 'vitest'

const queue = new QueueManager({ lanes: defaultLanes() })

test('a handler by name gets an unknown payload unless its types are said', () => {
  queue.handle('count', (payload, context) => {
    expectTypeOf(payload).toBeUnknown()
    expectTypeOf(context).toEqualTypeOf<CommandContext>()
  })
  queue.handle<{ path: string }, number>('count', ({ path }) => path.length)
  queue.handle('count', ({ path }: { path: string }) => path.length)
  // @ts-expect-error the result was said to be a number
  queue.handle<string, number>('count', () => 'a')
  // @ts-expect-error a handler is a function
  queue.handle('count', 1)
  // @ts-expect-error a type is text
  queue.handle(1, () => 1)
})

test('a handler may be async, give an outcome, or both', () => {
  const handler: Handler<string, number> = async (text, { signal }) => {
    expectTypeOf(signal).toEqualTypeOf<AbortSignal>()
    return text === '' ? snooze(1) : text.length
  }
  queue.handle('count', handler)
  expectTypeOf(discard()).toExtend<HandlerResult<number>>()
  expectTypeOf<Promise<number>>().toExtend<HandlerResult<number>>()
})

test('a context may be taken apart', () => {
  queue.handle('count', async (_payload, { progress, log, run, id, laneId, commandType }) => {
    progress({ done: 1 })
    log('line')
    expectTypeOf([id, laneId, commandType]).toEqualTypeOf<string[]>()
    expectTypeOf(await run('query', () => 1)).toEqualTypeOf<number>()
    expectTypeOf(await run('query', { type: 'b' })).toBeUnknown()
    expectTypeOf(await run<number>('query', { type: 'b' })).toEqualTypeOf<number>()
  })
})

test('a context cannot be changed', () => {
  queue.handle('count', (_payload, context) => {
    expectTypeOf(context.attempt).toEqualTypeOf<number>()
    // @ts-expect-error the attempt is counted by the queue
    context.attempt = 2
    // @ts-expect-error the signal is the queue's to abort
    context.signal = new AbortController().signal
  })
})

test('the queue of a context submits, reads and cancels', () => {
  queue.handle('parent', (_payload, { queue: children }) => {
    expectTypeOf(children.submit('query', () => 1)).toEqualTypeOf<CommandRun<number>>()
    expectTypeOf(children.cancel('id')).toEqualTypeOf<boolean>()
    expectTypeOf(children.stats()).toEqualTypeOf<QueueStats>()
    void children.submit('query', { type: 'b' }, { detached: true, signal: undefined })
    void children.submitBatch('query', [{ type: 'b' }, [() => 1, { priority: 0 }]])
    expectTypeOf(children).not.toHaveProperty('shutdown')
  })
})

test('a list of all kinds of commands can be typed', () => {
  const commands: readonly AnyCommand[] = [() => 1, { type: 'a' }, { commandType: 'b', execute: async () => 'c' }]
  for (const command of commands) expectTypeOf(queue.submit('query', command)).toEqualTypeOf<CommandRun>()
})
