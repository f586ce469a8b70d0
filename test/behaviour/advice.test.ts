import { defineCommand, RetryPolicy } from '@a3s-lab/lane'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { errorOf, setup } from '../support/setup.js'

test('an error that another copy of the package made unrecoverable is not retried', async () => {
  await using t = await setup({ work: { retry: RetryPolicy.fixed(3, 10) } })
  const foreign = Object.assign(new Error('broken'), { [Symbol.for('@a3s-lab/lane.advice')]: 'unrecoverable' })
  let attempts = 0
  const run = t.queue.submit('work', () => {
    attempts++
    throw foreign
  })
  expect(await errorOf(run)).toMatchObject({ code: 'COMMAND_FAILED', message: 'broken' })
  expect(attempts).toBe(1)
})

test('a function named like a defined type is run itself, and no schema sees it', async () => {
  await using t = await setup()
  t.queue.handle(defineCommand({ type: 'resize', payload: z.object({ width: z.number() }) }), () => 'the handler')
  const command = function resize(): string {
    return 'the function'
  }
  expect(await t.queue.submit('work', command)).toBe('the function')
})

test('a definition that was not called with a payload is refused', async () => {
  await using t = await setup()
  const definition = defineCommand({ type: 'resize' })
  const run = t.queue.submit('work', definition as never)
  expect(await errorOf(run)).toMatchObject({
    code: 'PAYLOAD_INVALID',
    message: "The definition of 'resize' is no command: call it with a payload first",
  })
})
