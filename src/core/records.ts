/** Commands as plain data: one by id, or a page of them. */
import type { Waiting } from './bucket.js'
import { payloadOf } from './command.js'
import type { QueueCore } from './core.js'
import type { AttemptFailure, Entry, LogLine } from './entry.js'
import { configInvalid, type ErrorRecord } from './errors.js'
import type { Journal } from './journal.js'
import type { LaneState } from './lane.js'
import { checkInteger, checkObject, checkOneOf, refuseUnknown } from './options.js'
import { storedRecord } from './restored.js'
import type { Run } from './run.js'
import type { Storage, StoredCommand, StoredQuery } from './storage.js'
import type { TraceContext } from './tracing.js'
import { COMMAND_STATES, type CommandState } from './transitions.js'

/** What is known of a command. Instants are RFC 3339 text in UTC. */
export type CommandRecord = {
  readonly id: string
  readonly commandType: string
  readonly laneId: string
  readonly state: CommandState
  readonly payload: unknown
  readonly priority: number
  /** Number of the attempt that runs or ran last; 0 before the first. */
  readonly attempt: number
  readonly createdAt: string
  readonly startedAt?: string
  readonly endedAt?: string
  /** When a delayed command is due. */
  readonly dueAt?: string
  readonly result?: unknown
  readonly error?: ErrorRecord
  readonly history?: readonly AttemptFailure[]
  readonly logs?: readonly LogLine[]
  /** What the handler reported last. */
  readonly progress?: unknown
  readonly metadata?: unknown
  readonly parentId?: string
  readonly redrivenFrom?: string
  /** The trace that its submit belongs to. */
  readonly traceContext?: TraceContext
}

/** Which commands `list` gives, and how many. */
export type ListOptions = {
  readonly laneId?: string | undefined
  readonly state?: CommandState | undefined
  /** Most items of one page: 1 to 1,000, default 100. */
  readonly limit?: number | undefined
  /** `nextCursor` of the page before. */
  readonly cursor?: string | undefined
}

/** A page of commands in order of their submission; `nextCursor` is there while more may follow. */
export type ListPage = { readonly items: readonly CommandRecord[]; readonly nextCursor?: string }

/** The command with this id, settled ones too while they are kept. */
export function findRecord(core: QueueCore, id: string): CommandRecord | undefined {
  const run = findRun(core, id)
  // What has a run here has an entry, or is found waiting and gets one; one that is in the storage only is read there.
  if (run !== undefined && (core.journal === undefined || typeof run.inner !== 'function')) {
    const entry = core.entryOf(run)
    if (entry !== undefined) return entryRecord(core, entry)
  }
  const row = core.recovery?.recall(id)
  return row === undefined ? undefined : storedRecord(core, row)
}

/** The payload of a command that is known. */
export function payloadOfCommand(core: QueueCore, id: string): unknown {
  const run = findRun(core, id)
  const entry = run === undefined ? undefined : core.entryOf(run)
  return entry === undefined ? undefined : payloadOf(entry.body)
}

/** The run with this id, wherever its command stands. */
export function findRun(core: QueueCore, id: string): Run | undefined {
  const known = core.byId.get(id)
  if (known !== undefined) return known.run
  const seq = core.seqOf(id)
  if (core.journal !== undefined)
    return storedRun(core, core.journal, seq < 0 ? (core.recovery?.recall(id)?.seq ?? -1) : seq)
  if (seq < 0) return undefined
  const isIt = (run: Run): boolean => run.id === id
  for (const lane of core.lanes.values()) {
    const running = core.runningIn(lane).find((entry) => entry.run.id === id)
    if (running !== undefined) return running.run
    const waiting = lane.backlog.find(seq, isIt)
    if (waiting !== undefined) return waiting.run
  }
  for (const entry of core.settled) if (entry.run.id === id) return entry.run
  return undefined
}

/** The run of a stored command, or of one that is kept in memory only, which is found by its id. */
function storedRun(core: QueueCore, { bySeq, coldRuns }: Journal, seq: number): Run | undefined {
  if (seq < 0) return undefined
  const known = bySeq.get(seq)?.run ?? coldRuns.get(seq)
  if (known !== undefined) return known
  for (const entry of core.settled) if (core.seqOfEntry(entry) === seq) return entry.run
  return core.recovery?.fetch(seq)?.run
}

/** A page of commands. `CONFIG_INVALID` for options that are not allowed. */
export function listRecords(core: QueueCore, options: ListOptions): ListPage {
  const { laneId, state, limit = 100 } = checkedListOptions(options)
  if (laneId !== undefined) core.lane(laneId)
  const from = options.cursor === undefined ? 0 : cursorSeq(options.cursor)
  const lanes = [...core.lanes.values()].filter((lane) => laneId === undefined || lane.id === laneId)
  const found: { readonly seq: number; readonly record: () => CommandRecord }[] = []
  const seen = new Set<number>()
  const add = (seq: number, runState: CommandState, record: () => CommandRecord): void => {
    if (seen.has(seq)) return
    seen.add(seq)
    if (seq >= from && (state === undefined || runState === state)) found.push({ seq, record })
  }
  const addEntry = (entry: Entry): void => add(core.seqOfEntry(entry), entry.run.state, () => entryRecord(core, entry))
  for (const lane of lanes) {
    for (const waiting of lane.backlog.waiting(from, limit + 1)) {
      const { inner, id, state: runState } = waiting.run
      if (typeof inner === 'object') addEntry(inner)
      else add(core.seqOf(id), runState, () => waitingRecord(core, waiting))
    }
    for (const entry of entriesElsewhere(core, lane)) addEntry(entry)
  }
  for (const entry of core.settled) if (laneId === undefined || entry.lane.id === laneId) addEntry(entry)
  // Last, so that what is in memory is told as it is now.
  if (core.journal !== undefined) {
    const query = { laneId, state, fromSeq: from, limit: limit + 1 }
    for (const row of unseenRows(core.journal.storage, query, seen))
      add(row.seq, row.state, () => storedRecord(core, row))
  }
  found.sort((a, b) => a.seq - b.seq)
  const items = found.slice(0, limit).map(({ record }) => record())
  const next = found[limit]
  return next === undefined ? { items } : { items, nextCursor: String(next.seq) }
}

export function checkedListOptions(options: ListOptions): ListOptions {
  checkObject('list options', options)
  refuseUnknown('list', options, ['laneId', 'state', 'limit', 'cursor'])
  if (options.limit !== undefined) checkInteger('list limit', options.limit, 1, 1000)
  if (options.state !== undefined) checkOneOf('list state', options.state, COMMAND_STATES)
  return options
}

/** The unsettled commands of a lane that do not stand in its backlog. */
const entriesElsewhere = (core: QueueCore, lane: LaneState): Entry[] => [
  ...core.runningIn(lane),
  ...lane.delayed,
  ...[...lane.parked.values()].flatMap((parked) => [...parked]),
]

/** The stored commands of a page that are not in memory. */
function* unseenRows(storage: Storage, query: StoredQuery, seen: ReadonlySet<number>): Generator<StoredCommand> {
  let { fromSeq } = query
  for (let left = query.limit; left > 0; ) {
    const rows = storage.list({ ...query, fromSeq })
    for (const row of rows) {
      fromSeq = row.seq + 1
      if (seen.has(row.seq) || left === 0) continue
      left--
      yield row
    }
    if (rows.length < query.limit) return
  }
}

function cursorSeq(cursor: unknown): number {
  const seq = typeof cursor === 'string' ? Number(cursor) : Number.NaN
  if (!Number.isSafeInteger(seq) || seq < 0) throw configInvalid('list cursor', 'the nextCursor of a page', cursor)
  return seq
}

function waitingRecord(core: QueueCore, { run, body, priority, arrivedAt }: Waiting): CommandRecord {
  return {
    id: run.id,
    commandType: run.commandType,
    laneId: run.laneId,
    state: run.state,
    payload: payloadOf(body),
    priority,
    attempt: 0,
    createdAt: core.instant(arrivedAt),
  }
}

function entryRecord(core: QueueCore, entry: Entry): CommandRecord {
  const { run, body, priority, details } = entry
  // Nothing of an outcome is told before it is written.
  if (details?.stored?.tell !== undefined) return unwrittenRecord(core, entry)
  const optional = {
    startedAt: entry.startedAt === undefined ? undefined : core.instant(entry.startedAt),
    endedAt: entry.endedAt === undefined ? undefined : core.instant(entry.endedAt),
    dueAt: run.state === 'delayed' && (details?.dueAt ?? -1) >= 0 ? core.instant(details?.dueAt as number) : undefined,
    result: entry.result,
    error: details?.error,
    history: details?.history && [...details.history],
    logs: details?.logs && [...details.logs],
    progress: details?.lastProgress,
    metadata: details?.metadata,
    parentId: details?.parent?.run.id,
    redrivenFrom: details?.redrivenFrom,
    traceContext: details?.trace,
  }
  const present = Object.entries(optional).filter(([, value]) => value !== undefined)
  return {
    ...waitingRecord(core, { run, body, priority, arrivedAt: entry.arrivedAt as number }),
    attempt: entry.attempt,
    ...Object.fromEntries(present),
  }
}

/** A command whose outcome is being written, as it was before. */
function unwrittenRecord(core: QueueCore, { run, body, priority, arrivedAt, attempt }: Entry): CommandRecord {
  const waiting = waitingRecord(core, { run, body, priority, arrivedAt: arrivedAt as number })
  return { ...waiting, state: attempt === 0 ? 'pending' : 'active', attempt }
}
