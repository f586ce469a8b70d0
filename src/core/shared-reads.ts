/** What a queue with an engine tells of commands that other processes have submitted or run. */
import { type CancelledError, cancelledError, reasonText } from './cancelled-error.js'
import { tellCancelled } from './coordinator.js'
import type { QueueCore } from './core.js'
import type { EngineLink } from './engine-link.js'
import { type CommandRecord, checkedListOptions, type ListOptions, type ListPage } from './records.js'
import { engineRecord } from './shared-command.js'

/** Counts of one lane over all processes. */
export type ClusterLaneStatus = {
  /** Commands that wait for a slot. */
  readonly pending: number
  readonly active: number
  /** Commands that wait for their time. */
  readonly delayed: number
  readonly deadLetters: number
  readonly paused: boolean
}

/** What `queue.clusterStats()` gives. */
export type ClusterStats = {
  readonly totalPending: number
  readonly totalActive: number
  readonly totalDelayed: number
  readonly deadLetterCount: number
  readonly lanes: Readonly<Record<string, ClusterLaneStatus>>
  /** Facts about this process' connection: how many there are, whether it is up. */
  readonly connection: Readonly<Record<string, string | number | boolean>>
}

/** The command with this id, wherever it was submitted. */
export async function findShared(core: QueueCore, id: string): Promise<CommandRecord | undefined> {
  const { link } = core
  if (link === undefined) return undefined
  await link.open()
  const record = await link.engine.find(id)
  return record === undefined ? undefined : engineRecord(core, record)
}

/** A page of commands. The cursor is the engine's. */
export async function listShared(core: QueueCore, options: ListOptions): Promise<ListPage> {
  const { laneId, state, limit = 100, cursor } = checkedListOptions(options)
  const { link } = core
  if (link === undefined) return { items: [] }
  const laneIds = laneId === undefined ? [...core.lanes.keys()] : [core.lane(laneId).id]
  await link.open()
  const { items, nextCursor } = await link.engine.list({ laneIds, state, limit, cursor })
  const records = items.map((record) => engineRecord(core, record))
  return nextCursor === undefined ? { items: records } : { items: records, nextCursor }
}

/** Asks for the end of a command that was not submitted here. True: it was asked for. */
export function cancelShared(core: QueueCore, id: string, reason: unknown): boolean {
  const { link } = core
  if (link === undefined) return false
  if (link.coordinator.runOf(id) !== undefined) return link.coordinator.cancel(id, reason)
  cancelElsewhere(core, link, id, cancelledError(reason)).catch((error: unknown) => {
    core.fault(error, { command_id: id })
  })
  return true
}

async function cancelElsewhere(core: QueueCore, link: EngineLink, id: string, error: CancelledError): Promise<void> {
  await link.open()
  const answer = await link.engine.cancel(id, undefined, reasonText(error.reason))
  if (answer !== 'cancelled' || !core.hasListeners) return
  const record = await link.engine.find(id)
  if (record !== undefined) tellCancelled(core, record.command, error)
}

/** Counts over all processes. */
export async function clusterStats(core: QueueCore): Promise<ClusterStats> {
  const { link } = core
  const lanes: Record<string, ClusterLaneStatus> = {}
  if (link === undefined) {
    for (const lane of core.lanes.values()) {
      const { pending, active, delayed, paused } = lane.status()
      const letters = core.deadLetters?.list().filter(({ laneId }) => laneId === lane.id).length ?? 0
      lanes[lane.id] = { pending, active, delayed, deadLetters: letters, paused }
    }
  } else {
    for (const { laneId, pending, active, delayed, letters, paused } of await link.counts()) {
      lanes[laneId] = { pending, active, delayed, deadLetters: letters, paused }
    }
  }
  const sum = (count: (lane: ClusterLaneStatus) => number): number =>
    Object.values(lanes).reduce((total, lane) => total + count(lane), 0)
  return {
    totalPending: sum(({ pending }) => pending),
    totalActive: sum(({ active }) => active),
    totalDelayed: sum(({ delayed }) => delayed),
    deadLetterCount: sum(({ deadLetters }) => deadLetters),
    lanes,
    connection: link?.engine.facts() ?? {},
  }
}
