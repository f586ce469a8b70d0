// @ts-check
/**
 * What the queue is held to. A goal against a peer is a ratio of medians, ours over theirs, so that the speed of the
 * machine drops out; the others are absolute.
 */

/**
 * @typedef {object} Goal
 * @property {string} workload
 * @property {string} figure
 * @property {string} label  what the printed value is
 * @property {string} [versus]  a subject, or BEST_PEER; left out: the figure itself is judged
 * @property {number} [atLeast]
 * @property {number} [atMost]
 * @property {'median' | 'min'} [by]  what is judged of the rounds; left out: the median
 * @property {number} [noise]  a figure that is exact to this share, whatever the run: forgiven instead of what a quick run forgives
 */

/** The fastest peer in that workload, by median. */
export const BEST_PEER = 'best promise peer'

/** The subject that is judged. */
const OURS = 'lane'

/** What a quick run forgives. */
const QUICK_TOLERANCE = 0.1

/** @type {Goal[]} */
export const goals = [
  { workload: 'W1', figure: 'rate', label: 'rate', versus: BEST_PEER, atLeast: 1 },
  { workload: 'W2', figure: 'rate', label: 'rate', versus: BEST_PEER, atLeast: 1 },
  { workload: 'W3', figure: 'rate', label: 'rate', versus: BEST_PEER, atLeast: 1.3 },
  { workload: 'W4', figure: 'rate', label: 'rate', versus: 'async-priority-queue', atLeast: 2 },
  { workload: 'W4', figure: 'rate', label: 'rate', versus: 'p-queue', atLeast: 15 },
  { workload: 'W5', figure: 'rate', label: 'rate', versus: BEST_PEER, atLeast: 1.3 },
  { workload: 'W5', figure: 'bytes', label: 'bytes per waiting command', atMost: 300 },
  { workload: 'W6', figure: 'rate', label: 'rate', versus: BEST_PEER, atLeast: 1 },
  { workload: 'W7', figure: 'p50', label: 'µs from submit to start', atMost: 2 },
  { workload: 'W8', figure: 'p99', label: 'p99', versus: BEST_PEER, atMost: 1 },
  { workload: 'L1', figure: 'ratio', label: 'cost with a million waiting vs 1,000', atMost: 1.5 },
  { workload: 'L2', figure: 'ratio', label: 'cost with 1,000 lanes vs 6', atMost: 1.5 },
  { workload: 'L3', figure: 'cost', label: 'ns per command for one subscriber', atMost: 1000 },
  { workload: 'P1', figure: 'p99', label: 'ms to a start by preemption, p99', atMost: 1 },
  { workload: 'P2', figure: 'ratio', label: 'rate with fair turns of 10,000 keys vs none', atLeast: 0.7 },
  { workload: 'M1', figure: 'cost', label: 'ns per command for metrics', atMost: 250 },
  { workload: 'M2', figure: 'ratio', label: 'rate with metrics vs none', atLeast: 0.95 },
  { workload: 'M3', figure: 'p50', label: 'ms for a scrape of 100 lanes', atMost: 5 },
  { workload: 'T1', figure: 'ratio', label: 'rate on two threads vs one', atLeast: 1.7 },
  { workload: 'T2', figure: 'handover', label: 'time to a thread and back vs piscina.run in a lane', atMost: 1.2 },
]

/** Of the suite `storage`. @type {Goal[]} */
export const storageGoals = [
  { workload: 'S1', figure: 'rate', label: 'commands per second, synced', atLeast: 100_000 },
  { workload: 'S2', figure: 'rate', label: 'rate', versus: 'plainjob', atLeast: 5 },
  { workload: 'S3', figure: 'rate', label: 'rate', versus: 'sqlite', atLeast: 0.8 },
  { workload: 'S4', figure: 'rate', label: 'commands per second, not synced', atLeast: 200_000 },
  { workload: 'S5', figure: 'ms', label: 'ms to the first start', atMost: 1000 },
  { workload: 'S6', figure: 'p99', label: 'ms that the event loop is late, p99', atMost: 20 },
]

/** Of the suite `session`. @type {Goal[]} */
export const sessionGoals = [
  { workload: 'Q1', figure: 'us', label: 'µs per tool call', atMost: 20 },
  { workload: 'Q2', figure: 'us', label: 'µs per tool call', atMost: 20 },
  { workload: 'Q3', figure: 'ms', label: 'time of eight reads', versus: 'direct', atMost: 0.5 },
  { workload: 'Q4', figure: 'p99', label: 'ms to everything stopped, p99', atMost: 50 },
]

/** Of the suite `engine`. @type {Goal[]} */
export const engineGoals = [
  { workload: 'E1', figure: 'perSecond', label: 'one worker', versus: 'bullmq', atLeast: 0.9 },
  { workload: 'E2', figure: 'perSecond', label: 'submit and await', versus: 'bullmq', atLeast: 2 },
  { workload: 'E3', figure: 'perSecond', label: 'submit at once', versus: 'bullmq', atLeast: 1 },
  { workload: 'E4', figure: 'p50', label: 'idle submit to start', versus: 'bullmq', atMost: 1.3 },
  { workload: 'E5', figure: 'p99', label: 'ms to a control start', atMost: 20 },
]

/**
 * @typedef {Goal & { value: number, peer?: string, ok: boolean, tolerance: number }} Verdict
 */

/**
 * Judges every goal whose figures were measured; the others are left out.
 *
 * @param {import('./outcome.mjs').Row[]} rows
 * @param {{ quick: boolean, held?: readonly Goal[] }} options  `held`: the goals, those of the suite `core` when left out
 * @returns {Verdict[]}
 */
export function judge(rows, { quick, held = goals }) {
  /** @type {Verdict[]} */
  const verdicts = []
  for (const goal of held) {
    const tolerance = goal.noise ?? (quick ? QUICK_TOLERANCE : 0)
    const measured = measuredValue(
      goal,
      rows.find(({ id }) => id === goal.workload),
    )
    if (measured === undefined) continue
    const ok =
      measured.value >= (goal.atLeast ?? Number.NEGATIVE_INFINITY) * (1 - tolerance) &&
      measured.value <= (goal.atMost ?? Number.POSITIVE_INFINITY) * (1 + tolerance)
    verdicts.push({ ...goal, ...measured, ok, tolerance })
  }
  return verdicts
}

/**
 * @param {Goal} goal
 * @param {import('./outcome.mjs').Row | undefined} row
 * @returns {{ value: number, peer?: string } | undefined}
 */
function measuredValue(goal, row) {
  const { by = 'median' } = goal
  const ours = row?.subjects[OURS]?.[goal.figure]?.[by]
  if (row === undefined || ours === undefined) return
  if (goal.versus === undefined) return { value: ours }
  const peer = goal.versus === BEST_PEER ? bestPeer(row, goal.figure) : goal.versus
  const theirs = peer === undefined ? undefined : row.subjects[peer]?.[goal.figure]?.[by]
  return peer === undefined || theirs === undefined ? undefined : { value: ours / theirs, peer }
}

/**
 * @param {import('./outcome.mjs').Row} row
 * @param {string} figure
 * @returns {string | undefined} the peer with the best median
 */
export function bestPeer(row, figure) {
  const sign = row.figures.find(({ key }) => key === figure)?.better === 'less' ? 1 : -1
  const median = (/** @type {string} */ name) => (row.subjects[name]?.[figure]?.median ?? 0) * sign
  return Object.keys(row.subjects)
    .filter((name) => name !== OURS && row.subjects[name]?.[figure] !== undefined)
    .sort((left, right) => median(left) - median(right))[0]
}

/**
 * One line: `goal W3 rate vs best promise peer: 1.42 (at least 1.30) ok`.
 *
 * @param {Verdict} verdict
 */
export function goalLine(verdict) {
  const versus = verdict.versus === undefined ? '' : ` vs ${verdict.versus}`
  const name = verdict.versus === BEST_PEER ? ` (${verdict.peer})` : ''
  const limit = verdict.atLeast === undefined ? 'at most' : 'at least'
  const bound = (verdict.atLeast ?? verdict.atMost ?? 0).toFixed(2)
  const tolerance = verdict.tolerance === 0 ? '' : `, ${verdict.tolerance * 100} % tolerance`
  const label = verdict.label === 'rate' ? '' : ` ${verdict.label}`
  const outcome = verdict.ok ? 'ok' : 'MISSED'
  return `goal ${verdict.workload}${label}${versus}${name}: ${shown(verdict)} (${limit} ${bound}${tolerance}) ${outcome}`
}

/**
 * Two decimals, cut towards the failing side: a value just short of its goal never reads as if it had reached it.
 *
 * @param {Verdict} verdict
 */
function shown({ value, atLeast }) {
  const hundredths = atLeast === undefined ? Math.ceil(value * 100 - 1e-6) : Math.floor(value * 100 + 1e-6)
  return (hundredths / 100).toFixed(2)
}
