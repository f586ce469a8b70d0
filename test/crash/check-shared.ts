/**
 * What is judged where several processes share lanes at the same time: limits that hold over all of them, and commands that
 * may run again because their process or the server stood still longer than a lease lasts.
 */
import type { Found, Limits } from './check-history.js'
import type { HistoryRecord } from './history.js'

/** In whose name the server's standstills stand in a history. */
export const SERVER = 'server'

/** Who goes on after a standstill sees within so long what came meanwhile. */
const BELATED_US = 3_000_000

/**
 * Bodies that began when their process went on after a standstill, on a claim that was made before it: their lease may have
 * ended meanwhile.
 */
function belatedStarts(records: readonly HistoryRecord[]): HistoryRecord[] {
  const backAt = new Map<string, number>()
  return records.filter(({ op, at, process }) => {
    if (op === 'back') backAt.set(process, at)
    return op === 'start' && at - (backAt.get(process) ?? Number.NEGATIVE_INFINITY) < BELATED_US
  })
}

/**
 * The history without what such bodies were seen to begin with: where their command has gone on meanwhile, they begin in its
 * past. Their ends are refused, which is judged.
 */
export function withoutBelated(records: readonly HistoryRecord[]): HistoryRecord[] {
  const belated = new Set(belatedStarts(records).map(keyOf))
  return records.filter((record) => (record.op !== 'start' && record.op !== 'restore') || !belated.has(keyOf(record)))
}

/**
 * Ends that were refused: their process knows of no outcome, and the command began again. The lease was lost before the body
 * could be told, and from when on it held no slot any more nobody has written down.
 */
function refusedEnds(records: readonly HistoryRecord[]): HistoryRecord[] {
  const over = new Set(records.filter(isOver).map(keyOf))
  const lastAttempt = new Map<string, number>()
  for (const { op, command, attempt = 0 } of records) {
    if (op === 'start') lastAttempt.set(command, Math.max(attempt, lastAttempt.get(command) ?? 0))
  }
  return records.filter(
    (record) =>
      record.op === 'end' && !over.has(keyOf(record)) && (lastAttempt.get(record.command) ?? 0) > (record.attempt ?? 0),
  )
}

/** The history without bodies that may have run without a lease: beside another one of their command, and in no slot. */
export function withLeases(records: readonly HistoryRecord[]): HistoryRecord[] {
  const lost = records.filter(({ end }) => end === 'lost')
  const without = new Set([...lost, ...belatedStarts(records)].map(keyOf))
  return records.filter((record) => (record.op !== 'start' && record.op !== 'end') || !without.has(keyOf(record)))
}

const keyOf = ({ process, command, attempt }: HistoryRecord): string => `${process} ${command} ${attempt}`

/** For each command how often it was under way when its process, or the server, stood still. */
export function standstills(records: readonly HistoryRecord[]): Map<string, number> {
  const counts = new Map<string, number>()
  const count = (name: string): void => void counts.set(name, (counts.get(name) ?? 0) + 1)
  /** Commands under way, by process. */
  const running = new Map<string, Set<string>>()
  for (const record of records) {
    const own = running.get(record.process) ?? new Set()
    running.set(record.process, own)
    if (record.op === 'start') own.add(record.command)
    if (isOver(record)) own.delete(record.command)
    for (const name of stoodStill(record, own, running)) count(name)
    // who was killed is counted by what its history lacks
    if (record.op === 'killed') own.clear()
  }
  for (const { command } of belatedStarts(records)) count(command)
  return counts
}

const isOver = ({ op, kind }: HistoryRecord): boolean => op === 'release' || (op === 'complete' && kind === 'ok')

/** Commands under way that this record is a standstill of. What began in the server's last moment is seen when it is back. */
function stoodStill({ op, process }: HistoryRecord, own: Set<string>, all: Map<string, Set<string>>): string[] {
  if (process === SERVER) return [...all.values()].flatMap((set) => [...set])
  return op === 'suspended' ? [...own] : []
}

/** Bodies that have a lease, of all processes: one of a command at a time, and no more than a lane allows. */
export function judgeTogether(records: readonly HistoryRecord[], limits: Limits, found: Found): void {
  const running = new Map<string, HistoryRecord>()
  const refused = new Set(refusedEnds(records).map(keyOf))
  for (const record of records) {
    forget(running, record)
    if (record.op !== 'start') continue
    const { command, process, lane = '' } = record
    const other = running.get(command)
    if (other !== undefined && other.process !== process)
      found.overlap.push(`${command}: began on ${process} while it ran on ${other.process}`)
    running.set(command, record)
    const count = [...running.values()].filter((body) => body.lane === lane && !refused.has(keyOf(body))).length
    const most = limits.lanes[lane] ?? Number.POSITIVE_INFINITY
    if (count > most) found.overrun.push(`${command}: number ${count} in ${lane} over all processes, at most ${most}`)
  }
}

/** Bodies that end with this record: who stands still may lose leases without knowing, who was killed runs nothing. */
function forget(running: Map<string, HistoryRecord>, { op, process, command }: HistoryRecord): void {
  if (op === 'end' && running.get(command)?.process === process) running.delete(command)
  if (op !== 'killed' && op !== 'suspended') return
  for (const [name, body] of running) if (body.process === process) running.delete(name)
}
