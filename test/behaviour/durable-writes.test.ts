/** Writes that fail, one of several: what waits for each of them, and what becomes of dead letters. */
import { DeadLetterQueue, LaneError } from '@a3s-lab/lane'
import { expect, test } from 'vitest'
import { type Durable, durable, type SteeredWrite, steeredStorage } from '../support/durable.js'
import { errorOf } from '../support/setup.js'

const turns = async (count = 20): Promise<void> => {
  for (let turn = 0; turn < count; turn++) await Promise.resolve()
}

const ids = async ({ queue }: Durable): Promise<string[]> =>
  (await queue.deadLetters.list()).map(({ commandId }) => commandId)

/** A queue with so many dead letters, whose writes a test lets through from now on. */
async function withLetters(
  count: number,
  deadLetters: number,
): Promise<{ t: Durable; writes: SteeredWrite[]; dead: string[]; letThrough: () => Promise<void> }> {
  const { storage, writes } = steeredStorage()
  const t = await durable({ work: {} }, { storage, deadLetters })
  t.queue.handle('x', () => {
    throw new Error('down')
  })
  const letThrough = async (): Promise<void> => {
    await turns()
    for (let write = writes.shift(); write !== undefined; write = writes.shift()) {
      write.done()
      await turns()
    }
  }
  const dead: string[] = []
  for (let n = 0; n < count; n++) {
    const run = t.queue.submit('work', { type: 'x' })
    const ended = errorOf(run)
    await letThrough()
    await ended
    dead.push(run.id)
  }
  return { t, writes, dead, letThrough }
}

test('a checkpoint resolves with the write that holds it, not with a newer one', async () => {
  const { storage, writes } = steeredStorage()
  await using t = await durable({ work: { maxConcurrency: 1 } }, { storage })
  let save: (state: unknown) => Promise<void> = async () => undefined
  t.queue.handle('x', (_, ctx) => {
    save = (state) => ctx.checkpoint(state)
    return new Promise(() => undefined)
  })
  const fill = (): void => {
    for (let n = 0; n < 300; n++) t.queue.submit('work', { type: 'waits' }).accepted.catch(() => undefined)
  }
  void t.queue.submit('work', { type: 'x' })
  await turns()
  writes[0]?.done()
  await turns()
  void t.queue.submit('work', { type: 'waits' })
  await turns()
  // While that is being written there comes a batch with the checkpoint, and newer ones.
  const first = errorOf(save(1))
  fill()
  const second = errorOf(save(2))
  fill()
  writes[1]?.done()
  await turns()
  writes[2]?.fail(new Error('no space'))
  await turns()
  writes[3]?.done()
  await turns()
  expect(await first).toMatchObject({ code: 'STORAGE_FAILED' })
  expect(await second).toMatchObject({ code: 'STORAGE_FAILED' })
  // What could not be written is written by one of the next.
  for (let n = 4; n < 8; n++) {
    writes[n]?.done()
    await t.clock.advance(100)
  }
  expect(t.storage.list({ laneId: undefined, state: 'active', fromSeq: 0, limit: 2 })).toMatchObject([
    { checkpoint: '2' },
  ])
})

test('a checkpoint rejects in a storage that takes no writes any more', async () => {
  const { storage, writes } = steeredStorage()
  await using t = await durable({ work: {} }, { storage })
  let save: () => Promise<void> = async () => undefined
  t.queue.handle('x', (_, ctx) => {
    save = () => ctx.checkpoint(1)
    return new Promise(() => undefined)
  })
  void t.queue.submit('work', { type: 'x' })
  await turns()
  writes[0]?.done()
  await turns()
  const refused = t.queue.submit('work', { type: 'x' })
  await turns()
  writes[1]?.fail(new LaneError('STORAGE_FAILED', 'fsync failed', { retryable: false }))
  expect(await errorOf(refused)).toMatchObject({ message: 'fsync failed' })
  expect(await errorOf(save())).toMatchObject({ message: 'fsync failed' })
})

test('a queue does not start when one of several writes about interrupted commands fails', async () => {
  const { storage, writes } = steeredStorage()
  const t = await durable({ work: { maxConcurrency: 600 } }, { storage })
  t.queue.handle('x', () => new Promise(() => undefined))
  for (let n = 0; n < 600; n++) t.queue.submit('work', { type: 'x' }).catch(() => undefined)
  for (let n = 0; n < 6; n++) {
    await turns()
    writes[n]?.done()
  }
  await turns()
  expect(t.queue.stats().totalActive).toBe(600)
  const before = writes.length
  await using next = t.crash()
  const started = errorOf(next.queue.start())
  await turns()
  writes[before]?.fail(new Error('no space'))
  for (let n = before + 1; n < before + 6; n++) {
    await next.clock.advance(100)
    writes[n]?.done()
  }
  expect(await started).toMatchObject({ code: 'STORAGE_FAILED' })
})

test.each(['fails', 'is done'])(
  'a letter that is discarded while its return is being written does not come back when the write %s',
  async (end) => {
    const { t, writes, dead, letThrough } = await withLetters(1, 10)
    const again = t.queue.deadLetters.redrive(dead[0] as string)
    await turns()
    writes.shift()?.fail(new Error('lost'))
    expect(await errorOf(again)).toMatchObject({ code: 'STORAGE_FAILED' })
    await t.clock.advance(100)
    // It is written that the letter is there after all, and now it goes.
    const discarded = t.queue.deadLetters.discard(dead[0] as string)
    await turns()
    if (end === 'fails') writes.shift()?.fail(new Error('lost again'))
    else writes.shift()?.done()
    await t.clock.advance(1000)
    await letThrough()
    expect(await discarded).toBe(1)
    await using next = t.crash()
    expect(await ids(next)).toEqual([])
  },
)

test('letters that could not be taken out stay, in their order', async () => {
  const { t, writes, dead, letThrough } = await withLetters(3, 10)
  const popped = errorOf(t.queue.deadLetters.pop())
  expect(await ids(t)).toEqual(dead.slice(1))
  await turns()
  writes.shift()?.fail(new Error('no space'))
  expect(await popped).toMatchObject({ code: 'STORAGE_FAILED' })
  expect(await ids(t)).toEqual(dead)
  await t.clock.advance(1000)
  await letThrough()
  const discarded = errorOf(t.queue.deadLetters.discard({ ids: [dead[1] as string] }))
  await turns()
  // It was written, and only the answer is lost.
  writes[0]?.commit()
  writes.shift()?.fail(new Error('lost'))
  expect(await discarded).toMatchObject({ code: 'STORAGE_FAILED' })
  await t.clock.advance(1000)
  await letThrough()
  const after = await ids(t)
  expect(new Set(after)).toEqual(new Set(dead))
  await using next = t.crash()
  expect(await ids(next)).toEqual(after)
})

test('a letter that comes back to a full ring is the oldest, and goes', async () => {
  const { t, writes, dead, letThrough } = await withLetters(2, 2)
  const run = t.queue.submit('work', { type: 'x' })
  await turns()
  writes.shift()?.done()
  await turns()
  const popped = errorOf(t.queue.deadLetters.pop())
  writes.shift()?.done()
  await turns()
  expect(await ids(t)).toEqual([dead[1], run.id])
  writes.shift()?.fail(new Error('no space'))
  expect(await popped).toMatchObject({ code: 'STORAGE_FAILED' })
  expect(await ids(t)).toEqual([dead[1], run.id])
  await t.clock.advance(1000)
  await letThrough()
  await errorOf(run)
  await using next = t.crash()
  expect(new Set(await ids(next))).toEqual(new Set([dead[1], run.id]))
})

test('a letter that a redrive is taking is taken by nobody else, and of others the oldest is popped', async () => {
  const { t, dead, letThrough } = await withLetters(2, 10)
  t.queue.handle('x', () => 'up')
  const again = t.queue.deadLetters.redrive(dead[0] as string)
  expect(await t.queue.deadLetters.discard(dead[0] as string)).toBe(0)
  const popped = t.queue.deadLetters.pop()
  await letThrough()
  expect([(await popped)?.commandId, await again]).toEqual([dead[1], 'up'])
  expect(await t.queue.deadLetters.pop()).toBeUndefined()
  await using next = t.crash()
  expect(await ids(next)).toEqual([])
})

test('a redrive of a letter that is being written anew leaves nothing of it behind', async () => {
  const { t, writes, dead, letThrough } = await withLetters(1, 10)
  const refused = t.queue.deadLetters.redrive(dead[0] as string)
  await turns()
  writes.shift()?.fail(new Error('lost'))
  await errorOf(refused)
  // In one batch: the letter is there after all, and goes with its redrive.
  const again = t.queue.deadLetters.redrive(dead[0] as string)
  await turns()
  writes.shift()?.done()
  await again.accepted
  await using next = t.crash()
  expect(await ids(next)).toEqual([])
  await letThrough()
})

test('queues that share a ring keep their letters apart in their storages', async () => {
  const ring = new DeadLetterQueue(10)
  await using one = await durable({ work: {} }, { deadLetters: ring })
  await using other = await durable({ work: {} }, { deadLetters: ring })
  const runs = [one, other].map(({ queue }) => {
    queue.handle('x', () => {
      throw new Error('down')
    })
    return queue.submit('work', { type: 'x' })
  })
  await Promise.allSettled(runs)
  const stored = (): number[] => [one, other].map(({ storage }) => [...storage.letters()].length)
  expect(stored()).toEqual([1, 1])
  one.queue.handle('x', () => 'up')
  const letter = (await one.queue.deadLetters.list())[1]
  expect(await one.queue.deadLetters.redrive((run) => run === letter).then(([run]) => run)).toBe('up')
  await turns()
  expect(stored()).toEqual([1, 0])
})
