import { expect, test } from 'vitest'
import { Channel } from '../../../src/core/channel.js'
import { errorOf } from '../../support/setup.js'

test('items come out in the order in which they went in', () => {
  const channel = new Channel<number>(3)
  for (const n of [1, 2, 3]) channel.push(n)
  expect([channel.size, channel.poll(), channel.poll(), channel.poll(), channel.poll()]).toEqual([
    3,
    1,
    2,
    3,
    undefined,
  ])
})

test('a full line drops its oldest item and counts it, round and round', () => {
  const channel = new Channel<number>(2)
  for (let n = 1; n <= 7; n++) channel.push(n)
  expect([channel.takeDropped(), channel.takeDropped()]).toEqual([5, 0])
  expect([channel.poll(), channel.poll()]).toEqual([6, 7])
  channel.push(8)
  expect([channel.takeDropped(), channel.poll()]).toEqual([0, 8])
})

test('readers that wait are served in order', async () => {
  const channel = new Channel<number>(2)
  const waiting = [channel.wait(), channel.wait()]
  channel.push(1)
  channel.push(2)
  expect(await Promise.all(waiting)).toEqual([1, 2])
  expect(channel.size).toBe(0)
})

test('a closed line takes nothing more, gives what it has, and ends', async () => {
  const channel = new Channel<number>(2)
  const waiting = channel.wait()
  channel.close()
  expect(await waiting).toBeUndefined()
  channel.push(1)
  expect([channel.closed, channel.size]).toEqual([true, 0])
  expect(await channel.wait()).toBeUndefined()
})

test('what was in a line can be read after it is closed, and not after it is discarded', () => {
  const [closed, discarded] = [new Channel<number>(2), new Channel<number>(2)]
  for (const channel of [closed, discarded]) channel.push(1)
  closed.close()
  discarded.discard()
  expect([closed.poll(), discarded.poll()]).toEqual([1, undefined])
})

test('a reader whose signal aborts waits no more, and takes no item from the others', async () => {
  const channel = new Channel<number>(2)
  const controller = new AbortController()
  const impatient = errorOf(channel.wait(controller.signal))
  const patient = channel.wait(new AbortController().signal)
  controller.abort(new Error('no patience'))
  channel.push(1)
  expect((await impatient).message).toBe('no patience')
  expect(await patient).toBe(1)
  expect((await errorOf(channel.wait(AbortSignal.abort(new Error('early'))))).message).toBe('early')
})
