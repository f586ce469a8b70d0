// @ts-check
import { fairness } from './fairness.mjs'
import { latency } from './latency.mjs'
import { metrics } from './metrics.mjs'
import { policiesInUse } from './policies-in-use.mjs'
import { preemption } from './preemption.mjs'
import { reference } from './reference.mjs'
import { scaling } from './scaling.mjs'
import { scrape } from './scrape.mjs'
import { threads } from './threads.mjs'
import { throughput } from './throughput.mjs'
import { waiting } from './waiting.mjs'

/** Every row of the suite `core`, in the order it is measured and printed. */
export const workloads = [
  ...throughput,
  ...waiting,
  ...latency,
  ...scaling,
  ...preemption,
  ...fairness,
  ...policiesInUse,
  ...metrics,
  ...scrape,
  ...threads,
  ...reference,
].sort(byGroupAndNumber)

/**
 * W, then L, P, M, T, then R; numbers ascending.
 *
 * @param {import('./workload.mjs').Workload} left
 * @param {import('./workload.mjs').Workload} right
 */
function byGroupAndNumber(left, right) {
  const groups = 'WLPMTR'
  return groups.indexOf(left.id.charAt(0)) - groups.indexOf(right.id.charAt(0)) || left.id.localeCompare(right.id)
}
