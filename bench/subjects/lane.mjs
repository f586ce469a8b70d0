// @ts-check
/**
 * The queue itself, from `dist`: six default lanes, one more for the benchmark, and everything left on that costs nothing
 * while it is unused.
 */
import { defaultLanes, QueueManager } from '@a3s-lab/lane'

/**
 * A started queue with one handler for the type `bench`.
 *
 * @param {ConstructorParameters<typeof QueueManager>[0]} options
 * @param {import('@a3s-lab/lane').Handler<number>} handler
 */
export async function startedQueue(options, handler) {
  const queue = new QueueManager(options)
  queue.handle('bench', handler)
  await queue.start()
  return queue
}

/**
 * `count` lanes `bench-0`, `bench-1`, …
 *
 * @param {number} count
 * @param {(index: number) => import('@a3s-lab/lane').LaneDefinition} options
 * @returns {{ ids: string[], lanes: Record<string, import('@a3s-lab/lane').LaneDefinition> }}
 */
export function numberedLanes(count, options) {
  const ids = Array.from({ length: count }, (_, index) => `bench-${index}`)
  return { ids, lanes: Object.fromEntries(ids.map((id, index) => [id, options(index)])) }
}

/** @type {import('./subject.mjs').Subject} */
export default {
  name: 'lane',

  async single({ concurrency, handler }) {
    const lanes = { ...defaultLanes(), bench: { priority: 3, maxConcurrency: concurrency } }
    const queue = await startedQueue({ lanes }, handler)
    return (value) => queue.submit('bench', { type: 'bench', payload: value })
  },

  async lanes({ count, concurrency, handler }) {
    const { ids, lanes } = numberedLanes(count, () => ({ priority: 3, maxConcurrency: concurrency }))
    const queue = await startedQueue({ lanes: { ...defaultLanes(), ...lanes } }, handler)
    return (value, lane) => queue.submit(/** @type {string} */ (ids[lane]), { type: 'bench', payload: value })
  },

  async priorities({ levels, concurrency, handler }) {
    const { ids, lanes } = numberedLanes(levels, (index) => ({ priority: index, maxConcurrency: concurrency }))
    const queue = await startedQueue({ lanes, maxConcurrency: concurrency }, handler)
    return (value, level) => queue.submit(/** @type {string} */ (ids[level]), { type: 'bench', payload: value })
  },
}
