import { Lane } from '@a3s-lab/lane'
import { expect, test } from 'vitest'
import { errorOf } from '../../support/setup.js'

test('the counts of the facade follow the queue', async () => {
  const lane = Lane.withLanes([{ laneId: 'only', priority: 0, minConcurrency: 1, maxConcurrency: 1 }])
  const runs = [lane.submit('only', 'echo', { n: 1 }), lane.submit('only', 'echo', { n: 2 })]
  expect(lane.stats()).toEqual({
    totalPending: 2,
    totalActive: 0,
    deadLetterCount: 0,
    lanes: [{ laneId: 'only', pending: 2, active: 0, minConcurrency: 1, maxConcurrency: 1 }],
  })
  lane.start()
  expect(await Promise.all(runs)).toEqual([{ n: 1 }, { n: 2 }])
  await lane.queue.close()
})

test('a handler that fails rejects with its text', async () => {
  const lane = new Lane()
  lane.start()
  lane.handle('fails', () => Promise.reject(new Error('out of paper')))
  expect((await errorOf(lane.submit('query', 'fails', '{}'))).message).toBe('out of paper')
  await lane.queue.close()
})
