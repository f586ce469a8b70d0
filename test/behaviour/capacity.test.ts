import { defineCommand, RetryPolicy } from '@a3s-lab/lane'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { errorOf, gate, setup } from '../support/setup.js'

test('a lane that is full refuses a command with QUEUE_FULL', async () => {
  await using t = await setup({ work: { capacity: 2 } }, { start: false })
  const accepted = [t.queue.submit('work', () => 1), t.queue.submit('work', () => 1)]
  const refused = t.queue.submit('work', () => 1)
  expect(await errorOf(refused)).toMatchObject({
    code: 'QUEUE_FULL',
    message: "Queue error: lane 'work' is full (2 commands waiting)",
    retryable: true,
    laneId: 'work',
    capacity: 2,
  })
  expect(await errorOf(t.queue.submit('work', () => 1, { priority: 0 }))).toMatchObject({ code: 'QUEUE_FULL' })
  expect(t.queue.stats().totalPending).toBe(2)
  expect(t.events(refused.id)).toEqual([
    [
      'queue.command.rejected',
      {
        lane_id: 'work',
        command_id: refused.id,
        code: 'QUEUE_FULL',
        error: "Queue error: lane 'work' is full (2 commands waiting)",
      },
    ],
  ])
  await t.queue.start()
  expect(await Promise.all(accepted)).toEqual([1, 1])
  expect(await t.queue.submit('work', () => 'room again')).toBe('room again')
})

test('what has a free slot does not wait, so it does not count', async () => {
  await using t = await setup({ work: { capacity: 1, maxConcurrency: 2 } })
  const open = gate()
  const states = Array.from({ length: 5 }, () => t.queue.submit('work', () => open.promise))
  await t.clock.settle()
  expect(states.map(({ state }) => state)).toEqual(['active', 'active', 'pending', 'failed', 'failed'])
  open.open()
})

test('a slot that is free only under the limit of the lane counts as taken under a full cap', async () => {
  await using t = await setup({ other: {}, work: { capacity: 1 } }, { maxConcurrency: 1 })
  void t.queue.submit('other', t.takes(10))
  await t.clock.settle()
  const states = [1, 2].map(() => t.queue.submit('work', () => 1))
  expect(states.map(({ state }) => state)).toEqual(['pending', 'failed'])
})

test('a paused lane has no free slot', async () => {
  await using t = await setup({ work: { capacity: 1 } })
  t.queue.lane('work').pause()
  const states = [1, 2].map(() => t.queue.submit('work', () => 1))
  expect(states.map(({ state }) => state)).toEqual(['pending', 'failed'])
})

test('delayed commands count', async () => {
  await using t = await setup({ work: { capacity: 2, maxConcurrency: 1 } })
  const states = [1, 2, 3, 4].map(() => t.queue.submit('work', () => 1, { delayMs: 10 }))
  expect(states.map(({ state }) => state)).toEqual(['delayed', 'delayed', 'delayed', 'failed'])
})

test('a retry comes back into a full lane', async () => {
  await using t = await setup({ work: { capacity: 1, maxConcurrency: 1, retry: RetryPolicy.fixed(1, 10) } })
  const run = t.queue.submit('work', ({ attempt }) => {
    if (attempt === 1) throw new Error('once')
    return attempt
  })
  await t.clock.settle()
  void t.queue.submit('work', t.takes(100))
  await t.clock.settle()
  const waiting = t.queue.submit('work', () => 1)
  expect(waiting.state).toBe('failed')
  await t.clock.advance(100)
  expect(await run).toBe(2)
})

test('a command whose payload takes time to check is refused when it is accepted too late', async () => {
  await using t = await setup({ work: { capacity: 1 } }, { start: false })
  const slow = defineCommand({ type: 'slow', payload: z.number().refine(async () => true) })
  const late = t.queue.submit('work', slow(1))
  void t.queue.submit('work', () => 1)
  expect(await errorOf(late)).toMatchObject({ code: 'QUEUE_FULL' })
  expect(await errorOf(late.accepted)).toMatchObject({ code: 'QUEUE_FULL' })
  expect(late.state).toBe('failed')
})
