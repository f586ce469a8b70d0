/** Waits until a lane is empty: here, and with an engine in every process that shares it. */
import type { QueueCore } from './core.js'
import { formatDuration, LaneError } from './errors.js'
import type { LaneState } from './lane.js'
import { checkMs } from './options.js'

/** With an engine nobody tells when a lane is empty: it is looked at so often. */
const LOOK_MS = 200

/** `DRAIN_TIMEOUT` at the limit, the signal's reason when that aborts. */
export async function drainLane(
  core: QueueCore,
  lane: LaneState,
  timeoutMs: number,
  signal: AbortSignal | undefined,
): Promise<void> {
  checkMs('drain timeoutMs', timeoutMs, 0)
  const until = core.clock.now() + timeoutMs
  for (;;) {
    signal?.throwIfAborted()
    const left = await unsettled(core, lane)
    if (left === 0) return
    const leftMs = until - core.clock.now()
    if (leftMs <= 0) throw timedOut(lane, timeoutMs, left)
    await changed(core, core.link === undefined ? leftMs : Math.min(LOOK_MS, leftMs), signal)
  }
}

/** How many commands of the lane have no outcome yet, or still hold a slot. */
async function unsettled(core: QueueCore, lane: LaneState): Promise<number> {
  const { journal, link } = core
  const { pending, active, delayed, zombies } = lane.status()
  const here = pending + active + delayed + zombies
  if (link !== undefined) {
    const own = link.coordinator.countOf(lane.id)
    const shared = (await link.counts()).find(({ laneId }) => laneId === lane.id)
    return Math.max(here, own, shared === undefined ? 0 : shared.pending + shared.active + shared.delayed)
  }
  if (here > 0 || journal === undefined) return here
  // settled, and not written yet
  return [...journal.bySeq.values()].filter((entry) => entry.lane === lane).length
}

/** Resolves after the next pass, or with an engine after a time; at the limit in any case. */
function changed(core: QueueCore, ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    const end = (): void => {
      core.clock.clearTimer(timer)
      core.onPassEnd.delete(end)
      signal?.removeEventListener('abort', end)
      resolve()
    }
    const timer = core.clock.setTimer(ms, end)
    if (core.link === undefined) core.onPassEnd.add(end)
    signal?.addEventListener('abort', end, { once: true })
  })
}

const timedOut = ({ id }: LaneState, timeoutMs: number, left: number): LaneError =>
  new LaneError(
    'DRAIN_TIMEOUT',
    `Command timed out after ${formatDuration(timeoutMs)} while draining lane '${id}'; commands left: ${left}`,
    { fields: { timeoutMs, laneId: id, left } },
  )
