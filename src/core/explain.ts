/**
 * Why a command waits, or what it does: one honest answer, put together from what the scheduler and the gates themselves
 * go by. Nothing is changed by asking.
 */
import type { Reason } from '../policy/index.js'
import { Work } from './command.js'
import type { QueueCore } from './core.js'
import type { Entry } from './entry.js'
import { formatDuration } from './errors.js'
import { keyOf } from './keys.js'
import type { LaneState } from './lane.js'
import { findRun } from './records.js'
import type { CommandState } from './transitions.js'

/** One thing that holds a command up, or that is known of one that runs or ran. */
export type ExplainedReason = {
  /** What it is: `lane_full`, `paused`, `rate_limited`, … */
  readonly code: string
  /** The same in a sentence, with the facts. */
  readonly message: string
  /** When this ends, where that is known: RFC 3339, UTC. */
  readonly until?: string
}

/** The state of a command, and why it is in it; the first reason weighs most. */
export type Explanation = { readonly state: CommandState; readonly reasons: readonly ExplainedReason[] }

/** Explains the command with this id; undefined when it is not known. */
export function explain(core: QueueCore, id: string): Explanation | undefined {
  const run = findRun(core, id)
  if (run === undefined) return undefined
  // What has a run here has an entry, or is found waiting and gets one.
  const entry = core.entryOf(run) as Entry
  const reasons = reasonsOf(core, entry).map(({ code, message, until }) => ({
    code,
    message,
    ...(until === undefined ? {} : { until: core.instant(until) }),
  }))
  return { state: run.state, reasons }
}

function reasonsOf(core: QueueCore, entry: Entry): Reason[] {
  if (entry.run.state === 'pending') return whyPending(core, entry)
  if (entry.run.state === 'delayed') return whyDelayed(entry)
  if (entry.run.state === 'active') return whatItDoes(core, entry)
  const { run, endedAt } = entry
  const settled = { code: 'settled', message: `It ended as ${run.state} at ${core.instant(endedAt as number)}` }
  return [settled, ...zombie(entry)]
}

function whyPending(core: QueueCore, entry: Entry): Reason[] {
  const { lane } = entry
  const hasBegun = entry.slot !== undefined
  // Neither a pause nor a limit holds up a body that only goes on.
  const reasons = [...interrupted(entry), ...(hasBegun ? [] : closed(core, entry)), ...full(core, lane)]
  if (lane.backlog.keys?.hasRoom(entry) === false) reasons.push(keyFull(lane, entry))
  if (!hasBegun) reasons.push(...(lane.policies?.reasons(entry) ?? []))
  const ahead = lane.backlog.ahead(entry)
  const whose = lane.backlog.keys?.rules.fair === true ? 'of its key' : `of lane '${lane.id}'`
  if (ahead > 0) reasons.push({ code: 'behind', message: `${commands(ahead)} ${whose} ${verb(ahead, 'go')} before it` })
  const higher = higherLanes(core, lane)
  if (higher !== undefined) reasons.push(higher)
  if (reasons.length === 0) reasons.push({ code: 'ready', message: 'It starts in the next turn of the event loop' })
  return reasons
}

function interrupted({ details, slot }: Entry): Reason[] {
  if (slot !== undefined) {
    return [{ code: 'yielded', message: 'It waits inside ctx.yield and goes on before any other command of its lane' }]
  }
  if (details?.traits?.isPreempted !== true) return []
  return [
    { code: 'preempted', message: 'Its slot went to a better lane; it goes on before any other command of its lane' },
  ]
}

function closed(core: QueueCore, { lane, run, body, details }: Entry): Reason[] {
  const reasons: Reason[] = []
  if (!core.started) reasons.push({ code: 'not_started', message: 'The queue was not started' })
  if (lane.paused) reasons.push({ code: 'paused', message: `Lane '${lane.id}' is paused` })
  if (details?.stored !== undefined && !core.handlers.has(run.commandType)) {
    const message = `No handler is registered for '${run.commandType}': it waits until there is one`
    reasons.push({ code: 'HANDLER_NOT_FOUND', message })
  } else if (!Work.is(body) && !core.handlers.has(run.commandType)) {
    const message = `No handler is registered for '${run.commandType}': it fails when its turn comes`
    reasons.push({ code: 'no_handler', message })
  }
  return reasons
}

function full(core: QueueCore, lane: LaneState): Reason[] {
  const { scheduler } = core
  if (!lane.hasRoom) {
    const zombies = lane.zombies.size === 0 ? '' : `, ${lane.zombies.size} of them by bodies that do not stop`
    return [{ code: 'lane_full', message: `${inUse(lane.limits.max, `lane '${lane.id}'`)}${zombies}` }]
  }
  if (scheduler.hasFreePlaceFor(lane)) return []
  const what = scheduler.free > 0 ? ' or reserved for other lanes' : ''
  const coming =
    lane.demanded === 0
      ? ''
      : `; ${commands(lane.demanded)} of lower lanes ${lane.demanded === 1 ? 'was' : 'were'} asked to stop for it`
  return [{ code: 'queue_full', message: `${inUse(scheduler.held + scheduler.free, 'the queue')}${what}${coming}` }]
}

function keyFull({ backlog }: LaneState, entry: Entry): Reason {
  const running = backlog.keys?.running(entry) ?? 0
  return { code: 'key_full', message: `${commands(running)} of key '${keyOf(entry)}' ${verb(running, 'run')} already` }
}

/** Who takes the next free slot before this lane. Without a cap no lane waits for another. */
function higherLanes({ scheduler, lanes }: QueueCore, lane: LaneState): Reason | undefined {
  if (!scheduler.hasCap) return undefined
  const before = [...lanes.values()].filter((other) => other.rank >= 0 && goesBefore(other, lane))
  const count = before.reduce((total, { backlog }) => total + backlog.size, 0)
  if (count === 0) return undefined
  const names = before.map(({ id, backlog }) => `${id}: ${backlog.size}`).join(', ')
  return {
    code: 'higher_lanes',
    message: `${commands(count)} of higher lanes ${verb(count, 'go')} before it (${names})`,
  }
}

const goesBefore = (other: LaneState, { effectivePriority, limits }: LaneState): boolean =>
  other.effectivePriority < effectivePriority ||
  (other.effectivePriority === effectivePriority && other.limits.protected && !limits.protected)

function whyDelayed(entry: Entry): Reason[] {
  const { attempt, details } = entry
  const dueAt = details?.dueAt ?? -1
  const hasEnded = entry.slot === undefined ? [] : zombie(entry)
  if (details?.alarm === undefined) {
    if (hasEnded.length > 0) return hasEnded
    return [
      { code: 'waits_for_owner', message: 'It follows the command that has its dedupe id, when that has settled' },
    ]
  }
  const message = attempt === 0 ? 'It was submitted with a delay' : `Attempt ${attempt + 1} follows after a delay`
  return [{ code: 'delayed', message, until: dueAt }, ...hasEnded]
}

function whatItDoes(core: QueueCore, { slot, attempt, startedAt, policy }: Entry): Reason[] {
  const { timeout, taker, waiting = 0 } = slot ?? {}
  const limit = timeout === undefined ? '' : `, with a timeout of ${formatDuration(policy.timeoutMs as number)}`
  const running: Reason = {
    code: 'running',
    message: `Attempt ${attempt} runs since ${core.instant(startedAt as number)}${limit}`,
    ...(timeout === undefined ? {} : { until: timeout.at }),
  }
  const reasons = [running]
  if (taker !== undefined) reasons.push({ code: 'preempting', message: `It was asked to stop for lane '${taker.id}'` })
  if (waiting > 0) reasons.push({ code: 'waits_for_child', message: 'It waits for a command that it submitted' })
  return reasons
}

/** A body that goes on although its command has its outcome, or waits for the next attempt. */
function zombie({ slot }: Entry): Reason[] {
  if (slot?.zombie !== true) return []
  const { grace } = slot
  const message = 'Its handler has not stopped and holds its slot'
  return [{ code: 'zombie', message, ...(grace === undefined ? {} : { until: grace.at }) }]
}

const inUse = (slots: number, whose: string): string =>
  slots === 1 ? `The only slot of ${whose} is in use` : `All ${slots} slots of ${whose} are in use`

const commands = (count: number): string => (count === 1 ? '1 command' : `${count} commands`)

const verb = (count: number, infinitive: 'go' | 'run'): string => {
  if (count !== 1) return infinitive
  return infinitive === 'go' ? 'goes' : 'runs'
}
