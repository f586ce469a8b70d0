import { RetryPolicy } from '@a3s-lab/lane'
import { expect, test } from 'vitest'
import { cluster } from '../support/cluster.js'
import { durable, steeredStorage } from '../support/durable.js'
import { errorOf, setup } from '../support/setup.js'

const lanes = { work: { maxConcurrency: 1 }, other: {} }

test('a lane is drained when its last command has settled, back-off and delays included, whatever other lanes do', async () => {
  await using t = await setup(lanes)
  let failures = 1
  const flaky = (): string => {
    if (failures-- > 0) throw new Error('not yet')
    return 'done'
  }
  void t.queue.submit('other', t.takes(10_000))
  const runs = [
    t.queue.submit('work', t.takes(100)),
    t.queue.submit('work', flaky, { retry: RetryPolicy.fixed(1, 500) }),
    t.queue.submit('work', t.takes(100), { delayMs: 2000 }),
  ]
  let drainedAt = 0
  const drained = t.queue
    .lane('work')
    .drain(60_000)
    .then(() => {
      drainedAt = t.clock.now()
    })
  await t.clock.advance(5000)
  await drained
  expect(drainedAt).toBe(2100)
  expect(runs.map(({ state }) => state)).toEqual(['completed', 'completed', 'completed'])
  await t.queue.lane('work').drain(0)
  await t.clock.advance(10_000)
})

test('a limit that passes names what is left, and stops nothing', async () => {
  await using t = await setup(lanes)
  const run = t.queue.submit('work', t.takes(100))
  const waiting = t.queue.submit('work', t.takes(100))
  const drained = errorOf(t.queue.lane('work').drain(50))
  await t.clock.advance(60)
  expect(await drained).toMatchObject({
    code: 'DRAIN_TIMEOUT',
    message: "Command timed out after 50ms while draining lane 'work'; commands left: 2",
    left: 2,
    laneId: 'work',
  })
  await t.clock.advance(1000)
  await Promise.all([run, waiting])
  expect(await errorOf(t.queue.lane('work').drain(-1))).toMatchObject({ code: 'CONFIG_INVALID' })
})

test('a signal ends the wait with its reason, a closed queue because nothing is left', async () => {
  await using t = await setup(lanes)
  t.queue.submit('work', t.takes(100)).catch(() => undefined)
  const controller = new AbortController()
  const stopped = errorOf(t.queue.lane('work').drain(60_000, { signal: controller.signal }))
  const drained = t.queue.lane('work').drain(60_000)
  await t.clock.advance(10)
  controller.abort(new Error('enough'))
  expect(await stopped).toMatchObject({ message: 'enough' })
  const closed = t.queue.close()
  await t.clock.advance(200)
  await closed
  await drained
})

test('with a storage a lane is drained when the outcomes are written', async () => {
  const { storage, writes } = steeredStorage()
  await using t = await durable(lanes, { storage })
  t.queue.handle('x', () => 1)
  const letThrough = async (): Promise<void> => {
    for (let turn = 0; turn < 20; turn++) await Promise.resolve()
    writes.shift()?.done()
    await t.clock.advance(10)
  }
  const run = t.queue.submit('work', { type: 'x' })
  let isDrained = false
  await letThrough()
  const drained = t.queue
    .lane('work')
    .drain(60_000)
    .then(() => {
      isDrained = true
    })
  await t.clock.advance(1000)
  expect([t.queue.stats().totalActive, isDrained]).toEqual([0, false])
  while (!isDrained && writes.length > 0) await letThrough()
  await drained
  expect(run.state).toBe('completed')
  while (writes.length > 0) await letThrough()
})

test('with an engine a lane is drained when it is empty for all processes, whoever submits and works', async () => {
  await using c = cluster({ lanes: { work: { maxConcurrency: 1 }, other: {} } })
  const [a, b] = await c.pair({ handlers: { x: (ms) => c.sleep(Number(ms)) } })
  const third = await c.join({ role: 'coordinator' })
  const runs = [300, 400].map((payload) => a.queue.submit('work', { type: 'x', payload }))
  await c.clock.advance(20)
  const ends = [a, b, third].map(({ queue }) =>
    queue
      .lane('work')
      .drain(60_000)
      .then(() => c.clock.now()),
  )
  const late = errorOf(third.queue.lane('work').drain(100))
  await c.clock.advance(500)
  expect(await late).toMatchObject({ code: 'DRAIN_TIMEOUT' })
  await c.clock.advance(1000)
  for (const end of await Promise.all(ends)) {
    expect(end).toBeGreaterThanOrEqual(700)
    expect(end).toBeLessThan(1200)
  }
  await Promise.all(runs)
  expect(a.queue.stats().connection).toMatchObject({ isUp: true })
})
