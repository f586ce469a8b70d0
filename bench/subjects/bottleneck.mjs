// @ts-check
import Bottleneck from 'bottleneck'

// Bottleneck knows ten priorities, 0 first.

/** @type {import('./subject.mjs').Subject} */
export default {
  name: 'bottleneck',

  async single({ concurrency, handler }) {
    const limiter = new Bottleneck({ maxConcurrent: concurrency })
    return (value) => limiter.schedule(handler, value)
  },

  async lanes({ count, concurrency, handler }) {
    const limiters = Array.from({ length: count }, () => new Bottleneck({ maxConcurrent: concurrency }))
    return (value, lane) => /** @type {Bottleneck} */ (limiters[lane]).schedule(handler, value)
  },

  async priorities({ concurrency, handler }) {
    const limiter = new Bottleneck({ maxConcurrent: concurrency })
    return (value, level) => limiter.schedule({ priority: level }, handler, value)
  },
}
