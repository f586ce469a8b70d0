/** Handlers for types that are not known before: `resolveHandler`. */
import { type CommandContext, QueueManager } from '@a3s-lab/lane'
import { MemoryStorage, VirtualClock } from '@a3s-lab/lane/testing'
import { expect, test } from 'vitest'
import { errorOf } from '../support/setup.js'

async function queueWith(options: { readonly storage?: MemoryStorage } = {}) {
  const clock = new VirtualClock()
  const faults: unknown[] = []
  const queue = new QueueManager({
    lanes: { work: { priority: 0 } },
    clock,
    onFault: (error) => faults.push(error),
    ...options,
  })
  await queue.start()
  return { queue, clock, faults }
}

test('a type without a handler of its own is run by what the resolver gives for it', async () => {
  const { queue } = await queueWith()
  queue.handle('mcp_known', () => 'its own')
  queue.resolveHandler((type) => {
    const echo = (payload: unknown, { commandType }: CommandContext) => ({ commandType, payload })
    return type.startsWith('mcp_') ? echo : undefined
  })
  expect(await queue.submit('work', { type: 'mcp_known' })).toBe('its own')
  expect(await queue.submit('work', { type: 'mcp_search', payload: 1 })).toEqual({
    commandType: 'mcp_search',
    payload: 1,
  })
  expect(await errorOf(queue.submit('work', { type: 'other' }))).toMatchObject({ code: 'HANDLER_NOT_FOUND' })
})

test('the resolver is asked at each turn, and a later one takes its place', async () => {
  const { queue } = await queueWith()
  let name = 'first'
  queue.resolveHandler(() => {
    const now = name
    return () => now
  })
  expect(await queue.submit('work', { type: 'x' })).toBe('first')
  name = 'second'
  expect(await queue.submit('work', { type: 'x' })).toBe('second')
  queue.resolveHandler(() => () => 'another')
  expect(await queue.submit('work', { type: 'x' })).toBe('another')
  queue.handle('x', () => 'its own')
  expect(await queue.submit('work', { type: 'x' })).toBe('its own')
})

const UNSUITABLE: readonly (readonly [what: string, resolve: () => unknown, fault: string])[] = [
  ['throws', () => new URL('no list of tools'), 'Invalid URL'],
  ['gives no function', () => 'a text', `handler of 'x' must be a function or undefined, got "a text"`],
]

test.each(UNSUITABLE)('a resolver that %s is told as a fault, and gives no handler', async (_what, resolve, text) => {
  const { queue, faults } = await queueWith()
  queue.resolveHandler(resolve as never)
  expect(await errorOf(queue.submit('work', { type: 'x' }))).toMatchObject({ code: 'HANDLER_NOT_FOUND' })
  expect(faults.map(String).join()).toContain(text)
  queue.handle('y', () => 'works')
  expect(await queue.submit('work', { type: 'y' })).toBe('works')
})

test('what is no function is refused', async () => {
  const { queue } = await queueWith()
  expect(() => queue.resolveHandler('x' as never)).toThrow('resolveHandler resolve must be a function')
})

test('stored commands that wait for a handler run when the resolver has one', async () => {
  const { queue, clock } = await queueWith({ storage: new MemoryStorage() })
  const [mcp, other] = [queue.submit('work', { type: 'mcp_x' }), queue.submit('work', { type: 'other' })]
  await clock.advance(10)
  expect([mcp.state, other.state]).toEqual(['pending', 'pending'])
  expect(queue.explain(mcp.id)?.reasons.map(({ code }) => code)).toEqual(['HANDLER_NOT_FOUND'])
  queue.resolveHandler((type) => (type === 'mcp_x' ? () => 'found' : undefined))
  expect(await clock.expectSettled(mcp)).toBe('found')
  expect(other.state).toBe('pending')
  const closed = queue.close({ timeoutMs: 1 })
  other.catch(() => undefined)
  await clock.advance(10)
  await closed
})
