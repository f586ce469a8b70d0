/** What a definition says is what its submitters have to give, its handler gets, and its callers are answered with. */
import {
  type CommandContext,
  type CommandDefinition,
  type CommandRun,
  type DefinedCommand,
  defaultLanes,
  defineCommand,
  discard,
  QueueManager,
  type SubmitOptions,
  snooze,
} from '@a3s-lab/lane'
import { expectTypeOf, test } from 'vitest'
import { z } from 'zod'

const queue = new QueueManager({ lanes: defaultLanes() })

test('without schemas the types are said, and hold for submitter, handler and caller', () => {
  const count = defineCommand<{ path: string }, number>({ type: 'count' })
  expectTypeOf(count).toExtend<CommandDefinition<{ path: string }, { path: string }, number>>()
  expectTypeOf(count).parameter(0).toEqualTypeOf<{ path: string }>()
  expectTypeOf(count({ path: 'a' })).toEqualTypeOf<DefinedCommand<{ path: string }, { path: string }, number>>()

  queue.handle(count, (payload, context) => {
    expectTypeOf(payload).toEqualTypeOf<{ path: string }>()
    expectTypeOf(context).toEqualTypeOf<CommandContext<{ path: string }>>()
    expectTypeOf(context.payload).toEqualTypeOf<{ path: string }>()
    return payload.path.length
  })
  expectTypeOf(queue.submit('query', count({ path: 'a' }))).toEqualTypeOf<CommandRun<number>>()

  // @ts-expect-error path is a string
  count({ path: 1 })
  // @ts-expect-error path is missing
  count({})
  // @ts-expect-error the result is a number
  queue.handle(count, () => 'three')
})

test('with nothing said, payload and result are unknown', () => {
  const anything = defineCommand({ type: 'anything' })
  expectTypeOf(anything).parameter(0).toBeUnknown()
  queue.handle(anything, (payload) => {
    expectTypeOf(payload).toBeUnknown()
  })
  expectTypeOf(queue.submit('query', anything(1))).toEqualTypeOf<CommandRun<unknown>>()
})

test('a payload schema alone leaves the result unknown', () => {
  const resize = defineCommand({ type: 'resize', payload: z.object({ width: z.number() }) })
  expectTypeOf(resize).parameter(0).toEqualTypeOf<{ width: number }>()
  expectTypeOf(queue.submit('query', resize({ width: 1 }))).toEqualTypeOf<CommandRun<unknown>>()
  // @ts-expect-error width is a number
  resize({ width: '1' })
})

test('defaults and transforms of a schema part what is given from what the handler gets', () => {
  const search = defineCommand({
    type: 'search',
    payload: z.object({
      text: z.string(),
      limit: z.number().default(10),
      since: z.string().transform((s) => new Date(s)),
    }),
    result: z.array(z.string()),
  })
  expectTypeOf(search).parameter(0).toEqualTypeOf<{ text: string; limit?: number | undefined; since: string }>()
  queue.handle(search, (payload) => {
    expectTypeOf(payload).toEqualTypeOf<{ text: string; limit: number; since: Date }>()
    return [payload.text]
  })
  expectTypeOf(queue.submit('query', search({ text: 'a', since: '2026-01-01' }))).toEqualTypeOf<CommandRun<string[]>>()
})

test('a result schema with a transform gives the caller what it makes', () => {
  const total = defineCommand({ type: 'total', payload: z.number(), result: z.string().transform(Number) })
  expectTypeOf(queue.submit('query', total(1))).toEqualTypeOf<CommandRun<number>>()
})

test('a handler of a definition may give an outcome instead, at once or later', () => {
  expectTypeOf(snooze(5)).toEqualTypeOf(discard())
  const count = defineCommand<string, number>({ type: 'count' })
  queue.handle(count, () => snooze(5))
  queue.handle(count, (text) => (text === '' ? discard() : text.length))
  queue.handle(count, async (text) => (text === '' ? discard() : text.length))
  queue.handle(count, (text) => (text === '' ? Promise.resolve(1) : snooze(1)))
})

test('a definition takes submit options as defaults', () => {
  expectTypeOf<CommandDefinition['defaults']>().toEqualTypeOf<SubmitOptions | undefined>()
  defineCommand({ type: 'a', defaults: { timeoutMs: 10, priority: undefined } })
  // @ts-expect-error no such option
  defineCommand({ type: 'a', defaults: { timeout: 10 } })
  // @ts-expect-error the type is text
  defineCommand({ type: 1 })
  // @ts-expect-error not a schema
  defineCommand({ type: 'a', payload: { parse: (value: unknown) => value } })
})

test('children are submitted with the types of their definition', () => {
  const count = defineCommand<{ path: string }, number>({ type: 'count' })
  queue.handle('parent', async (_payload, { queue: children, run }) => {
    expectTypeOf(children.submit('query', count({ path: 'a' }))).toEqualTypeOf<CommandRun<number>>()
    expectTypeOf(await run('query', count({ path: 'a' }))).toEqualTypeOf<number>()
  })
})
