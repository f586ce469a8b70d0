/**
 * What has to hold when a scenario is over, whichever call failed.
 *
 * In every case: no exception and no rejection that nobody caught; the limits kept and no command beside itself; `drain`
 * and `close` come back; every run that was given settles once, as its events tell; a run that resolves does so with
 * what a body of its command returned; no slot, no count and no timer is left.
 *
 * When user code fails (but does not hang) everything settles by itself, before `close`. What hangs is ended by its
 * timeout, or by `close`.
 *
 * A clock or a source of random numbers that throws once is a fault of a service. What is promised then is the same, and
 * that somebody is told: the caller of the method that needed it, or `onFault`. Only the constructor cannot go on without
 * random numbers: it throws. Nothing is promised for a service that goes on throwing.
 */
import { isService } from './calls.js'
import type { Answer, NotedRun } from './ledger.js'
import type { Stage } from './stage.js'

/** Longest that a scenario may still take by itself. */
const PATIENCE_MS = 600_000
const CLOSE_MS = 1000

/** How each state ends in events. */
const LAST_EVENT: Readonly<Record<string, string>> = {
  completed: 'completed',
  failed: 'failed',
  timed_out: 'timeout',
  cancelled: 'cancelled',
}
const REFUSED = 'rejected'
const ENDS = Object.values(LAST_EVENT)

/** Ends the scenario, and gives what must not be. */
export async function judge(stage: Stage): Promise<string[]> {
  const { ledger, calls, clock, queue } = stage
  const { violations } = ledger
  await quiet(stage)
  await stage.call(() => queue.close({ timeoutMs: CLOSE_MS }))
  await stage.pass(CLOSE_MS + 1)
  await new Promise((resolve) => setImmediate(resolve))
  if (calls.fault?.kind !== 'clock.clearTimer' && clock.queueTimers > 0) {
    violations.push(`I23: ${clock.queueTimers} timers are left`)
  }
  for (const call of ledger.openCalls) violations.push(`I16: never came back: ${call}`)
  for (const error of ledger.escaped) violations.push(`nobody caught: ${textOf(error)}`)
  for (const noted of ledger.runs.values()) violations.push(...judgeRun(noted, stage))
  violations.push(...judgeTrails(stage), ...judgeStats(stage))
  const { fault } = calls
  if (fault !== undefined && calls.hits === 0) violations.push('the call that was to fail was never made')
  if (fault !== undefined && isService(fault.kind) && !hasSurfaced(stage))
    violations.push('nobody was told of the fault')
  return violations
}

/** Everything comes to its end by itself, unless something hangs. */
async function quiet(stage: Stage): Promise<void> {
  const { ledger, queue, calls } = stage
  await stage.call(() =>
    queue.drain(PATIENCE_MS).catch((error: unknown) => {
      if (calls.isPlanted(error)) throw error
      if (calls.fault?.mode !== 'hangs') ledger.violations.push(`I8: only close ends it: ${textOf(error)}`)
    }),
  )
  await stage.pass(PATIENCE_MS + 1)
}

/** A run settled once, as its state and its events say, and with nothing that no body gave. */
function judgeRun({ run, answer, wasRefused }: NotedRun, { ledger }: Stage): string[] {
  const what = `'${run.id}' in '${run.laneId}'`
  const last = LAST_EVENT[run.state]
  if (answer === undefined) return [`I8: ${what} is ${run.state}, and its run never settled`]
  if (last === undefined) return [`I9: ${what} was answered and is ${run.state}`]
  if ('value' in answer !== (run.state === 'completed'))
    return [`I9: ${what} is ${run.state}, its answer ${show(answer)}`]
  if ('value' in answer && !ledger.hasReturned(run.id, answer.value)) {
    return [`a success that was none: ${what} gave ${show(answer)}, which no body of it returned`]
  }
  // that a duplicate met it is told under its id, at any time
  const trail = (ledger.trails.get(run.id) ?? []).filter((name) => name !== 'deduplicated')
  const expected = wasRefused ? REFUSED : last
  // a queue that has ended tells nobody that it refuses
  if (trail.length === 0 && wasRefused) return []
  if (trail.at(-1) !== expected) return [`I19: ${what} is ${run.state}, its last event ${trail.at(-1) ?? 'none'}`]
  return []
}

/** What was announced has one end, also when nobody here has its run. */
function judgeTrails({ ledger }: Stage): string[] {
  const violations: string[] = []
  for (const [id, trail] of ledger.trails) {
    if (!trail.includes('submitted')) continue
    const ends = trail.filter((name) => ENDS.includes(name)).length
    if (ends !== 1) violations.push(`I9: '${id}' was announced ${ends} ends: ${trail.join(', ')}`)
  }
  return violations
}

function judgeStats({ queue, ledger }: Stage): string[] {
  const { totalPending, totalActive, totalDelayed, totalSlots, lanes } = queue.stats()
  const left = { totalPending, totalActive, totalDelayed, totalSlots }
  const violations = Object.entries(left).flatMap(([name, count]) => (count === 0 ? [] : [`I7: ${name} is ${count}`]))
  for (const [id, { pending, active, delayed, slots, zombies }] of Object.entries(lanes)) {
    if (pending !== 0 || active !== 0 || delayed !== 0 || slots !== 0 || zombies !== 0) {
      violations.push(`I7: '${id}' is left with ${JSON.stringify({ pending, active, delayed, slots, zombies })}`)
    }
  }
  if (ledger.keys.has('queue.shutdown.complete')) return violations
  return [...violations, 'I19: the end of the shutdown was not announced']
}

const hasSurfaced = ({ ledger, calls }: Stage): boolean =>
  ledger.hasSurfaced || [...ledger.faults, ...ledger.escaped].some((error) => calls.isPlanted(error))

const textOf = (error: unknown): string => (error instanceof Error ? (error.stack ?? String(error)) : String(error))

const show = (answer: Answer): string =>
  'value' in answer ? `value ${String(answer.value)}` : `error ${String(answer.error)}`
