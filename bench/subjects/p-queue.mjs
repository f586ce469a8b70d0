// @ts-check
import PQueue from 'p-queue'

// A task of p-queue is a function without arguments, so the closure per command is its idiom. Its larger priority goes first.

/** @type {import('./subject.mjs').Subject} */
export default {
  name: 'p-queue',

  async single({ concurrency, handler }) {
    const queue = new PQueue({ concurrency })
    return (value) => queue.add(() => handler(value))
  },

  async lanes({ count, concurrency, handler }) {
    const queues = Array.from({ length: count }, () => new PQueue({ concurrency }))
    return (value, lane) => /** @type {PQueue} */ (queues[lane]).add(() => handler(value))
  },

  async priorities({ concurrency, handler }) {
    const queue = new PQueue({ concurrency })
    return (value, level) => queue.add(() => handler(value), { priority: -level })
  },
}
