/**
 * The queue, as its users hold it: a thin facade. What it does is done by its parts, each with one job: admission takes
 * commands in, the scheduler chooses, attempts run bodies, outcomes settle them, lifecycle ends it all.
 */
import type { AlertManager, QueueMetrics } from '../observe/index.js'
import { Admission } from './admission.js'
import { Attempts } from './attempts.js'
import { Children } from './children.js'
import type { AnyCommand, Command, FunctionCommand } from './command.js'
import type { CommandContext } from './context.js'
import type { QueueCore } from './core.js'
import { DeadLetters } from './dead-letters.js'
import { type CommandDefinition, type DefinedCommand, validate } from './definition.js'
import type { Engine } from './engine.js'
import { EngineLetters } from './engine-letters.js'
import { EngineLink } from './engine-link.js'
import type { Entry } from './entry.js'
import { configInvalid } from './errors.js'
import type { EventFilter, EventStream, SubscribeOptions } from './event-stream.js'
import { type Explanation, explain } from './explain.js'
import { Interruption } from './interruption.js'
import { LaneHandle } from './lane-handle.js'
import { Lending } from './lending.js'
import { Lifecycle } from './lifecycle.js'
import { checkObservation, type Observation, Observers } from './observation.js'
import { checkInteger, checkText } from './options.js'
import { type Outcome, outcomeOf } from './outcome.js'
import { Outcomes } from './outcomes.js'
import { unpark, unparkAll } from './parked.js'
import { runPass } from './pass.js'
import { PROGRESS_CAPACITY, ProgressReader } from './progress.js'
import { newCore, type QueueOptions } from './queue-options.js'
import { type CommandRecord, findRecord, findRun, type ListOptions, type ListPage, listRecords } from './records.js'
import { Recovery } from './recovery.js'
import { type CommandRun, type ResultOf, type Run, type RunMethods, untilAborted } from './run.js'
import { explainShared } from './shared-explain.js'
import { type ClusterStats, cancelShared, clusterStats, findShared, listShared } from './shared-reads.js'
import { type QueueStats, queueStats } from './stats.js'
import type { Storage } from './storage.js'
import type { SubmitOptions } from './submit-options.js'
import { isFinal } from './transitions.js'
import { watchedQueue } from './watched-queue.js'

/** What a handler may give back: a value, or an outcome of `snooze` or `discard`. */
export type HandlerResult<R> = R | Outcome | Promise<R | Outcome>

/** Does the work of one command type. */
export type Handler<P = unknown, R = unknown> = (payload: P, context: CommandContext<P>) => HandlerResult<R>

/** Gives the handler of a command type that has none of its own; undefined when there is none here. */
export type HandlerResolver = (commandType: string) => Handler | undefined

/** Lane ids that are known, with any other still allowed: completion without a cage. */
export type LaneName<L extends string> = L | (string & {})

/** A queue of lanes. Make it, register handlers, `start` it, submit. */
export class QueueManager<L extends string = string> {
  readonly #core: QueueCore
  readonly #admission: Admission
  readonly #outcomes: Outcomes
  readonly #interruption: Interruption
  readonly #lifecycle: Lifecycle
  /** The dead letters: to look at, to run again, to throw away. */
  readonly deadLetters: DeadLetters
  readonly #metrics: QueueMetrics | undefined
  readonly #alerts: AlertManager | undefined

  /** `CONFIG_INVALID` names the option that is wrong. */
  constructor(options: QueueOptions<L>) {
    const core = newCore(options)
    this.#core = core
    if (options.metrics !== undefined) this.observe(options.metrics)
    if (options.alerts !== undefined) this.observe(options.alerts)
    this.#metrics = options.metrics
    this.#alerts = options.alerts
    const outcomes = new Outcomes(core)
    const lending = new Lending(core)
    const interruption = new Interruption(core)
    this.#interruption = interruption
    this.#outcomes = outcomes
    const runMethods = this.#runMethods()
    this.#admission = new Admission(core, outcomes, runMethods)
    const children = new Children(core, this.#admission, lending, interruption, {
      cancel: (id, reason) => this.cancel(id, reason),
      get: (id) => this.get(id),
      list: (page) => this.list(page),
      stats: () => this.stats(),
    })
    const attempts = new Attempts(core, outcomes, lending, interruption, children)
    outcomes.stopper = attempts
    this.#lifecycle = new Lifecycle(core, outcomes, attempts, this.#admission)
    this.deadLetters = new DeadLetters(core.deadLetters, {
      isDurable: core.journal !== undefined,
      written: () => core.journal?.written(),
      refused: (error) => this.#admission.refuse('', '', error) as CommandRun,
      resubmit: (letter, { command, options: own, stored }) => {
        // A letter of a queue that shares the ring is stored there, and goes there when it has left the ring.
        const redrives = stored !== undefined && stored.store === core.journal ? { redrives: stored.seq } : {}
        const origin = { redrivenFrom: letter.commandId, ...redrives }
        const run = this.#admission.submit(letter.laneId, command, { ...own, metadata: letter.metadata }, origin)
        if (typeof run.inner === 'function') return run as CommandRun // it was refused: the letter stays
        const redriven = (): void => {
          core.deadLetters?.remove(letter)
          const payload = { lane_id: letter.laneId, command_id: letter.commandId, redriven_as: run.id }
          if (core.hasListeners) core.emit('queue.dead_letter.redriven', payload)
        }
        if (core.journal === undefined) redriven()
        else run.accepted.then(redriven, () => undefined)
        return run as CommandRun
      },
    })
    const parts = { core, attempts, outcomes, lending, interruption }
    core.onPass = () => runPass(parts)
    if (options.engine !== undefined) {
      const linkParts = { outcomes, attempts, admission: this.#admission, methods: runMethods }
      core.link = new EngineLink(core, options.engine, linkParts)
      this.deadLetters.shelf = new EngineLetters(core, core.link, this.#admission)
    }
    if (core.journal === undefined) return
    core.journal.host = this.#admission.stored
    core.recovery = new Recovery(core, core.journal, outcomes, this.#admission.deduplication, runMethods)
    core.recovery.load()
  }

  /**
   * Says how commands of a type are run; a later call replaces the handler. With a definition, payloads are checked at
   * submit and results when they are returned. Handlers may be registered before or after `start`.
   */
  handle<P = unknown, R = unknown>(type: string, handler: Handler<P, R>): void
  handle<I, P, R>(definition: CommandDefinition<I, P, R>, handler: Handler<P, R>): void
  handle(which: string | CommandDefinition, handler: Handler): void {
    const type: unknown = typeof which === 'function' ? which.type : which
    checkText('handle type', type)
    if (typeof handler !== 'function') throw configInvalid(`handler of '${type}'`, 'a function', handler)
    const { payload, result }: Pick<CommandDefinition, 'payload' | 'result'> = typeof which === 'function' ? which : {}
    if (payload === undefined) this.#core.payloadSchemas.delete(type)
    else this.#core.payloadSchemas.set(type, payload)
    this.#core.handlers.set(type, result === undefined ? handler : checkedResults(type, handler, result))
    unpark(this.#core, type)
  }

  /**
   * Asks for the handler of each command whose type has none of its own, when its turn comes; undefined when there is none
   * here. For types that are not known before, such as the tools of a server that comes and goes. A later call replaces
   * the function. One that throws is a `queue.fault`, and gives no handler.
   */
  resolveHandler(resolve: HandlerResolver): void {
    if (typeof resolve !== 'function') throw configInvalid('resolveHandler resolve', 'a function', resolve)
    this.#core.handlers.resolveBy(resolve)
    unparkAll(this.#core)
  }

  /**
   * Starts work; what was submitted before is seen now. Idempotent. `SHUTTING_DOWN` after the end of the queue;
   * `STORAGE_FAILED` when it could not be written that interrupted commands run again: nothing was started.
   */
  async start(): Promise<void> {
    await this.#lifecycle.start()
  }

  /**
   * Submits a command to a lane and returns its run at once. Never throws: a refused submit rejects the run and
   * `run.accepted`, with `LANE_NOT_FOUND`, `QUEUE_FULL`, `SHUTTING_DOWN`, `PAYLOAD_INVALID`, `CONFIG_INVALID` or `CONFLICT`.
   * Commands submitted in one stretch of synchronous code are all seen before the first of them starts.
   */
  submit<R>(laneId: LaneName<L>, command: DefinedCommand<unknown, unknown, R>, options?: SubmitOptions): CommandRun<R>
  submit<R>(
    laneId: LaneName<L>,
    command: FunctionCommand<R> | Command<R>,
    options?: SubmitOptions,
  ): CommandRun<ResultOf<R>>
  submit<R = unknown>(laneId: LaneName<L>, command: AnyCommand<R>, options?: SubmitOptions): CommandRun<R>
  submit(laneId: string, command: unknown, options?: SubmitOptions): unknown {
    return this.#admission.submit(laneId, command, options)
  }

  /** Submits several commands to a lane; an item may be `[command, options]`, whose options go before the common ones. */
  submitBatch<C extends readonly BatchItem[]>(
    laneId: LaneName<L>,
    commands: readonly [...C],
    options?: SubmitOptions,
  ): { -readonly [K in keyof C]: CommandRun<BatchResult<C[K]>> } {
    if (!Array.isArray(commands)) throw configInvalid('submitBatch commands', 'an array', commands)
    return this.#admission.submitBatch(laneId, commands, options) as never
  }

  /** A lane to look at and to steer. Throws `LANE_NOT_FOUND`. */
  lane(laneId: LaneName<L>): LaneHandle {
    return new LaneHandle(this.#core, this.#outcomes, this.#interruption, this.#core.lane(laneId))
  }

  /** What is known of a command, settled ones too while they are kept. */
  async get(commandId: string): Promise<CommandRecord | undefined> {
    return findRecord(this.#core, commandId) ?? findShared(this.#core, commandId)
  }

  /**
   * Why a command waits, or what it does: its state, and reasons with a code, a sentence, and an end where that is known.
   * Undefined for a command that is not known.
   */
  explain(commandId: string): Explanation | undefined {
    return explain(this.#core, commandId)
  }

  /** The same wherever the command is: with an engine, as the engine knows it now. */
  async clusterExplain(commandId: string): Promise<Explanation | undefined> {
    return explainShared(this.#core, commandId)
  }

  /** Commands in order of their submission, a page at a time. */
  async list(options: ListOptions = {}): Promise<ListPage> {
    return this.#core.link === undefined ? listRecords(this.#core, options) : listShared(this.#core, options)
  }

  /** Cancels a command by its id; false when there is none or it has its outcome. */
  cancel(commandId: string, reason?: unknown): boolean {
    const run = findRun(this.#core, commandId) ?? this.#admission.checks.find(commandId)
    if (this.#core.link !== undefined && run === undefined) return cancelShared(this.#core, commandId, reason)
    return run?.cancel(reason) ?? false
  }

  /** Counts, over all lanes and per lane. */
  stats(): QueueStats {
    return queueStats(this.#core)
  }

  /** Counts over all processes that share the lanes. Without an engine those of this queue. */
  async clusterStats(): Promise<ClusterStats> {
    return clusterStats(this.#core)
  }

  /** All events from now on, in a bounded line of your own. */
  subscribe(options?: SubscribeOptions): EventStream {
    return this.#core.events.subscribeFor(this.#core, undefined, options)
  }

  /** Events with one of the keys, or for which the predicate answers true. */
  subscribeFiltered(filter: EventFilter, options?: SubscribeOptions): EventStream {
    return this.#core.events.subscribeFor(this.#core, filter, options)
  }

  /**
   * What happens in the lanes that are shared over an engine, in any process, from now on: whoever has submitted or runs
   * it. It ends with `close`. The same as `subscribe` without an engine. `CONFIG_INVALID` when the engine cannot tell.
   */
  async subscribeCluster(options?: SubscribeOptions): Promise<EventStream> {
    const { link } = this.#core
    return link === undefined ? this.subscribe(options) : link.events.subscribe(options)
  }

  /** The metrics it was given; undefined when it has none. */
  get metrics(): QueueMetrics | undefined {
    return this.#metrics
  }

  /** The storage it was given; undefined when it has none. */
  get storage(): Storage | undefined {
    return this.#core.journal?.storage
  }

  /** The engine it was given; undefined when it has none. */
  get engine(): Engine | undefined {
    return this.#core.link?.engine
  }

  /** The alerts it was given; undefined when it has none. */
  get alerts(): AlertManager | undefined {
    return this.#alerts
  }

  /**
   * Has metrics, alerts or something of yours watch the queue from now on: what the options `metrics` and `alerts` do from
   * the start. What it throws later is a `queue.fault`; what it throws here, nobody watches.
   */
  observe(observation: Observation): void {
    const core = this.#core
    checkObservation('observe observation', observation)
    core.observers ??= new Observers(watchedQueue(core), [...core.lanes.values()])
    core.observers.add(observation)
  }

  /** This queue: the reference reaches it through its manager. */
  queue(): this {
    return this
  }

  /** Whether `shutdown` or `close` was called. */
  get isShuttingDown(): boolean {
    return this.#core.isShuttingDown
  }

  /** Refuses new work from now on; what was accepted goes on. `queue.shutdown.complete` follows when all has settled. */
  async shutdown(): Promise<void> {
    this.#lifecycle.shutdown()
  }

  /**
   * Waits until everything accepted has settled, back-off and delays included, and no slot is held. Rejects at the limit
   * with `DRAIN_TIMEOUT`, whose `unsettled` and `zombies` name the commands; nothing is stopped by it.
   */
  async drain(timeoutMs: number, options: { readonly signal?: AbortSignal | undefined } = {}): Promise<void> {
    await this.#lifecycle.drain(timeoutMs, options.signal)
  }

  /**
   * Ends the queue: nothing more starts, what waits is cancelled, what runs may end within `timeoutMs` (default 30,000) and
   * is then cancelled too. Always comes back. A failed attempt is not retried any more. With a storage no stored command is
   * cancelled: what waits, and what still runs at the limit, stays for the next queue on it, and the runs here reject with
   * `SHUTTING_DOWN`; a failed attempt is retried there.
   */
  async close(options: { readonly timeoutMs?: number | undefined } = {}): Promise<void> {
    await this.#lifecycle.close(options.timeoutMs ?? 30_000)
  }

  /** `shutdown` and `close`: for `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  /** What every run of this queue carries. */
  #runMethods(): RunMethods {
    const core = this.#core
    const cancel = (run: Run, reason: unknown): boolean => {
      if (isFinal(run.state)) return false
      const entry = core.entryOf(run)
      return entry === undefined ? this.#admission.checks.cancel(run, reason) : this.#outcomes.cancel(entry, reason)
    }
    return {
      accepted: Promise.resolve(),
      result(this: Run, options) {
        return untilAborted(this, options?.signal)
      },
      cancel(this: Run, reason) {
        return cancel(this, reason)
      },
      progress(this: Run, options) {
        return progressOf(core, this, options?.capacity ?? PROGRESS_CAPACITY)
      },
    } as RunMethods
  }
}

/** An item of a batch: a command, or one with options of its own. */
export type BatchItem = AnyCommand | readonly [AnyCommand, SubmitOptions]

/** The result type of one item of a batch. */
export type BatchResult<C> = C extends readonly [infer One, SubmitOptions] ? CommandResult<One> : CommandResult<C>

type CommandResult<C> =
  C extends DefinedCommand<infer _I, infer _P, infer R>
    ? R
    : C extends FunctionCommand<infer R> | Command<infer R>
      ? ResultOf<R>
      : unknown

/** A handler whose results are checked; outcomes pass. */
function checkedResults(type: string, handler: Handler, schema: NonNullable<CommandDefinition['result']>): Handler {
  return async (payload, context) => {
    const value = await handler(payload, context)
    return outcomeOf(value) === undefined ? validate(schema, `The result of ${type}`, value) : value
  }
}

/** A reader of what a run's handler reports from now on. */
function progressOf(core: QueueCore, run: Run, capacity: number): ProgressReader {
  checkInteger('progress capacity', capacity, 1)
  const entry: Entry | undefined = core.entryOf(run)
  const reader = new ProgressReader(capacity, (ended) => entry?.details?.readers?.delete(ended))
  if (entry === undefined || isFinal(run.state)) {
    reader.close()
    return reader
  }
  entry.more.readers ??= new Set()
  entry.more.readers.add(reader)
  return reader
}
