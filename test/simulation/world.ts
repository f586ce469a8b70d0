/**
 * One seed: a real queue on the simulated clock, bodies that follow their plans, traffic and interference as drawn; then a
 * quiet phase in which faults are off, everything is resumed and all has to come to its end.
 */
import { type CommandRun, QueueManager, QueueMetrics, type QueueOptions, type SubmitOptions } from '@a3s-lab/lane'
import { type BodyHost, type FullContext, SimBody } from './body.js'
import type { CheckerKind } from './checker.js'
import { type Draw, derivedDraw } from './draw.js'
import type { SubmitSpec } from './lane-spec.js'
import { Listeners } from './listeners.js'
import { Observer } from './observer.js'
import type { Feature, SimOptions } from './options.js'
import { type CommandPicture, Picture } from './picture.js'
import { drawPlan } from './plan.js'
import { SimClock } from './sim-clock.js'
import { Steering } from './steering.js'
import { drawSubmit } from './traffic.js'

/** Timers after which a seed is given up: it does not come to rest. */
const MOST_TIMERS = 200_000

const useless = new Error('an owner of no use')

type Payload = { readonly plan: number }

export class World implements BodyHost {
  readonly options: SimOptions
  readonly clock: SimClock
  readonly picture: Picture
  readonly observer: Observer
  readonly queue: QueueManager
  readonly draw: Draw
  readonly listeners: Listeners
  /** Of the signals that commands were submitted with. */
  readonly controllers: AbortController[] = []
  readonly #steering: Steering
  readonly #hanging = new Set<() => void>()
  #plans = 0

  constructor(options: SimOptions, kinds: readonly CheckerKind[]) {
    this.options = options
    this.draw = derivedDraw(options.seed, -2)
    const has = (feature: Feature): boolean => options.features.includes(feature)
    this.clock = new SimClock({ late: has('late'), shuffled: has('shuffled') }, derivedDraw(options.seed, -3))
    this.picture = new Picture(options, this.clock)
    this.observer = new Observer(this.picture, kinds)
    this.queue = new QueueManager({
      lanes: options.lanes as QueueOptions['lanes'],
      maxConcurrency: options.cap,
      deadLetters: options.deadLetters,
      retention: { count: options.retention },
      clock: this.clock.face,
      random: derivedDraw(options.seed, -4),
      // A queue that nobody measures takes other ways: most seeds are for those.
      metrics: options.seed % 3 === 1 ? QueueMetrics.local() : undefined,
      onFault: () => {
        throw useless
      },
    })
    this.picture.watch(this.queue)
    this.queue.handle('work', (payload, context) => this.#perform((payload as Payload).plan, context as FullContext))
    // A predicate is asked at the very moment of the event; it keeps nothing in the line.
    this.queue.subscribeFiltered((event) => {
      this.observer.onEvent(event)
      return false
    })
    this.listeners = new Listeners(this)
    this.#steering = new Steering(this)
  }

  has(feature: Feature): boolean {
    return this.options.features.includes(feature)
  }

  /** The whole of it. */
  async run(): Promise<void> {
    const early = this.draw.chance(0.3)
    if (!early) this.#start()
    this.#arrive(this.options.commands)
    this.#steering.begin()
    if (early) this.clock.at(this.options.gapMs * 5, () => this.#start())
    const onRest = (): void => this.observer.atQuiescence()
    const isOver = (): boolean => this.clock.fired > MOST_TIMERS || this.picture.violations.length > 0
    await this.clock.run(isOver, onRest)
    if (!isOver()) {
      this.#becomeQuiet()
      await this.clock.run(isOver, onRest)
    }
    if (!isOver()) {
      await this.#steering.finish()
      await this.clock.run(isOver, onRest)
      if (this.picture.isComplete) await this.listeners.judge()
      this.observer.atEnd()
    }
    if (this.clock.fired > MOST_TIMERS) this.picture.report('I8', `${MOST_TIMERS} timers, and still no rest`)
  }

  #start(): void {
    this.picture.hasStarted = true
    void this.queue.start().catch(() => undefined)
  }

  /** One arrival after the other, each setting the timer of the next: the heap stays small. */
  #arrive(left: number): void {
    if (left <= 0) return
    const burst = this.has('bursts') && this.draw.chance(0.2) ? this.draw.int(2, 40) : 1
    const gap = this.draw.exponential(this.options.gapMs * burst)
    this.clock.at(this.clock.now + gap, () => {
      const count = Math.min(burst, left)
      for (let n = 0; n < count; n++) this.submitOne()
      this.#arrive(left - count)
    })
  }

  #becomeQuiet(): void {
    this.picture.isQuiet = true
    this.clock.faults = { late: false, shuffled: false }
    for (const laneId of this.picture.lanes.keys()) this.queue.lane(laneId).resume()
    if (!this.picture.hasStarted) this.#start()
    for (const wake of this.#hanging) wake()
    this.#hanging.clear()
  }

  /** Submits a command of some lane with options as drawn. */
  submitOne(): void {
    const laneId = this.draw.pick([...this.picture.lanes.keys()])
    void this.submit(laneId, drawSubmit(this, laneId), 0)
  }

  submit(laneId: string, spec: SubmitSpec, depth: number, parent?: SimBody): CommandRun {
    const { observer } = this
    const plan = this.#plans++
    const by = parent?.context.queue ?? this.queue
    const owner = parent?.picture.command
    observer.submitting({ laneId, spec, depth, ...(spec.detached === true ? {} : { parent: owner }) })
    const given = Object.keys(spec).length === 0 ? undefined : (spec as SubmitOptions)
    const { meddled, isMeddling } = this.listeners
    this.picture.submitting++
    const run = by.submit(laneId, this.#command(plan), given)
    this.picture.submitting--
    const wasRefused = run.state === 'failed' && this.picture.commands.get(run.id) === undefined
    this.#took(run)
    const made = this.picture.commands.get(run.id)
    observer.submitted({
      ...{ spec, run, wasRefused, wasMeddled: isMeddling || this.listeners.meddled !== meddled },
      accepted: made?.run === run && made.spec === spec ? made : undefined,
    })
    return run
  }

  #took(run: CommandRun): void {
    const { observer } = this
    const wasRefused = observer.incoming !== undefined
    observer.incoming = undefined
    const accepted = this.picture.commands.get(run.id)
    if (accepted === undefined || accepted.run !== undefined) {
      if (accepted !== undefined && accepted.run !== run) this.#judgeOther(accepted, run)
      run.catch(() => undefined)
      return
    }
    if (!wasRefused || observer.lastAccepted === accepted) observer.gaveRun(accepted, run)
  }

  /** A run under an id that is known: it is that command's, or the submit was refused. */
  #judgeOther(known: CommandPicture, run: CommandRun): void {
    if (run.state === 'failed' && known.final === undefined) return
    if (known.phase !== 'settled') this.picture.report('I21', `'${known.id}' was given two runs`)
  }

  /** A redrive takes the options of its own along, and nothing else. */
  redrive(letter: CommandPicture): void {
    const { observer } = this
    const { priority, timeoutMs, retry, key, weight, cost, deadlineMs } = letter.spec
    const kept = { priority, timeoutMs, retry, key, weight, cost, deadlineMs }
    const spec = JSON.parse(JSON.stringify(kept)) as SubmitSpec
    observer.incoming = { laneId: letter.laneId, spec, depth: 3, redrivenFrom: letter.id }
    observer.lastAccepted = undefined
    this.#took(this.queue.deadLetters.redrive(letter.id))
  }

  /** A signal that somebody may abort later. */
  newSignal(): AbortSignal {
    const controller = new AbortController()
    this.controllers.push(controller)
    return controller.signal
  }

  sleep(ms: number): { promise: Promise<void>; wake: () => void } {
    let wake = (): void => undefined
    const promise = new Promise<void>((resolve) => {
      const timer = this.clock.at(this.clock.now + ms, resolve)
      wake = () => {
        this.clock.clear(timer)
        resolve()
      }
    })
    return { promise, wake }
  }

  hangs(wake: () => void): void {
    if (this.picture.isQuiet) wake()
    else this.#hanging.add(wake)
  }

  runChild(body: SimBody): Promise<unknown> {
    const { command } = body.picture
    // never upwards: bodies of two full lanes that wait for children in each other's would wait for ever, by their own making
    const lanes = [...this.picture.lanes.keys()]
    const laneId = this.draw.pick(lanes.slice(lanes.indexOf(command.laneId)))
    this.observer.incoming = { laneId, spec: {}, depth: command.depth + 1, parent: command, isAwaitedChild: true }
    const promise = body.context.run(laneId, this.#command(this.#plans++))
    this.observer.incoming = undefined
    return promise
  }

  submitChild(body: SimBody): void {
    const laneId = this.draw.pick([...this.picture.lanes.keys()])
    const spec: SubmitSpec = this.draw.chance(0.3) ? { detached: true } : {}
    void this.submit(laneId, spec, body.picture.command.depth + 1, body)
  }

  /** A handler or listener that uses the queue from inside. */
  meddle(): void {
    this.#steering.step()
  }

  #command(plan: number): Parameters<QueueManager['submit']>[1] {
    const perform = (context: FullContext): unknown => this.#perform(plan, context)
    const form = plan % 7
    if (form === 1) return perform as never
    if (form === 2) return { commandType: 'object', execute: perform } as never
    return { type: 'work', payload: { plan } }
  }

  #perform(plan: number, context: FullContext): unknown {
    const picture = this.observer.entered(context.id, context.attempt, numberOf(context.restored))
    if (picture === undefined) return undefined
    return new SimBody(
      picture,
      context,
      drawPlan(this.options, plan, context.attempt, picture.command.depth),
      this,
    ).perform()
  }
}

/** The number in a checkpoint of ours. */
const numberOf = (state: unknown): number => (state as { readonly number: number } | undefined)?.number ?? 0
