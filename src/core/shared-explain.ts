/** Why a command waits, or what it does, where several processes share it: as the engine knows it at this moment. */
import { instantText } from './clock.js'
import type { QueueCore } from './core.js'
import type { EngineLaneCounts, EngineRecord } from './engine.js'
import { type ExplainedReason, type Explanation, explain } from './explain.js'
import { isFinal } from './transitions.js'

/** Explains the command with this id; undefined when it is not known. What runs here is explained by this queue. */
export async function explainShared(core: QueueCore, id: string): Promise<Explanation | undefined> {
  const here = explain(core, id)
  const { link } = core
  if (here !== undefined || link === undefined) return here
  const [record, counts] = await Promise.all([link.open().then(() => link.engine.find(id)), link.counts()])
  if (record === undefined) return undefined
  const lane = counts.find(({ laneId }) => laneId === record.command.laneId)
  return { state: record.state, reasons: reasonsOf(core, record, lane) }
}

function reasonsOf(core: QueueCore, record: EngineRecord, counts: EngineLaneCounts | undefined): ExplainedReason[] {
  const { state, dueAt, endedAt, startedAt, progress } = record
  if (isFinal(state)) {
    const at = endedAt === undefined ? '' : ` at ${instantText(endedAt)}`
    return [{ code: 'settled', message: `It ended as ${state}${at}` }]
  }
  if (state === 'active') {
    const since = startedAt === undefined ? '' : ` since ${instantText(startedAt)}`
    return [{ code: 'running', message: `A worker runs it${since}` }]
  }
  if (state === 'delayed') {
    const message =
      progress.attempt === 0 ? 'It was submitted with a delay' : `Attempt ${progress.attempt + 1} follows after a delay`
    const until = dueAt === undefined ? {} : { until: instantText(dueAt) }
    return [{ code: 'delayed', message, ...until }]
  }
  return whyPending(core, record, counts)
}

function whyPending(
  core: QueueCore,
  { command }: EngineRecord,
  counts: EngineLaneCounts | undefined,
): ExplainedReason[] {
  const { laneId } = command
  const reasons: ExplainedReason[] = []
  const max = core.lanes.get(laneId)?.limits.max ?? Number.POSITIVE_INFINITY
  if (counts?.paused === true) reasons.push({ code: 'paused', message: `Lane '${laneId}' is paused` })
  if (counts !== undefined && counts.active >= max) {
    reasons.push({ code: 'lane_full', message: `All ${max} slots of lane '${laneId}' are in use, over all workers` })
  }
  if (counts !== undefined && counts.pending > 1) {
    const message = `${counts.pending} commands wait in lane '${laneId}', this one among them`
    reasons.push({ code: 'waiting', message })
  }
  if (reasons.length === 0)
    reasons.push({ code: 'no_worker', message: 'It starts when a worker has a free slot for it' })
  return reasons
}
