/**
 * Stored commands whose type has no handler. Such a command may be meant for a program that is not there yet, so it does not
 * fail: it stands aside, its lane goes on without it, and it is back in its place when there is a handler.
 */
import type { QueueCore } from './core.js'
import type { Entry } from './entry.js'
import { LaneError } from './errors.js'
import type { Journal } from './journal.js'

/** Puts a command aside until there is a handler for its type. */
export function park(core: QueueCore, entry: Entry): void {
  const { lane, run } = entry
  let parked = lane.parked.get(run.commandType)
  if (parked === undefined) {
    parked = new Set()
    lane.parked.set(run.commandType, parked)
  }
  parked.add(entry)
  lane.parkedCount++
  // They stand in memory, so there is an end to it.
  if (lane.parkedCount < 2 * (core.journal as Journal).window) return
  lane.isStuck = true
  const text = `${lane.parkedCount} commands of lane '${lane.id}' have no handler, the last a '${run.commandType}': the lane waits for one`
  core.fault(new LaneError('HANDLER_NOT_FOUND', text), { lane_id: lane.id })
}

/** There is a handler for a type: who waits for it may run. */
export function unpark(core: QueueCore, type: string): void {
  for (const lane of core.lanes.values()) {
    const parked = lane.parked.get(type)
    if (parked === undefined) continue
    lane.isStuck = false
    for (const entry of parked) {
      leaveParked(entry)
      lane.backlog.putBack(entry)
      core.joins(entry)
      core.askForPass()
    }
  }
}

/** There may be a handler for any type now. */
export function unparkAll(core: QueueCore): void {
  const types = new Set([...core.lanes.values()].flatMap(({ parked }) => [...parked.keys()]))
  for (const type of types) if (core.handlers.has(type)) unpark(core, type)
}

/** Takes a command back; false when it was not put aside. */
export function leaveParked(entry: Entry): boolean {
  const { lane, run } = entry
  const parked = lane.parked.get(run.commandType)
  if (parked?.delete(entry) !== true) return false
  if (parked.size === 0) lane.parked.delete(run.commandType)
  lane.parkedCount--
  return true
}
