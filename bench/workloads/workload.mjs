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
 * @property {readonly string[]} [sides]  what is compared within a subject: every side is measured in a process of its own, one
 *   right after the other, and their figures are put together
 * @property {(figures: Record<string, number>) => Record<string, number>} [joined]  figures that come of several sides
 * @property {string[]} [ungraded]  subjects that no goal can depend on: a quick run measures them in its first round only
 * @property {(subject: import('../subjects/subject.mjs').Subject, settings: Settings, side: string) => Promise<Record<string, number>>} measure
 *   runs in a process of its own; `side` is '' in a workload without sides
 */

export {}
