/** What both queues look like, as plain data, and what is wrong where they differ. */
import assert from 'node:assert/strict'
import type { DrivenQueue } from './driven-queue.js'
import { grammarFault } from './event-grammar.js'
import type { ReferenceQueue } from './reference-queue.js'

export function expectAgreement(model: ReferenceQueue, real: DrivenQueue, after: string): void {
  const [expected, seen] = [ofModel(model), ofReal(real)]
  // Comparing texts first: a full comparison of every step would take most of the suite's time.
  if (JSON.stringify(seen) !== JSON.stringify(expected))
    assert.deepEqual(seen, expected, difference(after, seen, expected))
  const faults = [...real.faults, ...bodyFaults(model, real), ...grammarFaults(real), ...timerFaults(model, real)]
  assert.deepEqual(faults, [], `${after}: ${faults.join('; ')}`)
}

/** Only the lines that differ: both forms have the same lines. */
function difference(after: string, seen: unknown, expected: unknown): string {
  const lines = (value: unknown): string[] => JSON.stringify(value, undefined, 1).split('\n')
  const [left, right] = [lines(seen), lines(expected)]
  const differing = [...new Set([...left.keys(), ...right.keys()])].filter((at) => left[at] !== right[at]).slice(0, 20)
  return [`${after}: seen, and expected`, ...differing.map((at) => `${left[at] ?? ''}   <>   ${right[at] ?? ''}`)].join(
    '\n',
  )
}

function ofModel(model: ReferenceQueue): unknown {
  return {
    starts: model.starts,
    commands: model.commands.map(
      ({ n, state, answer = 'none', events }) => `${n} ${state} ${answer}: ${events.join(' ')}`,
    ),
    lanes: model.lanes.map((lane) => ({
      id: lane.id,
      pending: model.waiting(lane).length,
      active: model.active(lane).length,
      delayed: model.delayed(lane).length,
      zombies: model.bodies.filter(({ zombie, command }) => zombie && command.lane === lane).length,
      abandoned: lane.abandoned,
      min: lane.reserved,
      max: model.max(lane),
      priority: lane.options.priority,
      paused: lane.paused,
      events: lane.events.join(' '),
    })),
    totals: [
      model.commands.filter(({ state }) => state === 'pending').length,
      model.commands.filter(({ state }) => state === 'active').length,
      model.commands.filter(({ state }) => state === 'delayed').length,
      model.letters.length,
    ],
    queueEvents: model.queueEvents,
    rejections: model.rejections,
    drains: model.drains.map(({ state, unsettled, zombies }) => `${state} ${sorted(unsettled)} ${sorted(zombies)}`),
  }
}

function ofReal(real: DrivenQueue): unknown {
  const stats = real.queue.stats()
  return {
    starts: real.starts,
    commands: real.runs.map(({ run, answers }, n) => {
      const answer = answers.length === 0 ? 'none' : answers.join(' and ')
      return `${n} ${run.state} ${answer}: ${(real.events.get(run.id) ?? []).join(' ')}`
    }),
    lanes: Object.entries(stats.lanes).map(([id, lane]) => ({
      id,
      pending: lane.pending,
      active: lane.active,
      delayed: lane.delayed,
      zombies: lane.zombies,
      abandoned: lane.abandoned,
      min: lane.min,
      max: lane.max,
      priority: lane.priority,
      paused: lane.paused,
      events: (real.laneEvents.get(id) ?? []).join(' '),
    })),
    totals: [stats.totalPending, stats.totalActive, stats.totalDelayed, stats.deadLetterCount],
    queueEvents: real.queueEvents,
    rejections: real.rejections,
    drains: real.drains.map(({ outcome, unsettled, zombies }) => {
      const numbers = (ids: readonly string[]): string => sorted(ids.map((id) => real.numberOf(id)))
      return `${outcome} ${numbers(unsettled)} ${numbers(zombies)}`
    }),
  }
}

const sorted = (numbers: readonly number[]): string => [...numbers].sort((a, b) => a - b).join(',')

/** A body runs exactly as long as its command is active, or as a counted zombie. */
function bodyFaults(model: ReferenceQueue, real: DrivenQueue): string[] {
  const name = (n: number, attempt: number): string => `${n}#${attempt}`
  const expected = model.bodies.filter(({ isEnding }) => !isEnding).map((one) => name(one.command.n, one.attempt))
  const seen = real.bodies.map((one) => name(one.n, one.attempt)).filter((one) => !real.abandoned.has(one))
  return sameItems(expected, seen) ? [] : [`bodies that run: ${seen.join(' ')}, expected ${expected.join(' ')}`]
}

const sameItems = (a: readonly string[], b: readonly string[]): boolean =>
  a.length === b.length && a.every((item) => b.includes(item))

function grammarFaults(real: DrivenQueue): string[] {
  return [...real.events].flatMap(([id, events]) => {
    const n = real.numberOf(id)
    if (n < 0) return [`events of a refused command: ${events.join(' ')}`]
    const fault = grammarFault(events)
    return fault === undefined ? [] : [`events of command ${n}: ${fault}`]
  })
}

/** One timer for all alarms and one per drain; none when nothing waits for time. */
function timerFaults(model: ReferenceQueue, real: DrivenQueue): string[] {
  const drains = model.drains.filter(({ state }) => state === 'waiting').length
  const expected = drains + (model.alarms.length > 0 ? 1 : 0)
  return real.clock.timers === expected ? [] : [`${real.clock.timers} timers are set, expected ${expected}`]
}

/** Everything accepted has settled, once, and nothing is left behind. */
export function expectRest(model: ReferenceQueue, real: DrivenQueue): void {
  assert.deepEqual(model.unsettled, [])
  assert.deepEqual(
    real.runs.filter(({ answers }) => answers.length !== 1),
    [],
  )
  assert.equal(real.clock.timers, 0)
}
