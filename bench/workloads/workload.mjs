// @ts-check
/** What a row of the benchmark is. */

/**
 * @typedef {object} Settings
 * @property {number} warmUpMs  least time of running that is not measured
 * @property {number} measureMs  least measured time of the throughput rows
 * @property {number} waiting  commands waiting in W5
 * @property {number} samples  measured submissions of the latency rows; W7 takes 20 times as many
 */

/**
 * @typedef {object} Figure
 * @property {string} key  of the measured value
 * @property {string} label  with its unit
 * @property {'more' | 'less'} better
 */

/**
 * @typedef {object} Workload
 * @property {string} id
 * @property {string} title
 * @property {string[]} subjects  the ones it makes sense for, in the order they are interleaved
 * @property {Figure[]} figures
 * @property {(subject: import('../subjects/subject.mjs').Subject, settings: Settings) => Promise<Record<string, number>>} measure
 *   runs in a process of its own
 */

export {}
