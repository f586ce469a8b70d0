import { describe, expect, test } from 'vitest'
import { checkHistory, isRight, VIOLATIONS, type ViolationName } from './check-history.js'
import type { HistoryRecord } from './history.js'

type Step = Partial<HistoryRecord> & Pick<HistoryRecord, 'op'>

/** Steps in order, of process p1 and command c unless they say otherwise; each was answered ok unless it says otherwise. */
const history = (...steps: Step[]): HistoryRecord[] =>
  steps.map((step, index) => ({ at: index, process: 'p1', kind: 'ok', command: 'c', ...step }))

const limits = { lanes: { work: 2 }, total: 3 }

/** Names of the violations found. */
const verdict = (...steps: Step[]): ViolationName[] => {
  const { violations } = checkHistory(history(...steps), limits)
  return VIOLATIONS.filter((name) => violations[name].length > 0)
}

const submitted: Step[] = [
  { op: 'submit', kind: 'invoke', hash: 'payload' },
  { op: 'submit', hash: 'payload' },
]
/** A submit that has no answer. */
const unknown: Step = { op: 'submit', kind: 'invoke', hash: 'payload' }
const started = (attempt = 1, rest: Partial<HistoryRecord> = {}): Step => ({
  op: 'start',
  attempt,
  token: attempt,
  lane: 'work',
  hash: 'payload',
  ...rest,
})
const ended = (attempt = 1, rest: Partial<HistoryRecord> = {}): Step => ({
  op: 'end',
  end: 'value',
  hash: 'result',
  attempt,
  ...rest,
})
const completed = (rest: Partial<HistoryRecord> = {}): Step => ({
  op: 'complete',
  state: 'completed',
  hash: 'result',
  token: 1,
  attempt: 1,
  ...rest,
})
const settled = (rest: Partial<HistoryRecord> = {}): Step => ({
  op: 'settle',
  state: 'completed',
  hash: 'result',
  ...rest,
})
const exit: Step = { op: 'exit', command: '' }
const whole: Step[] = [...submitted, started(), ended(), completed(), settled()]

/** The same steps, later and elsewhere. */
const in2 = (...steps: Step[]): Step[] => steps.map((step) => ({ ...step, process: 'p2' }))

describe('a history without a fault', () => {
  test('is right, and counted', () => {
    const judgement = checkHistory(history(...whole, exit), limits)
    expect(isRight(judgement)).toBe(true)
    expect(judgement).toMatchObject({ accepted: 1, settled: 1, starts: 1, duplicateRuns: 0, kills: 0, recovered: 0 })
  })

  test('may run a command again that was in flight at a kill', () => {
    const records = history(
      ...submitted,
      started(),
      ...in2(started(2), ended(2), completed({ token: 2 }), settled(), exit),
    )
    const judgement = checkHistory(records, limits)
    expect(judgement.violations).toMatchObject({ unexplained: [], attempts: [] })
    expect(judgement).toMatchObject({ duplicateRuns: 1, inFlightAtKills: 1, kills: 1 })
  })

  test('may run a command whose submit had no answer, and counts it as recovered', () => {
    const judgement = checkHistory(
      history(
        { op: 'submit', kind: 'invoke', hash: 'payload' },
        ...in2(started(), ended(), completed(), settled(), exit),
      ),
      limits,
    )
    expect(isRight(judgement)).toBe(true)
    expect(judgement.recovered).toBe(1)
  })

  test('may miss a command whose submit had no answer, or was refused', () => {
    expect(verdict({ op: 'submit', kind: 'invoke' })).toEqual([])
    expect(verdict({ op: 'submit', kind: 'invoke' }, { op: 'submit', kind: 'fail' }, exit)).toEqual([])
  })

  test('may retry what failed, timed out or was snoozed, and go on with what was preempted', () => {
    const retried = [ended(1, { end: 'failed' }), { op: 'release', end: 'failed', attempt: 1 } as const]
    const preempted = [ended(2, { end: 'preempted' }), { op: 'release', end: 'preempted', attempt: 2 } as const]
    expect(
      verdict(
        ...submitted,
        started(),
        ...retried,
        started(2),
        ...preempted,
        started(2),
        ended(2),
        completed({ token: 2 }),
        settled(),
        exit,
      ),
    ).toEqual([])
  })

  test('may lose sight of an attempt that began right before a kill', () => {
    expect(verdict(...submitted, ...in2(started(2), ended(2), completed({ token: 2 }), settled(), exit))).toEqual([])
  })

  test('restores what was saved last, or what was being saved', () => {
    const save = (hash: string, kind: HistoryRecord['kind']): Step => ({ op: 'checkpoint', hash, kind })
    const end = in2(ended(2), completed({ token: 2 }), settled(), exit)
    const saves = [save('a', 'invoke'), save('a', 'ok'), save('b', 'invoke')]
    for (const hash of ['a', 'b']) {
      expect(verdict(...submitted, started(), ...saves, ...in2(started(2), { op: 'restore', hash }), ...end)).toEqual(
        [],
      )
    }
  })
})

/** A name, what it has to be found guilty of, and the history. */
const planted: [string, ViolationName[], Step[]][] = [
  ['an accepted command without an outcome', ['lost'], [...submitted, exit]],
  ['a command that nobody submitted', ['unexpected'], [started(), ended(), completed(), settled(), exit]],
  [
    'a command whose submit was refused',
    ['unexpected'],
    [{ op: 'submit', kind: 'invoke', hash: 'payload' }, { op: 'submit', kind: 'fail' }, started(), ended(), exit],
  ],
  ['a start after the outcome', ['unexpected', 'unexplained'], [...whole, ...in2(started(2), ended(2), exit)]],
  ['two outcomes', ['doubleSettled'], [...whole, settled({ state: 'failed', hash: 'error' }), exit]],
  [
    'one outcome with two values',
    ['doubleSettled'],
    [...submitted, started(), ended(), ended(1, { hash: 'other' }), completed(), settled({ hash: 'other' }), exit],
  ],
  [
    'an earlier attempt that settles beside a later one',
    ['ghost'],
    [
      ...submitted,
      started(),
      ended(1, { end: 'failed' }),
      started(2),
      ended(2),
      completed({ token: 1 }),
      settled(),
      exit,
    ],
  ],
  ['another payload', ['torn'], [...submitted, started(1, { hash: 'half' }), ended(), completed(), settled(), exit]],
  [
    'a result that nobody returned',
    ['torn'],
    [...submitted, started(), ended(1, { hash: 'x' }), completed(), settled(), exit],
  ],
  [
    'an older checkpoint',
    ['torn'],
    [
      ...submitted,
      started(),
      ...['a', 'b'].flatMap((hash): Step[] => [
        { op: 'checkpoint', kind: 'invoke', hash },
        { op: 'checkpoint', kind: 'ok', hash },
      ]),
      ...in2(started(2), { op: 'restore', hash: 'a' }, ended(2), completed({ token: 2 }), settled(), exit),
    ],
  ],
  [
    'a checkpoint that is gone',
    ['torn'],
    [
      ...submitted,
      started(),
      { op: 'checkpoint', kind: 'invoke', hash: 'a' },
      { op: 'checkpoint', hash: 'a' },
      ...in2(started(2), { op: 'restore' }, ended(2), completed({ token: 2 }), settled(), exit),
    ],
  ],
  [
    'half a batch',
    ['torn'],
    [
      { op: 'submit', kind: 'invoke', batch: 'b', hash: 'payload' },
      { op: 'submit', kind: 'invoke', batch: 'b', command: 'd' },
      ...in2(started(), ended(), completed(), settled(), exit),
    ],
  ],
  [
    'a second run without a kill',
    ['unexplained'],
    [...submitted, started(), ended(), started(2), ended(2), completed({ token: 2 }), settled(), exit],
  ],
  [
    'a second run of a command whose outcome was announced before the kill',
    ['unexpected', 'unexplained'],
    [
      ...submitted,
      started(),
      ended(),
      completed(),
      ...in2(started(2), ended(2), completed({ token: 2 }), settled(), exit),
    ],
  ],
  [
    'two bodies of one command at once',
    ['unexplained', 'overlap'],
    [...submitted, started(), started(2), ended(1), ended(2), completed({ token: 2 }), settled(), exit],
  ],
  [
    'more bodies than the lane allows',
    ['overrun'],
    ['c', 'd', 'e'].flatMap((command): Step[] => [unknown, started()].map((step) => ({ ...step, command }))),
  ],
  [
    'more bodies than all lanes allow',
    ['overrun'],
    ['c', 'd', 'e', 'f'].flatMap((command): Step[] =>
      [unknown, started(1, { lane: command })].map((step) => ({ ...step, command })),
    ),
  ],
  [
    'an attempt number used again after a kill',
    ['attempts'],
    [...submitted, started(), ...in2(started(1), ended(1), completed(), settled(), exit)],
  ],
  [
    'attempt numbers that were left out',
    ['attempts'],
    [...submitted, started(3), ended(3), completed({ token: 3 }), settled(), exit],
  ],
  [
    'a failed command without a dead letter',
    ['letters'],
    [
      ...submitted,
      started(),
      ended(1, { end: 'failed' }),
      { op: 'found', state: 'failed' },
      { op: 'settle', state: 'failed' },
      exit,
    ],
  ],
  ['a dead letter of a command that is well', ['letters'], [...whole, { op: 'letter' }, exit]],
  ['a command that is still active after the drain', ['stuck'], [...whole, { op: 'found', state: 'active' }, exit]],
]

test.each(planted)('a planted fault is called by its name: %s', (_, expected, steps) => {
  expect(verdict(...steps)).toEqual(expected)
})

test('each name has a planted fault', () => {
  expect(new Set(planted.flatMap(([, expected]) => expected))).toEqual(new Set(VIOLATIONS))
})
