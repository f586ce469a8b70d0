// @ts-check
// @ts-expect-error: async ships no types
import async from 'async'

/** The priority of commands in workloads that have only one. */
const ONLY_LEVEL = 0

/** @type {import('./subject.mjs').Subject} */
export default {
  name: 'async-priority-queue',

  async single({ concurrency, handler }) {
    const queue = async.priorityQueue(handler, concurrency)
    return (value) => queue.pushAsync(value, ONLY_LEVEL)
  },

  async lanes({ count, concurrency, handler }) {
    const queues = Array.from({ length: count }, () => async.priorityQueue(handler, concurrency))
    return (value, lane) => queues[lane].pushAsync(value, ONLY_LEVEL)
  },

  async priorities({ concurrency, handler }) {
    const queue = async.priorityQueue(handler, concurrency)
    return (value, level) => queue.pushAsync(value, level)
  },
}
