// @ts-check
/**
 * L1, L2 and L3: what the queue's own size and its subscribers cost each command. Only for the lane subject; both sides of
 * a comparison are measured in one process, the small side first.
 */
import { burstOf, collectGarbage, heldPromise, rateOfBursts, spreadBurstOf, turn } from './bursts.mjs'

/** @typedef {import('./workload.mjs').Workload} Workload */
/** @typedef {import('./workload.mjs').Settings} Settings */

const CONCURRENCY = 10
const BURST = 100
/** Six commands for each of a thousand lanes, a thousand for each of six. */
const LANES_BURST = 6000
/** Enough for each of six lanes to run its thousand at once, so that as many are in flight over a thousand lanes. */
const LANES_CONCURRENCY = 1000
const FEW_WAITING = 1000
const FEW_LANES = 6
const MANY_LANES = 1000
const PRIORITIES = 256
/** The stream's buffer: three events of each command in a burst, and room. */
const EVENT_CAPACITY = 4 * BURST
const BLOCKER = -1

const echo = async (/** @type {number} */ value) => value

/** @param {number} rate  per second */
const nanoseconds = (rate) => 1e9 / rate

/**
 * The cost of a command in one lane while `count` others wait in a lane of lower priority whose slots are all taken.
 *
 * @param {number} count
 * @param {Settings} settings
 */
async function costBeside(count, settings) {
  const { startedQueue } = await import('../subjects/lane.mjs')
  const { promise: never } = heldPromise()
  const queue = await startedQueue(
    {
      lanes: {
        bench: { priority: 1, maxConcurrency: CONCURRENCY },
        backlog: { priority: 2, maxConcurrency: CONCURRENCY },
      },
    },
    async (/** @type {number} */ value) => (value === BLOCKER ? never : value),
  )
  for (let i = 0; i < CONCURRENCY; i++) void queue.submit('backlog', { type: 'bench', payload: BLOCKER })
  await turn()
  for (let i = 0; i < count; i++) void queue.submit('backlog', { type: 'bench', payload: i })
  if (queue.stats().totalPending !== count) throw new Error('the backlog is not waiting')
  collectGarbage()
  const submit = (/** @type {number} */ value) => queue.submit('bench', { type: 'bench', payload: value })
  return nanoseconds(await rateOfBursts(burstOf(BURST, submit), { size: BURST, ...settings }))
}

/**
 * The cost of a command over `count` lanes of up to 256 priorities.
 *
 * @param {number} count
 * @param {Settings} settings
 */
async function costOver(count, settings) {
  const { numberedLanes, startedQueue } = await import('../subjects/lane.mjs')
  const { ids, lanes } = numberedLanes(count, (index) => ({
    priority: index % PRIORITIES,
    maxConcurrency: LANES_CONCURRENCY,
  }))
  const queue = await startedQueue({ lanes }, echo)
  const burst = spreadBurstOf(LANES_BURST, count, (value, lane) =>
    queue.submit(/** @type {string} */ (ids[lane]), { type: 'bench', payload: value }),
  )
  return nanoseconds(await rateOfBursts(burst, { size: LANES_BURST, ...settings }))
}

/**
 * W1 with a turn of the event loop after each burst, in which a subscriber reads what is left; the next burst waits until it
 * has read everything.
 *
 * @param {Settings} settings
 */
async function subscriberCost(settings) {
  const { defaultLanes } = await import('@a3s-lab/lane')
  const { startedQueue } = await import('../subjects/lane.mjs')
  const lanes = { ...defaultLanes(), bench: { priority: 3, maxConcurrency: CONCURRENCY } }
  const queue = await startedQueue({ lanes }, echo)
  const burst = burstOf(BURST, (value) => queue.submit('bench', { type: 'bench', payload: value }))
  const unread = async () => {
    await burst()
    await turn()
  }
  const off = nanoseconds(await rateOfBursts(unread, { size: BURST, ...settings }))
  const seen = reader(queue.subscribe({ capacity: EVENT_CAPACITY }))
  let submitted = 0
  const read = async () => {
    submitted += BURST
    await unread()
    while (seen.completed < submitted && !seen.dropped) await turn()
    if (seen.dropped) throw new Error('the subscriber was too slow to see every event')
  }
  const on = nanoseconds(await rateOfBursts(read, { size: BURST, ...settings }))
  return { off, on, cost: on - off }
}

/**
 * Reads a stream to its end, or to the first event that it missed.
 *
 * @param {AsyncIterable<{ key: string }>} stream
 */
function reader(stream) {
  const seen = { completed: 0, dropped: false }
  const read = async () => {
    for await (const { key } of stream) {
      if (key === 'queue.command.completed') seen.completed++
      else if (key === 'events.dropped') seen.dropped = true
    }
  }
  void read()
  return seen
}

/** @type {Workload[]} */
export const scaling = [
  {
    id: 'L1',
    title: 'cost per command, 1,000 waiting and a million (quick: 200,000)',
    subjects: ['lane'],
    figures: [
      { key: 'few', label: 'ns with 1,000 waiting', better: 'less' },
      { key: 'many', label: 'ns with a million waiting', better: 'less' },
      { key: 'ratio', label: 'times', better: 'less' },
    ],
    async measure(_subject, settings) {
      const few = await costBeside(FEW_WAITING, settings)
      const many = await costBeside(settings.waiting, settings)
      return { few, many, ratio: many / few }
    },
  },
  {
    id: 'L2',
    title: 'cost per command, 6 lanes and 1,000',
    subjects: ['lane'],
    figures: [
      { key: 'few', label: 'ns with 6 lanes', better: 'less' },
      { key: 'many', label: 'ns with 1,000 lanes', better: 'less' },
      { key: 'ratio', label: 'times', better: 'less' },
    ],
    async measure(_subject, settings) {
      const few = await costOver(FEW_LANES, settings)
      const many = await costOver(MANY_LANES, settings)
      return { few, many, ratio: many / few }
    },
  },
  {
    id: 'L3',
    title: 'one event subscriber, off and on',
    subjects: ['lane'],
    figures: [
      { key: 'off', label: 'ns per command without', better: 'less' },
      { key: 'on', label: 'ns per command with', better: 'less' },
      { key: 'cost', label: 'ns more per command', better: 'less' },
    ],
    measure: (_subject, settings) => subscriberCost(settings),
  },
]
