/** Testing your own code: time stands still until the test moves it, so an hour of retries takes a millisecond. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { QueueManager, RetryPolicy } from '@a3s-lab/lane'
import { recordEvents, seededRandom, VirtualClock } from '@a3s-lab/lane/testing'

/** A queue on a clock of its own; every test makes one. */
function setup() {
  const clock = new VirtualClock()
  const lanes = { mail: { priority: 0, retry: RetryPolicy.fixed(2, 3_600_000) } }
  const queue = new QueueManager({ lanes, clock, random: seededRandom(1) })
  return { clock, queue, recorder: recordEvents(queue) }
}

await test('a mail is sent again after an hour', async () => {
  const { clock, queue, recorder } = setup()
  let isServerUp = false
  queue.handle('send', () => {
    if (!isServerUp) throw new Error('no answer')
    return 'sent'
  })
  await queue.start()

  const run = queue.submit('mail', { type: 'send' })
  await clock.advance(3_599_999)
  assert.equal(run.state, 'delayed')
  isServerUp = true
  await clock.advance(1)
  assert.equal(await run, 'sent')
  console.log('an hour later:', recorder.keys(run.id).join(' '))
  assert.equal(clock.timers, 0) // an idle queue holds none
})

await test('a handler that hangs is timed out', async () => {
  const { clock, queue } = setup()
  await queue.start()
  const options = { timeoutMs: 30_000, retry: RetryPolicy.none() }
  const run = queue.submit('mail', () => new Promise(() => undefined), options)

  // Nobody advances time here: instead of waiting for ever, this says so.
  await assert.rejects(clock.expectSettled(run), /waits on time that nobody advances/)
  await clock.advance(30_000)
  await assert.rejects(run, { code: 'COMMAND_TIMEOUT' })
  console.log('timed out after 30 virtual seconds')
})
