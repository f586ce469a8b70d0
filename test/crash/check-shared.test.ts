import { describe, expect, test } from 'vitest'
import { checkHistory, VIOLATIONS, type ViolationName } from './check-history.js'
import { SERVER } from './check-shared.js'
import type { HistoryRecord } from './history.js'

type Step = Partial<HistoryRecord> & Pick<HistoryRecord, 'op'>

const SECOND_US = 1_000_000

/** Steps in order, a second apart, of process p1 and command c unless they say otherwise. */
const history = (...steps: Step[]): HistoryRecord[] =>
  steps.map((step, index) => ({ at: index * SECOND_US, process: 'p1', kind: 'ok', command: 'c', ...step }))

const limits = { lanes: { work: 1 }, total: 3, isShared: true }

/** Names of the violations found. */
const verdict = (...steps: Step[]): ViolationName[] => {
  const { violations } = checkHistory(history(...steps), limits)
  return VIOLATIONS.filter((name) => violations[name].length > 0)
}

const of = (process: string, command = 'c') => ({ process, command })
const submitted = (command = 'c'): Step[] => [
  { op: 'submit', kind: 'invoke', command, hash: 'payload' },
  { op: 'submit', command, hash: 'payload' },
]
const started = (attempt: number, rest: Partial<HistoryRecord> = {}): Step => ({
  op: 'start',
  attempt,
  token: attempt,
  lane: 'work',
  hash: 'payload',
  ...rest,
})
const ended = (attempt: number, rest: Partial<HistoryRecord> = {}): Step => ({
  op: 'end',
  end: 'value',
  hash: 'result',
  attempt,
  ...rest,
})
const completed = (attempt: number, rest: Partial<HistoryRecord> = {}): Step => ({
  op: 'complete',
  state: 'completed',
  attempt,
  token: attempt,
  ...rest,
})
const settled: Step = { op: 'settle', state: 'completed', hash: 'result' }
const exits = (...processes: string[]): Step[] => processes.map((process) => ({ op: 'exit', process, command: '' }))
const told = (op: 'killed' | 'suspended' | 'back', process: string): Step => ({ op, process, command: '' })
const finished = (attempt: number, process: string): Step[] => [
  ended(attempt, of(process)),
  completed(attempt, of(process)),
  settled,
]

describe('a history of shared lanes', () => {
  test('may have a second run of what a killed process had begun', () => {
    const steps = [
      ...submitted(),
      started(1, of('p2')),
      told('killed', 'p2'),
      started(2, of('p3')),
      ...finished(2, 'p3'),
    ]
    expect(verdict(...steps, ...exits('p1', 'p3'))).toEqual([])
  })

  test('may have a second run of what a process had begun that stood still, also when that one never knew', () => {
    const begun = [...submitted(), started(1, of('p2')), told('suspended', 'p2'), started(2, of('p3'))]
    const steps = [...begun, told('back', 'p2'), ended(1, of('p2')), ...finished(2, 'p3')]
    expect(verdict(...steps, ...exits('p1', 'p2', 'p3'))).toEqual([])
  })

  test('may have a second run of what was under way when the server stood still', () => {
    const begun = [...submitted(), told('killed', SERVER), started(1, of('p2')), told('back', SERVER)]
    const steps = [...begun, ended(1, { ...of('p2'), end: 'lost' }), started(2, of('p3')), ...finished(2, 'p3')]
    expect(verdict(...steps, ...exits('p1', 'p2', 'p3'))).toEqual([])
  })

  test('has no second run without a reason', () => {
    const steps = [...submitted(), started(1, of('p2')), ended(1, of('p2')), started(2, of('p3')), ...finished(2, 'p3')]
    expect(verdict(...steps, ...exits('p1', 'p2', 'p3'))).toEqual(['unexplained'])
  })

  test('has no two bodies of a command at a time', () => {
    const begun = [...submitted(), told('suspended', SERVER), started(1, of('p2')), told('back', SERVER)]
    const steps = [...begun, started(2, of('p3')), ended(1, of('p2')), ...finished(2, 'p3')]
    expect(verdict(...steps, ...exits('p1', 'p2', 'p3'))).toEqual(['overlap'])
  })

  test('has no more bodies in a lane than it allows, over all processes', () => {
    const begun = [...submitted(), ...submitted('d'), started(1, of('p2')), started(1, of('p3', 'd'))]
    const others = [ended(1, of('p3', 'd')), completed(1, of('p3', 'd')), { ...settled, command: 'd' }]
    expect(verdict(...begun, ...finished(1, 'p2'), ...others, ...exits('p1', 'p2', 'p3'))).toEqual(['overrun'])
  })

  test('has a free slot where a process was killed, stood still, or was told that its lease is lost', () => {
    const second = [started(1, of('p3', 'd')), ended(1, of('p3', 'd')), completed(1, of('p3', 'd'))]
    const after = [...second, { ...settled, command: 'd' }, started(2, of('p3')), ...finished(2, 'p3')]
    const begun = [...submitted(), ...submitted('d'), started(1, of('p2'))]
    expect(verdict(...begun, told('killed', 'p2'), ...after, ...exits('p1', 'p3'))).toEqual([])
    expect(verdict(...begun, told('suspended', 'p2'), ...after, ...exits('p1', 'p2', 'p3'))).toEqual([])
    const lost = ended(1, { ...of('p2'), end: 'lost' })
    expect(verdict(...begun, told('back', SERVER), ...after, lost, ...exits('p1', 'p2', 'p3'))).toEqual([])
  })

  test('has a free slot where the end of a body was refused, and no more than that', () => {
    const begun = [...submitted(), ...submitted('d'), told('suspended', SERVER), started(1, of('p2'))]
    const second = [told('back', SERVER), started(1, of('p3', 'd'))]
    const over = [ended(1, of('p3', 'd')), completed(1, of('p3', 'd')), { ...settled, command: 'd' }]
    const refused = [...begun, ...second, ended(1, of('p2')), ...over, started(2, of('p3')), ...finished(2, 'p3')]
    expect(verdict(...refused, ...exits('p1', 'p2', 'p3'))).toEqual([])
    const held = [...begun, ...second, ...finished(1, 'p2'), ...over]
    expect(verdict(...held, ...exits('p1', 'p2', 'p3'))).toEqual(['overrun'])
  })

  test('has no outcome from a lease that a newer one has followed', () => {
    const begun = [...submitted(), started(1, of('p2')), told('suspended', 'p2'), started(2, of('p3'))]
    const ghost = [told('back', 'p2'), ended(1, of('p2')), completed(1, of('p2')), settled, ended(2, of('p3'))]
    expect(verdict(...begun, ...ghost, ...exits('p1', 'p2', 'p3'))).toEqual(['ghost'])
  })

  test('may have a body that began on a claim from before a standstill', () => {
    const begun = [...submitted(), told('suspended', 'p2'), told('back', 'p2')]
    const belated = { ...started(1, of('p2')), at: 3.5 * SECOND_US }
    const steps = [...begun, belated, started(2, of('p3')), ended(1, of('p2')), ...finished(2, 'p3')]
    expect(verdict(...steps, ...exits('p1', 'p2', 'p3'))).toEqual([])
  })
})
