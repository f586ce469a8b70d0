/** What the model draws: a queue's lanes and limits, and a history of steps to put it through. */
import { type LaneDefinition, RetryPolicy } from '@a3s-lab/lane'
import fc from 'fast-check'
import type { CommandSpec, End, SubmitSpec } from './command-spec.js'
import {
  AdvanceTime,
  Burst,
  Cancel,
  ClearLane,
  ConfigureLane,
  Drain,
  EndAbandoned,
  EndBody,
  type ModelCommand,
  PauseLane,
  Redrive,
  ResumeLane,
  RunChild,
  Start,
  Submit,
  SubmitBatch,
  SubmitChild,
} from './commands/index.js'
import { areReservationsValid, type QueueSpec } from './reference-queue.js'

/** Payloads are what JSON would give: with the ordinary prototype. */
const plainRecord = <T>(model: { [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<T> =>
  fc.record(model, { noNullPrototype: true }) as fc.Arbitrary<T>

/** Few instants, so that many things fall on the same one. */
const someMs = fc.constantFrom(1, 5, 10, 20)
const someIndex = fc.nat({ max: 30 })

const retry = fc.oneof(
  fc.constant(RetryPolicy.none()),
  fc.tuple(fc.integer({ min: 1, max: 3 }), fc.constantFrom(0, 5, 10)).map(([n, ms]) => RetryPolicy.fixed(n, ms)),
  fc.integer({ min: 1, max: 3 }).map((n) => RetryPolicy.exponential(n, { initialMs: 5, factor: 2, maxMs: 15 })),
)

export const limits = {
  minConcurrency: fc.integer({ min: 0, max: 2 }),
  maxConcurrency: fc.integer({ min: 1, max: 4 }),
  lend: fc.boolean(),
  timeoutMs: someMs,
  retry,
  pressureThreshold: fc.integer({ min: 1, max: 4 }),
  capacity: fc.integer({ min: 1, max: 5 }),
  order: fc.constantFrom('fifo' as const, 'lifo' as const),
  zombieGraceMs: fc.constantFrom(0, 7, 50),
  maxDeferrals: fc.integer({ min: 0, max: 2 }),
  protected: fc.constantFrom(true, false, false),
}

export const priority = fc.integer({ min: 0, max: 2 })

const laneDefinition: fc.Arbitrary<LaneDefinition> = fc.record(
  { ...limits, priority },
  { requiredKeys: ['priority'], noNullPrototype: true },
)

const queueSpec: fc.Arbitrary<QueueSpec> = fc
  .record({
    lanes: fc.array(laneDefinition, { minLength: 1, maxLength: 4, size: 'max' }),
    cap: fc.constantFrom(1, 2, 3, 4, 6, Number.POSITIVE_INFINITY),
    deadLetters: fc.constantFrom(0, 1, 3, 100),
  })
  .map(({ lanes, ...rest }) => {
    const fitting = areReservationsValid(lanes, rest.cap) ? lanes : lanes.map(withoutMinimum)
    return { ...rest, lanes: Object.fromEntries(fitting.map((lane, index) => [`lane${index}`, lane])) }
  })

function withoutMinimum({ minConcurrency: _, ...lane }: LaneDefinition): LaneDefinition {
  return lane
}

const end: fc.Arbitrary<End> = fc.oneof(
  { weight: 4, arbitrary: fc.constant<End>({ kind: 'return' }) },
  { weight: 3, arbitrary: fc.constant<End>({ kind: 'throw' }) },
  {
    weight: 3,
    arbitrary: fc.constantFrom<End>(
      { kind: 'throw-nothing' },
      { kind: 'unrecoverable' },
      { kind: 'time-error' },
      { kind: 'discard' },
    ),
  },
  {
    weight: 3,
    arbitrary: plainRecord({
      kind: fc.constantFrom('snooze' as const, 'retry-after' as const),
      ms: fc.constantFrom(0, 5, 10),
    }),
  },
)

const commandSpec: fc.Arbitrary<CommandSpec> = plainRecord({
  form: fc.constantFrom('typed', 'typed', 'typed', 'typed', 'function', 'object', 'missing'),
  script: fc.oneof(
    { weight: 8, arbitrary: fc.constant<End[]>([]) },
    { weight: 2, arbitrary: fc.array(end, { maxLength: 3 }) },
    // often enough to reach a limit
    { weight: 1, arbitrary: end.map((how) => [how, how, how, how]) },
  ),
  stopsOnAbort: fc.boolean(),
})

const submitOptions: fc.Arbitrary<SubmitSpec> = fc.oneof(
  { weight: 3, arbitrary: fc.constant<SubmitSpec>({}) },
  {
    weight: 3,
    arbitrary: fc.record(
      {
        priority: fc.constantFrom(0, 1, 1000, 2_097_150),
        timeoutMs: someMs,
        retry,
        delayMs: fc.constantFrom(0, 1, 5, 10),
        signal: fc.constantFrom('live' as const, 'live' as const, 'live' as const, 'aborted' as const),
        detached: fc.boolean(),
      },
      { requiredKeys: [], noNullPrototype: true },
    ),
  },
)

const batchOptions = submitOptions.map(({ signal: _, ...options }) => options)

const submitChoice = fc.record(
  {
    lane: someIndex,
    spec: commandSpec,
    options: submitOptions,
    sameIdAs: fc.option(someIndex, { nil: undefined, freq: 12 }),
  },
  { requiredKeys: ['lane', 'spec', 'options'], noNullPrototype: true },
)

const batchItem = fc.record({ spec: commandSpec, own: batchOptions }, { requiredKeys: ['spec'], noNullPrototype: true })

const submit = submitChoice.map((choice) => new Submit(choice))
const endBody = fc.tuple(someIndex, end).map(([body, how]) => new EndBody(body, how))

const change: fc.Arbitrary<Partial<LaneDefinition>> = fc.record(
  { ...limits, priority },
  { requiredKeys: [], noNullPrototype: true },
)

const ownOrOther = fc.option(someIndex, { nil: undefined, freq: 2 })
const runChild = fc.tuple(someIndex, ownOrOther, commandSpec).map((drawn) => new RunChild(...drawn))

/** `Promise.all([ctx.run(…), ctx.run(…)])` in the parent's own lane. */
const runChildren = ([parent, specs]: [number, CommandSpec[]]): ModelCommand =>
  new Burst(specs.map((spec) => new RunChild(parent, undefined, spec)))

/** A handler that does not wait for what it has begun with `ctx.run`. */
const runAndEnd = ([parent, spec, how]: [number, CommandSpec, End]): ModelCommand =>
  new Burst([new RunChild(parent, undefined, spec), new EndBody(parent, how)])

/** Steps that need no time to pass, with how often they are drawn. */
const weighted: readonly (readonly [number, fc.Arbitrary<ModelCommand>])[] = [
  [14, submit],
  [
    3,
    fc
      .tuple(someIndex, fc.array(batchItem, { minLength: 1, maxLength: 4 }), batchOptions)
      .map((drawn) => new SubmitBatch(...drawn)),
  ],
  [12, endBody],
  [4, runChild],
  [2, fc.tuple(someIndex, commandSpec, end).map(runAndEnd)],
  [1, fc.tuple(someIndex, fc.array(commandSpec, { minLength: 2, maxLength: 3 })).map(runChildren)],
  [2, fc.tuple(someIndex, submitChoice).map(([parent, choice]) => new SubmitChild(parent, choice))],
  [
    4,
    fc
      .tuple(someIndex, fc.constantFrom('run' as const, 'id' as const, 'signal' as const))
      .map((drawn) => new Cancel(...drawn)),
  ],
  [
    1,
    fc
      .tuple(someIndex, fc.constantFrom('clear' as const, 'cancelAll' as const))
      .map((drawn) => new ClearLane(...drawn)),
  ],
  [1, someIndex.map((lane) => new PauseLane(lane))],
  [2, someIndex.map((lane) => new ResumeLane(lane))],
  [3, fc.tuple(someIndex, change).map(([lane, options]) => new ConfigureLane(lane, options))],
  [1, someIndex.map((command) => new Redrive(command))],
  [1, someMs.map((ms) => new Drain(ms))],
  [1, someIndex.map((body) => new EndAbandoned(body))],
  [1, fc.constant(0).map(() => new Start())],
]

const atOnce = fc.oneof(...weighted.map(([weight, arbitrary]) => ({ weight, arbitrary })))

const step: fc.Arbitrary<ModelCommand> = fc.oneof(
  { weight: 24, arbitrary: atOnce },
  { weight: 6, arbitrary: fc.constantFrom(1, 5, 10, 20, 60).map((ms) => new AdvanceTime(ms)) },
  { weight: 5, arbitrary: fc.array(atOnce, { minLength: 2, maxLength: 5 }).map((steps) => new Burst(steps)) },
)

/** A queue, whether it is started from the beginning, and what happens to it; a shutdown comes late or never. */
export const history = plainRecord({
  spec: queueSpec,
  startsAtOnce: fc.constantFrom(true, true, true, false),
  steps: fc.array(step, { minLength: 1, maxLength: 60, size: 'max' }),
  shutdownAt: fc.option(fc.integer({ min: 0, max: 60 }), { nil: undefined }),
})
