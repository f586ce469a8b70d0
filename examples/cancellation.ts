/** A command and all its children, cancelled by one call. */
import { setTimeout as sleep } from 'node:timers/promises'
import { defaultLanes, type LaneError, QueueManager } from '@a3s-lab/lane'

const queue = new QueueManager({ lanes: defaultLanes() })

// Children submitted through ctx.queue belong to the command that submits them.
queue.handle<{ depth: number }>('branch', async ({ depth }, { signal, queue: children }) => {
  try {
    if (depth === 0) await sleep(60_000, undefined, { signal })
    else
      await Promise.all([0, 1].map(() => children.submit('query', { type: 'branch', payload: { depth: depth - 1 } })))
  } finally {
    // The signal's reason says why: clean up here.
    if (signal.aborted) console.log(`a branch of depth ${depth} stops: ${(signal.reason as LaneError).code}`)
  }
})

await queue.start()

const tree = queue.submit('query', { type: 'branch', payload: { depth: 2 } })
await sleep(20)
console.log('running:', queue.stats().totalActive)

console.log('cancelled:', tree.cancel('nobody needs it any more'))
console.log('cancelled once more:', tree.cancel())
await tree.catch((error: unknown) => console.log(String(error)))

// The outcome is there at once; drain waits until every body has stopped.
await queue.drain(1000)
const { totalActive, lanes } = queue.stats()
console.log(`running: ${totalActive}, going on nevertheless: ${lanes['query']?.zombies}`)

// A signal of your own cancels too, and a command that waits never starts.
const controller = new AbortController()
queue.lane('prompt').pause()
const waiting = queue.submit('prompt', () => 'never', { signal: controller.signal })
controller.abort('the user has left')
await waiting.catch((error: unknown) => console.log(String(error)))

await queue.close()
