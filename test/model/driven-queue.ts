/**
 * The real queue on a virtual clock, with handlers that end when the test says so. It watches what only an observer from
 * outside can judge (bodies that run at once, counts at the very moment of an event) and keeps all it saw for comparison.
 */
import {
  type AnyCommand,
  type CommandContext,
  type CommandRun,
  discard,
  isLaneError,
  type LaneEvent,
  QueueManager,
  RetryAfterError,
  snooze,
  type TypedCommand,
  UnrecoverableError,
} from '@a3s-lab/lane'
import { seededRandom, VirtualClock } from '@a3s-lab/lane/testing'
import type { CommandSpec, End, SubmitSpec } from './command-spec.js'
import type { QueueSpec } from './reference-queue.js'

/** A body that has begun and not ended. */
type LiveBody = {
  readonly n: number
  readonly attempt: number
  readonly laneId: string
  readonly context: CommandContext
  readonly end: (how: End) => void
  /** `ctx.run` calls under way: such a body does nothing. */
  waiting: number
}

export type Tracked = { readonly run: CommandRun; readonly answers: string[] }

export class DrivenQueue {
  readonly clock = new VirtualClock()
  readonly queue: QueueManager
  readonly runs: Tracked[] = []
  readonly signals = new Map<number, AbortController>()
  readonly starts: string[] = []
  readonly events = new Map<string, string[]>()
  readonly laneEvents = new Map<string, string[]>()
  rejections = 0
  /** What an observer found wrong, in words. */
  readonly faults: string[] = []
  readonly drains: { outcome: 'waiting' | 'resolved' | 'rejected'; unsettled: string[]; zombies: string[] }[] = []
  bodies: LiveBody[] = []
  readonly #numbers = new Map<string, number>()
  readonly #spec: QueueSpec
  readonly #submitted = new Set<string>()
  readonly #settled = new Set<string>()
  readonly #ceilings = new Map<string, number>()

  constructor(spec: QueueSpec, seed: number) {
    this.#spec = spec
    const { lanes, cap: maxConcurrency, deadLetters } = spec
    this.queue = new QueueManager({
      ...{ lanes, maxConcurrency, deadLetters, clock: this.clock, random: seededRandom(seed) },
    })
    this.queue.handle('work', (payload, context) => this.#perform(payload as CommandSpec, context))
    // Two listeners that nobody may feel: one that throws, one that never reads.
    this.queue.subscribeFiltered(() => {
      throw uselessListener
    })
    this.queue.subscribe({ capacity: 1 })
    // A predicate is asked at the very moment of the event; it keeps nothing in the line.
    this.queue.subscribeFiltered((event) => {
      this.#observe(event)
      return false
    })
  }

  submit(laneId: string, spec: CommandSpec, options: SubmitSpec | undefined, parent?: LiveBody): CommandRun {
    const { signal, ...rest } = options ?? {}
    const controller = new AbortController()
    if (signal === 'aborted') controller.abort()
    const all = signal === undefined ? rest : { ...rest, signal: controller.signal }
    const isPlain = Object.keys(all).length === 0
    const queue = parent?.context.queue ?? this.queue
    const run = queue.submit(laneId, this.commandOf(spec) as TypedCommand, isPlain ? undefined : all)
    if (signal === 'live') this.signals.set(this.runs.length, controller)
    return run
  }

  /** Takes note of an accepted run. */
  track(run: CommandRun): void {
    const answers: string[] = []
    this.#numbers.set(run.id, this.runs.length)
    this.runs.push({ run, answers })
    run.then(
      (value) => answers.push(String(value)),
      (error: unknown) => answers.push(codeOf(error)),
    )
  }

  /** A submit that has to be refused: its run and `accepted` reject with the code. */
  expectRefusal(run: CommandRun, code: string): void {
    const judge = (what: string) => (error: unknown) => {
      if (codeOf(error) !== code) this.faults.push(`${what} rejected with ${codeOf(error)}, expected ${code}`)
    }
    const missing = (what: string) => () => this.faults.push(`${what} resolved, expected ${code}`)
    if (run.state !== 'failed') this.faults.push(`a submit was not refused, expected ${code}`)
    run.then(missing('the run'), judge('the run'))
    run.accepted.then(missing('accepted'), judge('accepted'))
  }

  numberOf(id: string): number {
    return this.#numbers.get(id) ?? -1
  }

  commandOf(spec: CommandSpec): AnyCommand {
    const perform = (context: CommandContext): unknown => this.#perform(spec, context)
    if (spec.form === 'function') return perform
    if (spec.form === 'object') return { commandType: 'object', execute: perform }
    return { type: spec.form === 'typed' ? 'work' : 'nobody', payload: spec }
  }

  /** Events of the queue itself. */
  get queueEvents(): readonly string[] {
    return this.laneEvents.get('') ?? []
  }

  drain(timeoutMs: number): void {
    const drain: DrivenQueue['drains'][number] = { outcome: 'waiting', unsettled: [], zombies: [] }
    this.drains.push(drain)
    this.queue.drain(timeoutMs).then(
      () => {
        drain.outcome = 'resolved'
      },
      (error: unknown) => {
        if (codeOf(error) !== 'DRAIN_TIMEOUT') this.faults.push(`drain rejected with ${codeOf(error)}`)
        const { unsettled, zombies } = error as { unsettled: string[]; zombies: string[] }
        Object.assign(drain, { outcome: 'rejected', unsettled, zombies })
      },
    )
  }

  body(n: number, attempt: number): LiveBody {
    const body = this.bodies.find((one) => one.n === n && one.attempt === attempt)
    if (body === undefined) throw new Error(`attempt ${attempt} of command ${n} does not run`)
    return body
  }

  /** `ctx.run`: from outside, the body does nothing until its promise settles. */
  runChild(parent: LiveBody, laneId: string, spec: CommandSpec, options: { readonly id: string }): void {
    parent.waiting++
    const goesOn = (): void => {
      parent.waiting--
      if (this.bodies.includes(parent)) this.#judgeLimits(parent, 'goes on')
    }
    parent.context.run(laneId, this.commandOf(spec) as TypedCommand, options).then(goesOn, goesOn)
  }

  #perform(spec: CommandSpec, context: CommandContext): unknown {
    const n = this.numberOf(context.id)
    this.starts.push(`${n}#${context.attempt}`)
    const { promise, resolve, reject } = deferred()
    let hasEnded = false
    const end = (how: End): void => {
      if (hasEnded) return
      hasEnded = true
      this.bodies = this.bodies.filter((one) => one !== body)
      this.#ceiling(context.laneId)
      giveBack(how, `${n}#${context.attempt}`, resolve, reject)
    }
    const body: LiveBody = { n, attempt: context.attempt, laneId: context.laneId, context, end, waiting: 0 }
    this.#ceiling(context.laneId)
    this.bodies.push(body)
    this.#judgeLimits(body, 'started')
    if (this.bodies.some((one) => one !== body && one.n === n && !this.#isAbandoned(one)))
      this.faults.push(`command ${n} runs beside itself`)
    const atOnce = spec.script[context.attempt - 1]
    if (atOnce !== undefined) {
      hasEnded = true
      this.bodies = this.bodies.filter((one) => one !== body)
      return endNow(atOnce, `${n}#${context.attempt}`)
    }
    if (spec.stopsOnAbort) context.signal.addEventListener('abort', () => end({ kind: 'throw' }))
    return promise
  }

  /** I1, I2: bodies that do something at this moment, zombies included. */
  #judgeLimits({ n, laneId }: LiveBody, what: string): void {
    const busy = this.bodies.filter((body) => body.waiting === 0 && !this.#isAbandoned(body))
    const inLane = busy.filter((body) => body.laneId === laneId).length
    if (inLane > this.#ceiling(laneId)) this.faults.push(`command ${n} ${what}: ${inLane} bodies in lane ${laneId}`)
    if (busy.length > this.#spec.cap) this.faults.push(`command ${n} ${what}: ${busy.length} bodies in all`)
  }

  /** The lane's limit; after a change downwards as many as ran then, fewer with each that ends, until the limit is kept. */
  #ceiling(laneId: string): number {
    const { max } = this.queue.lane(laneId).status()
    const before = this.#ceilings.get(laneId) ?? max
    const running = this.bodies.filter((body) => body.laneId === laneId && !this.#isAbandoned(body)).length
    const ceiling = Math.max(max, Math.min(before, running))
    this.#ceilings.set(laneId, ceiling)
    return ceiling
  }

  /** A body that was given up after its grace period holds no slot. */
  #isAbandoned({ context, attempt }: LiveBody): boolean {
    return this.abandoned.has(`${this.numberOf(context.id)}#${attempt}`)
  }

  readonly abandoned = new Set<string>()

  #observe({ key, payload }: LaneEvent): void {
    const { command_id: id, lane_id: laneId } = (payload ?? {}) as { command_id?: string; lane_id?: string }
    const name = key.slice(key.lastIndexOf('.') + 1)
    // a refused submit of an id that is known is told under that id, and says nothing about its command
    if (name === 'rejected') this.rejections++
    else if (id === undefined) append(this.laneEvents, laneId ?? '', laneId === undefined ? key : name)
    else append(this.events, id, name)
    if (key === 'queue.command.submitted') this.#submitted.add(id ?? '')
    if (['completed', 'cancelled', 'dead_lettered', 'failed', 'timeout'].includes(name)) this.#settled.add(id ?? '')
    if (key === 'queue.fault') this.#noteAbandoned(this.numberOf(id ?? ''))
    const { totalPending, totalActive, totalDelayed } = this.queue.stats()
    const unsettled = this.#submitted.size - this.#settled.size
    if (unsettled !== totalPending + totalActive + totalDelayed)
      this.faults.push(
        `at ${key}: ${unsettled} unsettled, but ${totalPending} pending, ${totalActive} active, ${totalDelayed} delayed`,
      )
  }

  #noteAbandoned(n: number): void {
    const oldest = this.bodies.find((body) => body.n === n && !this.#isAbandoned(body))
    if (oldest !== undefined) this.abandoned.add(`${n}#${oldest.attempt}`)
  }
}

const uselessListener = new Error('a listener of no use')

function append(lists: Map<string, string[]>, key: string, item: string): void {
  const list = lists.get(key)
  if (list === undefined) lists.set(key, [item])
  else list.push(item)
}

const codeOf = (error: unknown): string => (isLaneError(error) ? error.code : `not an error of ours: ${String(error)}`)

function deferred(): {
  promise: Promise<unknown>
  resolve: (value: unknown) => void
  reject: (error: unknown) => void
} {
  let resolve: (value: unknown) => void = () => {}
  let reject: (error: unknown) => void = () => {}
  const promise = new Promise<unknown>((onValue, onError) => {
    resolve = onValue
    reject = onError
  })
  return { promise, resolve, reject }
}

function giveBack(how: End, value: string, resolve: (value: unknown) => void, reject: (error: unknown) => void): void {
  try {
    resolve(endNow(how, value))
  } catch (error) {
    reject(error)
  }
}

function endNow(how: End, value: string): unknown {
  if (how.kind === 'return') return value
  if (how.kind === 'discard') return discard()
  if (how.kind === 'snooze') return snooze(how.ms)
  if (how.kind === 'retry-after') throw new RetryAfterError(how.ms)
  if (how.kind === 'unrecoverable') throw new UnrecoverableError('no use')
  if (how.kind === 'time-error') throw Object.assign(new Error('too late'), { name: 'TimeoutError' })
  // biome-ignore lint/style/useThrowOnlyError: handlers throw nothing, too
  throw how.kind === 'throw' ? new Error('failed') : undefined
}
