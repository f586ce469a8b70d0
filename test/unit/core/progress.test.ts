import { expect, test } from 'vitest'
import { ProgressReader } from '../../../src/core/progress.js'

test('a reader gets undefined values too, and an end that is told apart from them', async () => {
  const reader = new ProgressReader(5, () => {})
  reader.push(undefined)
  reader.close()
  expect(await reader.next()).toEqual({ done: false, value: undefined })
  expect(await reader.next()).toEqual({ done: true, value: undefined })
})

test('a reader that stops says so and forgets what it did not read', async () => {
  const ended: ProgressReader[] = []
  const reader = new ProgressReader(5, (one) => ended.push(one))
  reader.push(1)
  expect(await reader.return()).toEqual({ done: true, value: undefined })
  reader.push(2)
  expect(await reader.next()).toEqual({ done: true, value: undefined })
  expect(ended).toEqual([reader])
  expect(reader[Symbol.asyncIterator]()).toBe(reader)
})
