// @ts-check
import pLimit from 'p-limit'

/** @type {import('./subject.mjs').Subject} */
export default {
  name: 'p-limit',

  async single({ concurrency, handler }) {
    const limit = pLimit(concurrency)
    return (value) => limit(handler, value)
  },

  async lanes({ count, concurrency, handler }) {
    const limits = Array.from({ length: count }, () => pLimit(concurrency))
    return (value, lane) => /** @type {import('p-limit').LimitFunction} */ (limits[lane])(handler, value)
  },
}
