// @ts-check
/**
 * What every subject offers to the workloads. A subject is used the way its own documentation advises, always through its
 * promise API, and always with the same handler: the workload hands it over, the subject only decides how it is attached.
 *
 * `submit` must return the promise that settles with the handler's value. Nothing else is allowed to differ.
 */

/** @typedef {(value: number) => Promise<unknown>} Handler */

/**
 * @typedef {object} Subject
 * @property {string} name
 * @property {(setup: { concurrency: number, handler: Handler }) => Promise<(value: number) => PromiseLike<unknown>>} single
 *   one lane (a peer: one queue)
 * @property {(setup: { count: number, concurrency: number, handler: Handler }) =>
 *   Promise<(value: number, lane: number) => PromiseLike<unknown>>} lanes
 *   `count` lanes with `concurrency` slots each (a peer: `count` queues)
 * @property {(setup: { levels: number, concurrency: number, handler: Handler }) =>
 *   Promise<(value: number, level: number) => PromiseLike<unknown>>} [priorities]
 *   `levels` priorities, 0 first, that share `concurrency` slots; left out by a peer that has no priorities
 */

export {}
