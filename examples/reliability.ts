/** Timeouts, retries, dead letters and their redrive, a refused submit, a drain. */
import { isLaneError, QueueManager, RetryPolicy } from '@a3s-lab/lane'

const queue = new QueueManager({
  lanes: {
    api: { priority: 0, timeoutMs: 500, retry: RetryPolicy.exponential(3, { initialMs: 20 }) },
  },
  deadLetters: 100,
})

// Fails twice, then succeeds: ctx.attempt says which try it is.
queue.handle('flaky', (_payload, { attempt }) => {
  if (attempt < 3) throw new Error(`attempt ${attempt} failed`)
  return `done on attempt ${attempt}`
})

// Hangs until its signal says that its time is up, then stops: a body that goes on would keep its slot.
queue.handle(
  'hang',
  (_payload, { signal }) =>
    new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason))),
)

// Fails as long as the service is down.
let isServiceUp = false
queue.handle('call', () => {
  if (!isServiceUp) throw new Error('the service is down')
  return 'the service answered'
})

const tell = (error: unknown): void => console.log(isLaneError(error) ? `${error.code}: ${error.message}` : error)

await queue.start()
console.log(await queue.submit('api', { type: 'flaky' }))

const options = { retry: RetryPolicy.none() }
await queue.submit('api', { type: 'hang' }, options).catch(tell)
await queue.submit('api', { type: 'call' }).catch(tell)

// What failed for good is kept, with the error of each attempt.
for (const { commandType, attempts, error, history } of await queue.deadLetters.list()) {
  console.log(`dead letter: ${commandType}, ${attempts} attempts, ${history.length} errors, last: ${error}`)
}

// The cause is gone: run those that match again, each as a new command.
isServiceUp = true
const [again] = await queue.deadLetters.redrive({ commandType: 'call' })
console.log('redriven:', await again)
console.log('dead letters left:', await queue.deadLetters.size())

const last = queue.submit('api', { type: 'flaky' })
await queue.shutdown()
await queue.submit('api', { type: 'flaky' }).catch(tell)
await queue.drain(5000)
console.log('accepted before the shutdown:', await last)
