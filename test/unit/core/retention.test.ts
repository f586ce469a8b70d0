import { expect, test } from 'vitest'
import { setup } from '../../support/setup.js'

test.each([0, 1, 3, 10])('of ten settled commands the newest %d are kept, round and round', async (count) => {
  await using t = await setup({ work: { maxConcurrency: 1 } }, { retention: { count } })
  const ids: string[] = []
  for (let round = 0; round < 3; round++) {
    for (let n = 0; n < 10; n++) {
      const id = `${round}-${n}`
      ids.push(id)
      await t.queue.submit('work', () => id, n % 2 === 0 ? { id } : { metadata: id })
    }
    const { items } = await t.queue.list()
    expect(items.map(({ result }) => result)).toEqual(count === 0 ? [] : ids.slice(-count))
  }
})
