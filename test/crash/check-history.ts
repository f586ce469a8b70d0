/**
 * Judges what many processes saw of the commands on one file, most of them killed: pure, from the records alone. It counts
 * per command, so that a loss here is not made good by a surplus there, and is sound only after a complete drain.
 */
import { judgeTogether, SERVER, standstills, withLeases, withoutBelated } from './check-shared.js'
import type { HistoryRecord } from './history.js'

/** Names of violations: each is a list that has to be empty. */
export const VIOLATIONS = [
  'lost',
  'unexpected',
  'doubleSettled',
  'ghost',
  'torn',
  'unexplained',
  'overlap',
  'overrun',
  'attempts',
  'stuck',
  'letters',
] as const

export type ViolationName = (typeof VIOLATIONS)[number]

export type Judgement = {
  readonly violations: Readonly<Record<ViolationName, readonly string[]>>
  /** Commands whose submit was accepted; those of whose submit nobody knew, and that ran. */
  readonly accepted: number
  readonly recovered: number
  readonly starts: number
  readonly settled: number
  /** Starts beyond the first of a command that no failed attempt, preemption or snooze explains. */
  readonly duplicateRuns: number
  /** Commands in flight when their process was killed: the most duplicates there may be. */
  readonly inFlightAtKills: number
  readonly kills: number
}

/** What the lanes allow: most bodies at once in each, and in all, of one process. */
export type Limits = {
  readonly lanes: Readonly<Record<string, number>>
  readonly total: number
  /** Whether the lanes are shared: then each holds over all processes together. */
  readonly isShared?: boolean
}

export function checkHistory(records: readonly HistoryRecord[], limits: Limits): Judgement {
  const violations = Object.fromEntries(VIOLATIONS.map((name) => [name, []])) as unknown as Found
  const processes = byProcess(records)
  const commands = byCommand(limits.isShared === true ? withoutBelated(records) : records)
  const killed = [...processes].filter(([name, own]) => name !== SERVER && !own.some(({ op }) => op === 'exit'))
  const flights = inFlight(killed.map(([, own]) => own))
  for (const [command, count] of standstills(records)) flights.set(command, (flights.get(command) ?? 0) + count)
  const sum = { accepted: 0, recovered: 0, settled: 0, starts: 0, duplicateRuns: 0 }
  for (const [command, own] of commands) {
    const story = tell(command, own)
    judgeOutcome(story, violations)
    judgeContent(story, violations)
    judgeTokens(story, violations)
    judgeAttempts(story, flights.get(command) ?? 0, violations)
    const duplicates = duplicatesOf(story)
    if (duplicates > (flights.get(command) ?? 0))
      violations.unexplained.push(
        `${command}: ${duplicates} duplicate runs, in flight at ${flights.get(command) ?? 0} kills`,
      )
    sum.duplicateRuns += duplicates
    sum.starts += story.starts.length
    if (story.isAccepted) sum.accepted++
    if (!story.isAccepted && !story.isRefused && story.starts.length > 0) sum.recovered++
    if (story.finals.length > 0) sum.settled++
  }
  judgeBatches(commands, violations)
  const bodies = limits.isShared === true ? withLeases(records) : records
  for (const own of byProcess(bodies).values()) judgeBodies(own, limits, violations)
  if (limits.isShared === true) judgeTogether(bodies, limits, violations)
  const inFlightAtKills = [...flights.values()].reduce((all, one) => all + one, 0)
  return { violations, ...sum, inFlightAtKills, kills: killed.length }
}

export const isRight = ({ violations }: Judgement): boolean => VIOLATIONS.every((name) => violations[name].length === 0)

export type Found = Record<ViolationName, string[]>

/** All that was seen of one command, in order. */
type Story = {
  readonly command: string
  readonly records: readonly HistoryRecord[]
  readonly starts: readonly HistoryRecord[]
  /** Final states, as the queue announced them or somebody read them. */
  readonly finals: readonly HistoryRecord[]
  readonly isSubmitted: boolean
  readonly isAccepted: boolean
  readonly isRefused: boolean
}

function tell(command: string, records: readonly HistoryRecord[]): Story {
  const submits = records.filter(({ op }) => op === 'submit')
  const isAccepted = submits.some(({ kind }) => kind === 'ok')
  return {
    command,
    records,
    starts: records.filter(({ op }) => op === 'start'),
    finals: records.filter(isFinal),
    isSubmitted: submits.length > 0,
    isAccepted,
    // refused once and unknown or accepted another time is not refused
    isRefused: submits.some(({ kind }) => kind === 'fail') && !isAccepted && isAnswered(submits),
  }
}

const isFinal = ({ op, kind }: HistoryRecord): boolean => (op === 'settle' || op === 'complete') && kind === 'ok'

/** Whether every submit of it had an answer, so that nothing about it is unknown. */
const isAnswered = (submits: readonly HistoryRecord[]): boolean =>
  !submits.some(({ kind }) => kind === 'info') &&
  submits.filter(({ kind }) => kind === 'invoke').length ===
    submits.filter(({ kind }) => kind === 'ok' || kind === 'fail').length

function judgeOutcome(story: Story, found: Found): void {
  const { command, records, starts, finals } = story
  const isSettled = records.some(({ op, kind }) => op === 'settle' && kind === 'ok')
  if (story.isAccepted && !isSettled) found.lost.push(`${command}: accepted, and has no outcome`)
  if (starts.length > 0 && !story.isSubmitted) found.unexpected.push(`${command}: ran, and was never submitted`)
  if (starts.length > 0 && story.isRefused) found.unexpected.push(`${command}: ran, although its submit was refused`)
  const end = records.findIndex(isFinal)
  if (end >= 0 && records.slice(end).some(({ op }) => op === 'start'))
    found.unexpected.push(`${command}: ran after it had settled as ${records[end]?.state}`)
  const states = distinct(finals.map(({ state }) => state))
  if (states.length > 1) found.doubleSettled.push(`${command}: settled as ${states.join(' and as ')}`)
  const values = distinct(finals.flatMap(({ hash }) => hash ?? []))
  if (values.length > 1) found.doubleSettled.push(`${command}: settled with ${values.join(' and with ')}`)
  judgeLetter(story, found)
  const last = records.filter(({ op }) => op === 'found' || op === 'settle').at(-1)
  if (last?.op === 'found') found.stuck.push(`${command}: ${last.state} after the drain`)
}

const distinct = <T>(values: readonly T[]): T[] => [...new Set(values)]

/** What failed for good has a dead letter when somebody has looked, and nothing else has one. */
function judgeLetter({ command, records }: Story, found: Found): void {
  const isRead = records.some(({ op }) => op === 'found')
  const hasFailed = records.some((one) => isFinal(one) && (one.state === 'failed' || one.state === 'timed_out'))
  const hasLetter = records.some(({ op }) => op === 'letter')
  if (isRead && hasFailed && !hasLetter) found.letters.push(`${command}: failed, and has no dead letter`)
  if (hasLetter && !hasFailed) found.letters.push(`${command}: has a dead letter, and has not failed`)
}

/** What is read has to be what was written: the payload, the saved state, the result. */
function judgeContent({ command, records, finals }: Story, found: Found): void {
  const submitted = new Set(hashes(records, ({ op }) => op === 'submit'))
  for (const { op, hash } of records) {
    if ((op !== 'start' && op !== 'found') || hash === undefined || submitted.size === 0) continue
    if (!submitted.has(hash))
      found.torn.push(`${command}: its payload reads ${hash}, submitted ${[...submitted].join()}`)
  }
  const returned = new Set(hashes(records, ({ op, end }) => op === 'end' && end === 'value'))
  for (const { state, hash } of finals) {
    if (state === 'completed' && hash !== undefined && !returned.has(hash))
      found.torn.push(`${command}: its result reads ${hash}, returned ${[...returned].join() || 'never'}`)
  }
  judgeCheckpoints({ command, records }, found)
}

const hashes = (records: readonly HistoryRecord[], isWanted: (record: HistoryRecord) => boolean): string[] =>
  records.filter(isWanted).flatMap(({ hash }) => (hash === undefined ? [] : [hash]))

/** A body finds what was saved last, or something newer that was being saved; nothing older, nothing that never was. */
function judgeCheckpoints({ command, records }: Pick<Story, 'command' | 'records'>, found: Found): void {
  let allowed: readonly (string | undefined)[] = [undefined]
  for (const { op, kind, hash } of records) {
    if (op === 'checkpoint' && kind === 'invoke') allowed = [...allowed, hash]
    if (op === 'checkpoint' && kind === 'ok') allowed = allowed.slice(Math.max(0, allowed.lastIndexOf(hash)))
    if (op !== 'restore') continue
    if (!allowed.includes(hash))
      found.torn.push(
        `${command}: restored ${hash ?? 'nothing'}, saved ${allowed.map((one) => one ?? 'nothing').join()}`,
      )
    // the saves that nobody had an answer to: now it is known which one counts
    allowed = [hash]
  }
}

function judgeTokens({ command, records }: Story, found: Found): void {
  let newest = 0
  for (const { op, kind, token } of records) {
    if (token === undefined) continue
    if (op === 'start') newest = Math.max(newest, token)
    if (op === 'complete' && kind === 'ok' && token < newest)
      found.ghost.push(`${command}: attempt ${token} settled it after attempt ${newest} had begun`)
  }
}

/** Attempts count 1, 2, 3 …: what nobody saw begin may be missing where a process was killed, and only there. */
function judgeAttempts({ command, starts, records }: Story, kills: number, found: Found): void {
  let last = 0
  let missing = 0
  const preempted = new Set(records.flatMap(({ end, attempt }) => (end === 'preempted' ? attempt : [])))
  for (const { attempt = 0 } of starts) {
    if (attempt < last || (attempt === last && !preempted.has(attempt)))
      found.attempts.push(`${command}: attempt ${attempt} after attempt ${last}`)
    missing += Math.max(0, attempt - last - 1)
    last = attempt
  }
  const killed = new Set(records.map(({ process }) => process)).size
  if (missing > Math.max(kills, killed)) found.attempts.push(`${command}: ${missing} attempts that nobody saw begin`)
}

/** Starts beyond the first, without those that come after an attempt that ended, or was given up, without a value. */
function duplicatesOf({ starts, records }: Story): number {
  const ends = new Map<number, { ended: number; released: number }>()
  for (const { op, end, attempt = 0 } of records) {
    if ((op !== 'end' && op !== 'release') || end === 'value' || end === 'discarded') continue
    const one = ends.get(attempt) ?? { ended: 0, released: 0 }
    ends.set(attempt, one)
    if (op === 'end') one.ended++
    else one.released++
  }
  const explained = [...ends.values()].reduce((sum, { ended, released }) => sum + Math.max(ended, released), 0)
  return Math.max(0, starts.length - 1 - explained)
}

/** For each command the number of kills at which it was in flight: begun, and its outcome not announced. */
function inFlight(killed: readonly (readonly HistoryRecord[])[]): Map<string, number> {
  const counts = new Map<string, number>()
  for (const records of killed) {
    const running = new Map<string, number>()
    for (const { op, kind, command, attempt = 0 } of records) {
      if (op === 'start') running.set(command, attempt)
      // what is told of an attempt may be heard when the next one has begun
      if (op === 'release' && running.get(command) === attempt) running.delete(command)
      if (op === 'complete' && kind === 'ok') running.delete(command)
    }
    for (const command of running.keys()) counts.set(command, (counts.get(command) ?? 0) + 1)
  }
  return counts
}

/** Commands of one batch are one commit: all of them are there, or none. */
function judgeBatches(commands: ReadonlyMap<string, readonly HistoryRecord[]>, found: Found): void {
  const batches = new Map<string, { there: string[]; missing: string[] }>()
  for (const [command, records] of commands) {
    const batch = records.find((record) => record.batch !== undefined)?.batch
    if (batch === undefined) continue
    const members = batches.get(batch) ?? { there: [], missing: [] }
    batches.set(batch, members)
    const isThere = records.some(({ op }) => op === 'start' || op === 'found' || op === 'settle' || op === 'complete')
    ;(isThere ? members.there : members.missing).push(command)
  }
  for (const [batch, { there, missing }] of batches) {
    if (there.length > 0 && missing.length > 0)
      found.torn.push(`batch ${batch}: ${there.length} of its commands are there, missing ${missing.join()}`)
  }
}

/** Bodies of one process: never two of a command, never more than the lanes allow. They end with their process. */
function judgeBodies(records: readonly HistoryRecord[], limits: Limits, found: Found): void {
  const running = new Map<string, string>()
  const counts = new Map<string, number>()
  for (const { op, command, lane = '' } of records) {
    if (op === 'start') {
      if (running.has(command)) found.overlap.push(`${command}: began while an earlier body of it ran`)
      running.set(command, lane)
      counts.set(lane, (counts.get(lane) ?? 0) + 1)
      const most = limits.lanes[lane] ?? Number.POSITIVE_INFINITY
      if ((counts.get(lane) ?? 0) > most) found.overrun.push(`${command}: one more than ${most} in ${lane}`)
      if (running.size > limits.total) found.overrun.push(`${command}: one more than ${limits.total} in all lanes`)
    }
    if (op === 'end' && running.has(command)) {
      const its = running.get(command) ?? ''
      running.delete(command)
      counts.set(its, (counts.get(its) ?? 1) - 1)
    }
  }
}

const byProcess = (records: readonly HistoryRecord[]) => groupBy(records, ({ process }) => process)

/** What befalls a process is no command's. */
const byCommand = (records: readonly HistoryRecord[]) =>
  groupBy(
    records.filter(({ command }) => command !== ''),
    ({ command }) => command,
  )

function groupBy(records: readonly HistoryRecord[], keyOf: (record: HistoryRecord) => string) {
  const groups = new Map<string, HistoryRecord[]>()
  for (const record of records) {
    const group = groups.get(keyOf(record))
    if (group) group.push(record)
    else groups.set(keyOf(record), [record])
  }
  return groups
}
