// @ts-check
// @ts-expect-error: async ships no types
import async from 'async'

// `pushAsync` is the promise API: unlike `push` without a callback, its promise rejects when the handler fails.

/** @type {import('./subject.mjs').Subject} */
export default {
  name: 'async-queue',

  async single({ concurrency, handler }) {
    const queue = async.queue(handler, concurrency)
    return (value) => queue.pushAsync(value)
  },

  async lanes({ count, concurrency, handler }) {
    const queues = Array.from({ length: count }, () => async.queue(handler, concurrency))
    return (value, lane) => queues[lane].pushAsync(value)
  },
}
