/** Puts a queue through traces, and tells how they ended: in a form that is the same wherever they ran. */
import {
  type CommandContext,
  type CommandRecord,
  type CommandRun,
  type DeadLetter,
  discard,
  type ErrorRecord,
  type QueueManager,
  RetryAfterError,
  snooze,
  UnrecoverableError,
} from '@a3s-lab/lane'
import { sorted as inOrder } from '../support/bodies.js'
import type { Payload, Step, Submit, Trace } from './trace.js'

/** How a trace ended. Texts, so that a difference can be read. */
export type TraceOutcome = {
  /** Of each submit: how it was answered, how its run ended, what is known of it. */
  readonly submits: readonly string[]
  /** Of each command that ran, by name: its attempts, and what they found. */
  readonly attempts: Readonly<Record<string, readonly string[]>>
  /** Dead letters, by name. */
  readonly letters: readonly string[]
  /** Priorities in the lane `single` in the order of the first starts, of those that could start at once. */
  readonly order: readonly number[]
}

/** The queues of a trace: one of each role, or twice the same. */
export type TraceQueues = {
  readonly submitter: QueueManager
  readonly worker: QueueManager
  /** Ends both. */
  close(): Promise<void>
}

/** Makes the queues; neither is started. */
export type BackEnd = { readonly name: string; open(): Promise<TraceQueues> }

const COMMAND_TYPE = 'traced'
const ENDS_WITHIN_MS = 30_000
const DEFAULT_PRIORITY = 1000

/** Puts one queue through several traces at once; their outcomes in their order. */
export async function runTraces(traces: readonly Trace[], backEnd: BackEnd): Promise<TraceOutcome[]> {
  const queues = await backEnd.open()
  try {
    return await new TraceRun(traces, queues).run()
  } finally {
    await queues.close()
  }
}

class TraceRun {
  readonly #traces: readonly Trace[]
  readonly #queues: TraceQueues
  readonly #attempts = new Map<string, string[]>()

  constructor(traces: readonly Trace[], queues: TraceQueues) {
    this.#traces = traces
    this.#queues = queues
  }

  async run(): Promise<TraceOutcome[]> {
    const { submitter, worker } = this.#queues
    worker.handle(COMMAND_TYPE, (payload, context) => this.#carryOut(payload as Payload, context))
    if (submitter !== worker) await submitter.start()
    // the submits of a trace are made in one turn
    const runs = this.#traces.map(({ submits }) => submits.map((submit) => submitted(submitter, submit)))
    await Promise.allSettled(runs.flat().map(({ accepted }) => accepted))
    // what was submitted together is there before the first of it starts
    await worker.start()
    await withinLimit(Promise.all(runs.flat().map(endOf)))
    const letters = await submitter.deadLetters.list()
    return await Promise.all(this.#traces.map((trace, index) => this.#outcome(trace, runs[index] ?? [], letters)))
  }

  async #outcome(
    { submits }: Trace,
    runs: readonly CommandRun[],
    letters: readonly DeadLetter[],
  ): Promise<TraceOutcome> {
    const names = new Set(submits.map(({ payload }) => payload.name))
    const texts = await Promise.all(runs.map((run) => this.#describe(run)))
    const ownLetters = letters.filter(({ payload }) => names.has((payload as Payload).name))
    return {
      submits: texts.map((text) => withoutIds(text, runs)),
      attempts: Object.fromEntries([...this.#attempts].filter(([name]) => names.has(name))),
      letters: inOrder(ownLetters.map(describeLetter)),
      order: this.#order(submits),
    }
  }

  async #describe(run: CommandRun): Promise<string> {
    const answer = await run.accepted.then(
      () => 'accepted',
      (error: unknown) => `refused: ${describeError(error)}`,
    )
    if (answer !== 'accepted') return answer
    const record = await this.#queues.submitter.get(run.id)
    return `${await endOf(run)} ${record === undefined ? 'unknown' : describeRecord(record)}`
  }

  async #carryOut(payload: Payload, context: CommandContext): Promise<unknown> {
    const { attempt, restored, key } = context
    const text = textOf({ attempt, restored, key, payload })
    const own = this.#attempts.get(payload.name)
    if (own === undefined) this.#attempts.set(payload.name, [text])
    else own.push(text)
    const step = payload.script[attempt - 1] ?? { kind: 'return' }
    return await bodies[step.kind](step, payload, context)
  }

  /** Those that ran stand in the order in which they ran first. */
  #order(submits: readonly Submit[]): number[] {
    const plain = new Map(
      submits
        .filter(({ laneId, options }) => laneId === 'single' && options.delayMs === undefined)
        .map(({ payload, options }) => [payload.name, options.priority ?? DEFAULT_PRIORITY]),
    )
    return [...this.#attempts.keys()].flatMap((name) => plain.get(name) ?? [])
  }
}

function submitted(queue: QueueManager, { laneId, payload, options, isCancelled }: Submit): CommandRun {
  const run = queue.submit(laneId, { type: COMMAND_TYPE, payload }, options)
  run.then(undefined, () => undefined)
  if (isCancelled)
    run.accepted.then(
      () => run.cancel('not wanted'),
      () => undefined,
    )
  return run
}

/** Ids that nobody chose are others each time: the number of the submit stands for one. */
const withoutIds = (text: string, runs: readonly CommandRun[]): string =>
  runs.reduce((left, { id }, index) => left.replaceAll(id, `<id ${index}>`), text)

const endOf = (run: CommandRun): Promise<string> =>
  run.then(
    (value: unknown) => `gave ${textOf(value)}`,
    (error: unknown) => `rejected with ${describeError(error)}`,
  )

type Body = (step: Step, payload: Payload, context: CommandContext) => unknown
const textIn = (step: Step): string => ('text' in step ? step.text : '')
const msIn = (step: Step): number => ('ms' in step ? step.ms : 0)

/** What a body does in each of its steps. */
const bodies: Readonly<Record<Step['kind'], Body>> = {
  return: (_, { value }) => value,
  hang: (_, __, { signal }) => untilAborted(signal),
  throw: (step, { name }) => {
    throw new RangeError(textIn(step), { cause: new Error(`of ${name}`) })
  },
  unrecoverable: (step) => {
    throw new UnrecoverableError(textIn(step))
  },
  discard: (step) => discard(textIn(step)),
  'save and throw': async (step, _, { attempt, checkpoint }) => {
    await checkpoint({ attempt, text: textIn(step) })
    throw new Error(textIn(step))
  },
  tell: (step, { value }, { log, progress }) => {
    log(textIn(step))
    progress({ text: textIn(step), value })
    return value
  },
  snooze: (step) => snooze(msIn(step)),
  defer: (step) => {
    throw new RetryAfterError(msIn(step))
  },
}

function untilAborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true })
  })
}

function describeRecord(record: CommandRecord): string {
  const { laneId, commandType, state, payload, priority, attempt, result, error, metadata, progress } = record
  const history = record.history?.map((one) => [one.attempt, one.error])
  const logs = record.logs?.map((one) => [one.attempt, one.line])
  const known = { laneId, commandType, state, payload, priority, attempt, result, metadata, progress, history, logs }
  return `${textOf(known)} ${error === undefined ? '' : describeError(error)}`
}

const describeLetter = ({ commandType, laneId, payload, error, attempts, history, metadata }: DeadLetter): string =>
  textOf({ commandType, laneId, payload, error, attempts, metadata, history: history.map((one) => one.error) })

/** An error without what depends on the time, the place and the id. */
function describeError(error: unknown): string {
  const { name, message, code, retryable, cause } = error as Partial<ErrorRecord>
  const beneath = cause === undefined ? '' : ` because of ${describeError(cause)}`
  return `${textOf({ name, message, code, retryable })}${beneath}`
}

/** JSON with its keys in order; what JSON has no word for by name. */
function textOf(value: unknown): string {
  const sortKeys = (_: string, part: unknown): unknown =>
    typeof part === 'object' && part !== null && !Array.isArray(part)
      ? Object.fromEntries(inOrder(Object.keys(part)).map((key) => [key, (part as Record<string, unknown>)[key]]))
      : part
  return JSON.stringify(value, sortKeys) ?? 'undefined'
}

async function withinLimit<T>(promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error('the traces do not end')), ENDS_WITHIN_MS)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}
