import { expect, test } from 'vitest'
import { gate, setup } from '../support/setup.js'

test('a backlog that reaches the threshold is pressure, told once per crossing', async () => {
  await using t = await setup({ work: { pressureThreshold: 2 } }, { start: false })
  const runs = [1, 2, 3].map(() => t.queue.submit('work', () => 1))
  expect(t.events().filter(([key]) => key.startsWith('queue.lane'))).toEqual([
    ['queue.lane.pressure', { lane_id: 'work' }],
  ])
  await t.queue.start()
  await Promise.all(runs)
  expect(t.events().filter(([key]) => key.startsWith('queue.lane'))).toEqual([
    ['queue.lane.pressure', { lane_id: 'work' }],
    ['queue.lane.idle', { lane_id: 'work' }],
  ])
})

test('with a threshold of one, one command is pressure and then idle', async () => {
  await using t = await setup({ work: { pressureThreshold: 1 } })
  await t.queue.submit('work', () => 1)
  expect(t.recorder.keys().filter((key) => key.startsWith('queue.lane'))).toEqual([
    'queue.lane.pressure',
    'queue.lane.idle',
  ])
})

test('without a threshold there is neither', async () => {
  await using t = await setup()
  await Promise.all(Array.from({ length: 100 }, () => t.queue.submit('work', () => 1)))
  expect(t.recorder.keys().filter((key) => key.startsWith('queue.lane'))).toEqual([])
})

test('pressure and idle alternate: pressure stays until the backlog is empty', async () => {
  await using t = await setup({ work: { pressureThreshold: 2, maxConcurrency: 1 } })
  const gates = Array.from({ length: 5 }, () => gate())
  const submit = (n: number): unknown => t.queue.submit('work', () => gates[n]?.promise)
  const lane = (): string[] => t.recorder.keys().flatMap((key) => key.match(/lane\.(.*)/)?.[1] ?? [])
  submit(0)
  await t.clock.settle()
  submit(1)
  submit(2)
  expect(lane()).toEqual(['pressure'])
  gates[0]?.open()
  await t.clock.settle()
  submit(3)
  expect(lane()).toEqual(['pressure'])
  for (const one of gates) one.open()
  await t.clock.settle()
  expect(lane()).toEqual(['pressure', 'idle'])
  gates[4]?.open()
  t.queue.lane('work').pause()
  submit(4)
  submit(4)
  expect(lane()).toEqual(['pressure', 'idle', 'paused', 'pressure'])
  t.queue.lane('work').clear()
  expect(lane()).toEqual(['pressure', 'idle', 'paused', 'pressure', 'idle'])
})

test('a cancelled command relieves its lane', async () => {
  await using t = await setup({ work: { pressureThreshold: 1 } }, { start: false })
  const run = t.queue.submit('work', () => 1)
  run.cancel()
  expect(t.recorder.keys().filter((key) => key.startsWith('queue.lane'))).toEqual([
    'queue.lane.pressure',
    'queue.lane.idle',
  ])
})

test('delayed commands are no pressure until they are due', async () => {
  await using t = await setup({ work: { pressureThreshold: 1 } })
  const run = t.queue.submit('work', () => 1, { delayMs: 100 })
  await t.clock.advance(99)
  expect(t.recorder.of('queue.lane.pressure')).toEqual([])
  await t.clock.advance(1)
  await run
  expect(t.recorder.of('queue.lane.pressure')).toHaveLength(1)
  expect(t.recorder.of('queue.lane.idle')).toHaveLength(1)
})

test('a lower threshold is judged when it is set', async () => {
  await using t = await setup({ work: { pressureThreshold: 5 } }, { start: false })
  void t.queue.submit('work', () => 1)
  void t.queue.submit('work', () => 1)
  t.queue.lane('work').configure({ pressureThreshold: 2 })
  expect(t.recorder.keys().slice(-2)).toEqual(['queue.lane.configured', 'queue.lane.pressure'])
})
