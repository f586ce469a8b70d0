import type { Handler } from '@a3s-lab/lane'
import { expect, test } from 'vitest'
import type { Engine, EngineCommand } from '../../../src/core/index.js'
import { bystander, type Cluster, cluster, type Member } from '../../support/cluster.js'

/** A producer of another program: it knows the engine, and nothing of queues. */
async function foreigner(c: Cluster): Promise<Engine> {
  const engine = c.broker.engine({ role: 'coordinator' })
  await engine.open({ ...bystander(c.clock), instanceId: 'foreigner' })
  return engine
}

const command = (more: Partial<EngineCommand>): EngineCommand => ({
  id: 'foreign',
  laneId: 'work',
  commandType: 'x',
  payload: undefined,
  priority: 1000,
  createdAt: 0,
  dueAt: undefined,
  deadlineAt: undefined,
  options: undefined,
  cost: undefined,
  hasOwnId: true,
  dedupe: undefined,
  replyTo: undefined,
  ...more,
})

const worker = (c: Cluster, x: Handler): Promise<Member> =>
  c.join({ role: 'worker', handlers: { x }, deadLetters: 10, lanes: { work: { timeoutMs: 100 } } })

test("a command of another program runs, with the lane's own timeout and retries", async () => {
  await using c = cluster()
  const b = await worker(c, async (payload, { signal, id }) => {
    c.notes.push(JSON.stringify([payload, id]))
    await c.nap(1000, signal)
  })
  const engine = await foreigner(c)
  await engine.add([command({ payload: '{"n":1}' })])
  await c.clock.advance(100)
  expect([c.notes, (await b.queue.get('foreign'))?.state]).toEqual([['[{"n":1},"foreign"]'], 'timed_out'])
  await engine.close()
})

test('what cannot be read fails alone, and the lane goes on', async () => {
  await using c = cluster()
  const b = await worker(c, (payload) => {
    c.notes.push(String(payload))
  })
  const engine = await foreigner(c)
  await engine.add([
    command({ id: 'payload', payload: '{"broken' }),
    command({ id: 'options', options: 'no json' }),
    command({ id: 'retry', options: '{"retry":{"maxRetries":"many"}}' }),
    command({ id: 'number', options: '7' }),
    command({ id: 'good', payload: '"good"' }),
  ])
  await c.clock.advance(1000)
  expect(c.notes).toContain('good')
  for (const id of ['payload', 'options', 'retry']) {
    expect((await engine.find(id))?.state, id).toBe('failed')
    expect((await engine.find(id))?.outcome?.error, id).toContain('PAYLOAD_INVALID')
  }
  expect((await c.counts())['work']).toMatchObject({ pending: 0, active: 0, delayed: 0 })
  expect(b.queue.stats()).toMatchObject({ totalActive: 0, totalSlots: 0 })
  expect([...new Set(b.faults())]).toEqual(['PAYLOAD_INVALID'])
  await engine.close()
})

test('a record that cannot be read does not keep others from being listed', async () => {
  await using c = cluster()
  const a = await c.join({ role: 'coordinator' })
  const engine = await foreigner(c)
  await engine.add([command({ id: 'bad', payload: '{"broken' }), command({ id: 'good', payload: '1' })])
  const { items } = await a.queue.list()
  expect(items.map(({ id, payload }) => [id, payload])).toEqual([
    ['bad', '{"broken'],
    ['good', 1],
  ])
  expect(await a.queue.get('bad')).toMatchObject({ id: 'bad', state: 'pending' })
  await engine.close()
})

test('outcomes and progress that are no JSON are told as they are, and no other run is kept waiting', async () => {
  await using c = cluster()
  const a = await c.join({ role: 'coordinator' })
  const engine = await foreigner(c)
  const runs = [0, 1, 2].map((n) => a.queue.submit('work', { type: 'x', payload: n }))
  await Promise.all(runs.map(({ accepted }) => accepted))
  const values: unknown[] = []
  const reading = (async () => {
    for await (const value of (runs[0] as (typeof runs)[0]).progress()) values.push(value)
  })()
  const ends = [
    { state: 'completed', result: 'no json', error: undefined },
    { state: 'failed', result: undefined, error: 'no json' },
    { state: 'completed', result: '3', error: undefined },
  ] as const
  for (const end of ends) {
    const { claim } = await engine.claim('work', `token ${end.state} ${end.result}`)
    if (claim === undefined) continue
    engine.report(claim, 'no json')
    const progress = { attempt: 1, checkpoint: undefined, details: undefined }
    await engine.end(claim.lease, { kind: 'settle', letter: undefined, progress, ...end }, undefined)
  }
  await c.clock.settle()
  const outcomes = await Promise.allSettled(runs)
  expect(
    outcomes.map((one) => (one.status === 'fulfilled' ? one.value : (one.reason as { code: string }).code)),
  ).toEqual(['no json', 'COMMAND_FAILED', 3])
  await c.clock.expectSettled(reading)
  expect(values).toEqual(['no json'])
  await engine.close()
})
