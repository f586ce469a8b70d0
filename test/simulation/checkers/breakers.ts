import type { CheckerKind } from '../checker.js'
import type { BreakerSpec } from '../lane-spec.js'
import { describe } from '../observer.js'
import type { CommandPicture, LanePicture, Picture } from '../picture.js'

/** A child that runs in the places of its waiting parent goes past the breaker, and whether it did is not seen. */
type End = { readonly at: number; readonly isFailure: boolean; readonly isSure: boolean }
/** `isCaused`: it has just changed, and the end that caused it is not announced yet. */
type Record = {
  state: string
  since: number
  ends: End[]
  trials: Set<CommandPicture>
  isCaused: boolean
  /** The event before this one told of an end in the lane: it may be the cause of what follows. */
  hasJustEnded: boolean
}

const SLACK_MS = 1e-6

/**
 * I6 for breakers: nothing starts while one is open, at most `halfOpen` commands at once while it is half open, and it opens
 * when it has to. The window moves in ten steps, so ends between 0.9 and 1.1 windows ago may count or not: it has to open
 * only when both readings say so, and may when either does.
 */
export const breakers: CheckerKind = {
  name: 'breakers',
  invariants: ['I6'],
  make: () => {
    const records = new Map<LanePicture, Record>()
    const recordOf = (lane: LanePicture): Record => {
      const known = records.get(lane)
      if (known !== undefined) return known
      const record = {
        state: 'closed',
        since: 0,
        ends: [],
        trials: new Set<CommandPicture>(),
        isCaused: false,
        hasJustEnded: false,
      }
      records.set(lane, record)
      return record
    }
    return {
      beforeStart: (command, picture) => {
        const lane = picture.lane(command.laneId)
        const { breaker } = lane.spec
        if (breaker !== undefined) judgeStart(command, recordOf(lane), breaker, picture)
      },
      onEvent: ({ name, laneId, command, fields }, picture) => {
        const lane = picture.lanes.get(laneId ?? '')
        if (lane?.spec.breaker === undefined) return
        const record = recordOf(lane)
        if (name === 'breaker') return enter(record, String(fields['state']), lane, picture)
        if (command === undefined) return
        if (name !== 'started' && name !== 'progress') record.trials.delete(command)
        const isFailure = failureOf(name, command)
        record.hasJustEnded = isFailure !== undefined
        const isOld = record.isCaused && record.hasJustEnded
        if (record.hasJustEnded) record.isCaused = false
        if (isOld) return
        if (isFailure !== undefined && record.state === 'closed')
          record.ends.push({ at: picture.now, isFailure, isSure: !command.isAwaitedChild })
      },
      atQuiescence: (picture) => {
        for (const [lane, record] of records) {
          if (record.state !== 'closed' || lane.spec.breaker === undefined) continue
          if (mustOpen(record.ends, lane.spec.breaker)) picture.report('I6', `the breaker of ${lane.id} does not open`)
        }
      },
    }
  },
}

/** Whether an event tells of a failure or a success of an attempt; undefined when of neither. */
function failureOf(name: string, { body }: CommandPicture): boolean | undefined {
  if (name === 'completed') return false
  const failed = name === 'retry' || name === 'failed' || name === 'timeout'
  return failed && body?.asksLater !== true ? true : undefined
}

function enter(record: Record, state: string, lane: LanePicture, picture: Picture): void {
  const breaker = lane.spec.breaker as BreakerSpec
  // the end that opened it is announced after it
  if (
    state === 'open' &&
    record.state === 'closed' &&
    !mayOpen([...record.ends, { at: picture.now, isFailure: true, isSure: true }], breaker)
  )
    picture.report('I6', `the breaker of ${lane.id} opened after ${record.ends.length} ends`)
  if (state === 'half_open' && picture.now < record.since + breaker.openMs - SLACK_MS)
    picture.report('I6', `the breaker of ${lane.id} is half open after ${picture.now - record.since} ms`)
  record.state = state
  record.since = picture.now
  record.isCaused = state !== 'half_open' && !record.hasJustEnded
  record.ends = []
  record.trials.clear()
}

function judgeStart(command: CommandPicture, record: Record, breaker: BreakerSpec, picture: Picture): void {
  if (command.isAwaitedChild) return
  if (record.state === 'open' && picture.now < record.since + breaker.openMs - SLACK_MS)
    picture.report('I6', `${describe(command)} started while the breaker is open since ${record.since}`)
  if (record.state !== 'half_open') return
  record.trials.add(command)
  if (record.trials.size > breaker.halfOpen)
    picture.report('I6', `${describe(command)} is trial ${record.trials.size} of ${breaker.halfOpen}`)
}

const isCase = (ends: readonly End[], { minimum, failureRatio }: BreakerSpec): boolean =>
  ends.length >= minimum && ends.filter(({ isFailure }) => isFailure).length / ends.length >= failureRatio

const within = (ends: readonly End[], ms: number): readonly End[] => {
  const now = ends.at(-1)?.at ?? 0
  return ends.filter(({ at }) => at > now - ms)
}

/** Judged when the last attempt ended: nothing opens a breaker but an end. */
function mustOpen(ends: readonly End[], breaker: BreakerSpec): boolean {
  const sure = within(ends, breaker.windowMs * 0.9)
  if (ends.some(({ isSure }) => !isSure)) return false
  return sure.length === within(ends, breaker.windowMs * 1.1).length && isCase(sure, breaker)
}

/** Any cut between the two readings may have been made. */
function mayOpen(ends: readonly End[], breaker: BreakerSpec): boolean {
  if (ends.some(({ isSure }) => !isSure)) return true
  const most = within(ends, breaker.windowMs * 1.1)
  const least = within(ends, breaker.windowMs * 0.9).length
  for (let length = least; length <= most.length; length++)
    if (isCase(most.slice(most.length - length), breaker)) return true
  return false
}
