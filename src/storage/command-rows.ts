/** Commands as rows of the tables `commands` and `cold`, and back: with the checksums that make damage show. */
import type { StoredCommand } from '../core/index.js'
import { STATES } from './batch-format.js'
import type { OutcomeFields, ProgressFields, SubmitFields } from './batch-view.js'
import { sumOfValues } from './checksum.js'
import type { Row, SqlValue } from './driver.js'
import { corrupt } from './failure.js'
import type { Names } from './names.js'
import type { NetChange } from './net-changes.js'
import { optionalFromColumn, optionalToColumn } from './text-column.js'

/** A command as it is known from rows and journal together. */
export type KnownCommand = {
  readonly seq: number
  readonly submit: SubmitFields
  readonly progress: ProgressFields
  readonly outcome: OutcomeFields | undefined
  /** The how-manieth outcome it is; 0 without one. */
  readonly order: number
  /** Whether it waits in the file only. */
  readonly isCold: boolean
}

/** The columns of both tables, and those that only settled commands need. */
export const SHARED_COLUMNS =
  'seq, state, attempt, lane, type, priority, created_at, due_at, id, key, payload, options, checkpoint, details, submit_sum, progress_sum'
export const OUTCOME_COLUMNS = 'ended_at, result, error, keep_until, settled'
export const SHARED_COUNT = 16
export const OUTCOME_COUNT = 5

function submitSum(seq: number, submit: SubmitFields): number {
  const { laneId, commandType, priority, createdAt, id, key, payload, options } = submit
  return sumOfValues([seq, laneId, commandType, priority, createdAt, id, key, payload, options])
}

function progressSum(command: KnownCommand): number {
  const { seq, progress, outcome, order } = command
  const { state, attempt, dueAt, checkpoint, details } = finalProgress(progress, outcome)
  return sumOfValues([
    seq,
    state,
    attempt,
    dueAt,
    checkpoint,
    details,
    outcome?.endedAt,
    outcome?.result,
    outcome?.error,
    outcome?.keepUntil,
    order,
  ])
}

/** Its progress with what its outcome says of it. */
function finalProgress(progress: ProgressFields, outcome: OutcomeFields | undefined): ProgressFields {
  if (outcome === undefined) return progress
  const { state, attempt, details } = outcome
  return { ...progress, state, attempt, details, dueAt: null }
}

/** The values of the shared columns, after them those of the outcome, which cold ones do not have. */
export function toRow(names: Names, command: KnownCommand): SqlValue[] {
  const { seq, submit, outcome, order, isCold } = command
  const progress = finalProgress(command.progress, outcome)
  const row: SqlValue[] = [
    seq,
    progress.state,
    progress.attempt,
    names.numberOf(submit.laneId),
    names.numberOf(submit.commandType),
    submit.priority,
    submit.createdAt,
    progress.dueAt,
    optionalToColumn(submit.id),
    optionalToColumn(submit.key),
    optionalToColumn(submit.payload),
    optionalToColumn(submit.options),
    optionalToColumn(progress.checkpoint),
    optionalToColumn(progress.details),
    submitSum(seq, submit),
    progressSum(command),
  ]
  if (isCold) return row
  row.push(
    outcome?.endedAt ?? null,
    optionalToColumn(outcome?.result ?? null),
    optionalToColumn(outcome?.error ?? null),
    outcome?.keepUntil ?? null,
    outcome === undefined ? null : order,
  )
  return row
}

type Columns = Row &
  [
    seq: number,
    state: number,
    attempt: number,
    lane: number,
    type: number,
    priority: number,
    createdAt: number,
    dueAt: number | null,
    id: string | null,
    key: string | null,
    payload: string | null,
    options: string | null,
    checkpoint: string | null,
    details: string | null,
    submitSum: number,
    progressSum: number,
    endedAt?: number | null,
    result?: string | null,
    error?: string | null,
    keepUntil?: number | null,
    settled?: number | null,
  ]

/** A row of either table. `STORAGE_CORRUPT` when it is not as it was written. */
export function fromRow(names: Names, row: Row): KnownCommand {
  const columns = row as Columns
  const seq = columns[0]
  let command: KnownCommand | undefined
  try {
    command = decode(names, columns)
  } catch (error) {
    throw corrupt(`The stored command ${seq} is damaged`, error)
  }
  if (submitSum(seq, command.submit) !== columns[14] || progressSum(command) !== columns[15]) {
    throw corrupt(`The stored command ${seq} is damaged`)
  }
  return command
}

function decode(names: Names, columns: Columns): KnownCommand {
  const [seq, state, attempt, lane, type, priority, createdAt, dueAt, id, key, payload, options] = columns
  const details = optionalFromColumn(columns[13])
  const endedAt = columns[16] ?? null
  return {
    seq,
    submit: {
      laneId: names.nameOf(lane),
      commandType: names.nameOf(type),
      priority,
      createdAt,
      id: optionalFromColumn(id),
      key: optionalFromColumn(key),
      payload: optionalFromColumn(payload),
      options: optionalFromColumn(options),
    },
    progress: { state, attempt, dueAt, checkpoint: optionalFromColumn(columns[12]), details },
    outcome:
      endedAt === null
        ? undefined
        : {
            state,
            attempt,
            endedAt,
            result: optionalFromColumn(columns[17] ?? null),
            error: optionalFromColumn(columns[18] ?? null),
            keepUntil: columns[19] ?? null,
            details,
          },
    order: columns[20] ?? 0,
    // rows of cold commands have no columns for an outcome
    isCold: columns.length === SHARED_COUNT,
  }
}

/** A command in the form of the seam. */
export function toStored({ seq, submit, progress, outcome }: KnownCommand): StoredCommand {
  const { state, attempt, dueAt, checkpoint, details } = finalProgress(progress, outcome)
  return {
    seq,
    id: submit.id ?? undefined,
    laneId: submit.laneId,
    commandType: submit.commandType,
    payload: submit.payload ?? undefined,
    priority: submit.priority,
    key: submit.key ?? undefined,
    createdAt: submit.createdAt,
    options: submit.options ?? undefined,
    state: STATES[state] ?? damagedState(seq),
    attempt,
    dueAt: dueAt ?? undefined,
    checkpoint: checkpoint ?? undefined,
    details: details ?? undefined,
    endedAt: outcome?.endedAt,
    result: outcome?.result ?? undefined,
    error: outcome?.error ?? undefined,
  }
}

function damagedState(seq: number): never {
  throw corrupt(`The stored command ${seq} is damaged`)
}

/** What is known of a command from its row, if it has one, with what the journal says on top. */
export function withChanges(
  seq: number,
  known: KnownCommand | undefined,
  net: NetChange | undefined,
): KnownCommand | undefined {
  if (net === undefined) return known
  const { submit, outcome } = net
  if (submit === undefined && (known === undefined || known.outcome !== undefined)) return known
  if (net.isWithdrawn) return undefined
  const changed = net.update ?? submit
  return {
    seq,
    submit: submit === undefined ? (known as KnownCommand).submit : submit.view.submit(submit),
    progress: changed === undefined ? (known as KnownCommand).progress : changed.view.progress(changed),
    outcome: outcome === undefined ? undefined : outcome.view.outcome(outcome),
    order: outcome === undefined ? 0 : net.order,
    isCold: outcome === undefined && (net.isCold ?? (known as KnownCommand).isCold),
  }
}
