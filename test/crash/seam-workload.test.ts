import { MemoryStorage } from '@a3s-lab/lane/testing'
import { describe, expect, test } from 'vitest'
import { drawSteps, findDifference, readStorage, SeamModel } from './seam-workload.js'

const use = {
  idPrefix: 'seam-',
  retention: { count: 1_000_000, ageMs: 1e12 },
  now: () => 1_700_000_200_000,
  onFault: () => {},
}
const nothing: ReadonlySet<number> = new Set()

/** A storage and a model after the same steps. `spoil` may change what the storage is given. */
async function written(steps: number, spoil = (batch: readonly unknown[]): readonly unknown[] => batch) {
  const storage = new MemoryStorage()
  storage.attach(use)
  const model = new SeamModel()
  let last = model.picture()
  for (const { batch } of drawSteps(7, steps, model)) {
    await storage.write(spoil(batch) as typeof batch)
    last = model.picture()
  }
  return { ...readStorage(storage), expected: last }
}

describe('the model of what is stored', () => {
  test('agrees with a storage in memory after each batch', async () => {
    for (const count of [1, 2, 10, 45, 100]) {
      const { steps, picture, expected } = await written(count)
      expect(steps).toBe(count)
      expect(findDifference(picture, expected, nothing)).toBeUndefined()
    }
  })

  test('sees that a batch was not written whole', async () => {
    const { picture, expected } = await written(30, (batch) => batch.slice(0, 3))
    expect(findDifference(picture, expected, nothing)).toBeDefined()
  })

  test('sees an older state of a command', async () => {
    const { picture } = await written(44)
    const { picture: later } = await written(45)
    expect(findDifference(picture, later, nothing)).toBeDefined()
  })
})
