// @ts-check
/** What stands in the pictures: a chart per suite, a panel per workload. */

/**
 * @typedef {object} Panel
 * @property {string} workload
 * @property {string} figure
 * @property {string} title
 * @property {string} unit  the line under the title; says which direction is better
 * @property {string} [offScale]  a subject so slow that its bar would flatten all others; named instead of drawn
 */

/** @typedef {{ title: string, note: string, panels: Panel[] }} Chart */

const RATE = 'commands per second; longer is better'

/** By suite; panels left to right, top to bottom. @type {Readonly<Record<string, Chart>>} */
export const charts = {
  core: {
    title: 'Lane and its peers, side by side',
    note: 'Trivial async handlers, every result awaited.',
    panels: [
      { workload: 'W1', figure: 'rate', title: 'Bursts of 100, one lane', unit: RATE },
      { workload: 'W2', figure: 'rate', title: 'Bursts of 100 over 10 lanes', unit: RATE },
      { workload: 'W3', figure: 'rate', title: 'A burst of 100,000', unit: RATE },
      { workload: 'W4', figure: 'rate', title: '100,000 over six priorities', unit: RATE },
      { workload: 'W5', figure: 'rate', title: 'A million waiting', unit: RATE },
      {
        workload: 'W5',
        figure: 'bytes',
        title: 'A million waiting: memory',
        unit: 'bytes per command; shorter is better',
      },
      { workload: 'W6', figure: 'rate', title: '100,000 that await setImmediate', unit: RATE },
      {
        workload: 'W8',
        figure: 'p99',
        title: 'Urgent command, 100,000 × 1 ms ahead of it',
        unit: 'ms to start, 99th percentile; shorter is better',
        offScale: 'bottleneck',
      },
    ],
  },
  storage: {
    title: 'Durable commands, from submit to recorded result',
    note: 'sqlite and lmdb are limits: they run nothing.',
    panels: [
      { workload: 'S1', figure: 'rate', title: '1,000 in flight, every commit synced', unit: RATE },
      { workload: 'S4', figure: 'rate', title: '1,000 in flight, no commit synced', unit: RATE },
      { workload: 'S3', figure: 'rate', title: 'One at a time, every commit synced', unit: RATE },
      { workload: 'S2', figure: 'rate', title: '1,000 in flight: lane syncs, plainjob does not', unit: RATE },
    ],
  },
  engine: {
    title: 'Lanes of many processes on BullMQ, and BullMQ itself',
    note: 'Six lanes in strict order, and one plain queue.',
    panels: [
      { workload: 'E1', figure: 'perSecond', title: 'One worker on a backlog', unit: RATE },
      { workload: 'E6', figure: 'perSecond', title: 'Two workers', unit: RATE },
      { workload: 'E7', figure: 'perSecond', title: 'Four workers', unit: RATE },
      { workload: 'E2', figure: 'perSecond', title: 'Submit and await, 2,000 in flight', unit: RATE },
      { workload: 'E3', figure: 'perSecond', title: 'Submit 1,000 at once', unit: RATE },
      { workload: 'E4', figure: 'p50', title: 'Idle: submit to start', unit: 'ms, median; shorter is better' },
    ],
  },
}
