// @ts-check
import fastq from 'fastq'

/** @type {import('./subject.mjs').Subject} */
export default {
  name: 'fastq',

  async single({ concurrency, handler }) {
    const queue = fastq.promise(handler, concurrency)
    return (value) => queue.push(value)
  },

  async lanes({ count, concurrency, handler }) {
    const queues = Array.from({ length: count }, () => fastq.promise(handler, concurrency))
    return (value, lane) => /** @type {fastq.queueAsPromised} */ (queues[lane]).push(value)
  },
}
