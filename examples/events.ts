/** Events: everything, some, and what a slow reader is told. */
import { defaultLanes, QueueManager } from '@a3s-lab/lane'

const queue = new QueueManager({ lanes: defaultLanes() })
queue.handle<number>('count', async (to, { progress }) => {
  for (let n = 1; n <= to; n++) progress(n)
  return to
})
await queue.start()

// Everything from now on. The stream is one reader's own; publishing never waits for it.
const all = queue.subscribe()
await queue.submit('query', { type: 'count', payload: 2 })
for await (const { key, payload } of all) {
  const value = key === 'queue.command.progress' ? ` ${String(payload.value)}` : ''
  console.log(key + value)
  if (key === 'queue.command.completed') break // leaving the loop ends the subscription
}

// Some: a list of keys, or any question asked of an event.
const failures = queue.subscribeFiltered(['queue.command.failed', 'queue.command.timeout'])
const paused = queue.subscribeFiltered((event) => event.key.startsWith('queue.lane.'))
await queue.submit('query', () => Promise.reject(new Error('out of paper'))).catch(() => undefined)
queue.lane('prompt').pause()
const failure = await failures.recv()
if (failure?.key === 'queue.command.failed') console.log('failed:', failure.payload.error)
console.log('lane event:', (await paused.recv())?.key)

// A reader that is too slow loses its oldest events, and is told how many before the next one it reads.
const slow = queue.subscribe({ capacity: 3 })
await queue.submit('query', { type: 'count', payload: 10 })
const notice = await slow.recv()
if (notice?.key === 'events.dropped') console.log('dropped:', notice.payload.count)
for (let n = 0; n < 3; n++) console.log('still there:', (await slow.recv())?.key)

await queue.close()
// The end of the queue is the end of its streams.
for await (const { key } of slow) console.log('last:', key)
