/** One process: a queue on a disk, with a clock of its own, and the bodies that run in it. Nothing of it outlives its death. */
import { type Clock, type CommandRun, QueueManager, type QueueOptions, type SubmitOptions } from '@a3s-lab/lane'
import { type BodyHost, type BodyObserver, type FullContext, SimBody } from '../body.js'
import type { SubmitSpec } from '../lane-spec.js'
import { type BodyPicture, type CommandPicture, isBusy } from '../picture.js'
import { drawPlan } from '../plan.js'
import type { SimDisk } from './disk.js'
import type { DurableWorld } from './durable-world.js'
import type { Seen } from './ledger.js'

/** Pause before a start that was refused is tried again. */
const START_AGAIN_MS = 10

export class SimProcess implements BodyHost, BodyObserver {
  readonly queue: QueueManager
  readonly disk: SimDisk
  readonly bodies = new Set<BodyPicture>()
  readonly number: number
  isDead = false
  isClosing = false
  readonly #world: DurableWorld
  readonly #bornAt: number
  /** Timers that the queue has set, and those of its bodies. */
  readonly #timers = new Set<object>()
  readonly #sleeps = new Set<object>()
  #isEphemeral = false

  constructor(world: DurableWorld, disk: SimDisk) {
    this.#world = world
    this.disk = disk
    this.number = world.ledger.process
    this.#bornAt = world.clock.now
    const { options } = world
    this.queue = new QueueManager({
      lanes: options.lanes as QueueOptions['lanes'],
      maxConcurrency: options.cap,
      deadLetters: options.deadLetters,
      // more than a seed submits: an id is known for ever
      retention: { count: 100_000, ageMs: 1e12 },
      clock: this.#clock(),
      random: world.newRandom(),
      storage: disk,
      onFault: () => undefined,
    })
    this.queue.handle('work', (payload, context) => this.#perform(payload, context as FullContext))
    this.queue.subscribeFiltered((event) => {
      if (!this.isDead) world.onEvent(this, event)
      return false
    })
  }

  get picture(): { readonly now: number } {
    return this.#world.clock
  }

  get observer(): BodyObserver {
    return this
  }

  /** As a program does that goes on trying: a start writes what was interrupted before it begins. */
  start(): void {
    this.queue.start().catch(() => {
      if (!this.isDead && !this.isClosing) this.#after(START_AGAIN_MS, () => this.start())
    })
  }

  /** Its timers never fire, and its bodies go no further. */
  die(): void {
    this.isDead = true
    for (const timer of [...this.#timers, ...this.#sleeps]) this.#world.clock.clear(timer)
    this.#timers.clear()
    this.#sleeps.clear()
  }

  get timers(): number {
    return this.#timers.size
  }

  submit(
    laneId: string,
    plan: number,
    spec: SubmitSpec,
    isEphemeral = false,
    parent?: SimBody,
  ): CommandRun | undefined {
    if (this.isDead) return undefined
    const by = parent?.context.queue ?? this.queue
    const options = { ...spec, ...(isEphemeral ? { ephemeral: true } : {}) } as SubmitOptions
    this.#isEphemeral = isEphemeral
    const run = by.submit(laneId, { type: 'work', payload: { plan } }, options)
    this.#isEphemeral = false
    this.#take(run, { laneId, spec, isEphemeral, depth: parent === undefined ? 0 : depthOf(parent) + 1 })
    return run
  }

  /** A command is announced for the first time while it is being submitted: only those in memory are. */
  get isAnnouncingEphemeral(): boolean {
    return this.#isEphemeral
  }

  /** A run was given: of a new command, or of one that is known. */
  #take(run: CommandRun, known: Pick<Seen, 'laneId' | 'spec' | 'isEphemeral' | 'depth'>): void {
    const { ledger } = this.#world
    const before = ledger.get(run.id)
    const isNew = before === undefined || before.isEphemeral
    const command = before ?? ledger.add(run.id, { ...known, process: this.number })
    if (isNew) command.run = run
    run.accepted.then(
      () => {
        if (this.isDead || command.isEphemeral) return
        if (isNew) ledger.accepted(command)
      },
      () => {
        if (this.isDead || !isNew) return
        command.accepted = 'no'
        if (command.isEphemeral) command.phase = 'settled'
      },
    )
    run.then(
      (value) => this.#answered(command, 'value', value),
      (error: unknown) => this.#answered(command, String((error as { code?: unknown } | undefined)?.code), undefined),
    )
  }

  watch(run: CommandRun): void {
    this.#take(run, { laneId: run.laneId, spec: {}, isEphemeral: false, depth: 3 })
  }

  #answered(command: Seen, text: string, value: unknown): void {
    if (this.isDead || command.isEphemeral) return
    // refused, or let go at the end: no outcome of the command
    if (text === 'SHUTTING_DOWN' || text === 'STORAGE_FAILED' || text === 'QUEUE_FULL') return
    if (text === 'CONFLICT' || text === 'CONFIG_INVALID') return
    if (command.accepted === 'no') return
    this.#world.ledger.answered(command, text, value)
  }

  sleep(ms: number): { promise: Promise<void>; wake: () => void } {
    let wake = (): void => undefined
    const promise = new Promise<void>((resolve) => {
      if (this.isDead) return
      const timer = this.#after(ms, resolve)
      wake = () => {
        if (this.isDead) return
        this.#clear(this.#sleeps, timer)
        resolve()
      }
    })
    return { promise, wake }
  }

  hangs(wake: () => void): void {
    this.#world.hangs(wake)
  }

  runChild(body: SimBody): Promise<unknown> {
    const lanes = Object.keys(this.#world.options.lanes)
    const laneId = this.#world.draw.pick(lanes.slice(lanes.indexOf(body.picture.command.laneId)))
    return body.context.run(laneId, { type: 'work', payload: { plan: this.#world.newPlan(depthOf(body) + 1) } })
  }

  submitChild(body: SimBody): void {
    const laneId = this.#world.draw.pick(Object.keys(this.#world.options.lanes))
    const spec: SubmitSpec = this.#world.draw.chance(0.3) ? { detached: true } : {}
    void this.submit(laneId, this.#world.newPlan(depthOf(body) + 1), spec, false, body)
  }

  meddle(): void {
    if (!this.isDead) this.#world.meddle()
  }

  left(body: BodyPicture): void {
    body.hasLeft = true
    this.bodies.delete(body)
  }

  aborted(body: BodyPicture, reason: unknown): void {
    body.abortCode = String((reason as { code?: unknown } | undefined)?.code)
    body.isSlotless = body.isYielding
  }

  changed(): void {
    this.#judgeLimits()
  }

  charged(): void {
    // what it costs is judged without a storage
  }

  /** A body was given up, and its slot with it. */
  abandoned(commandId: string): void {
    for (const body of this.bodies) {
      if (body.command.id !== commandId) continue
      body.isAbandoned = true
      this.bodies.delete(body)
    }
  }

  /** The attempt of a command is over, whatever its body still does. */
  attemptEnded(commandId: string): void {
    for (const body of this.bodies) if (body.command.id === commandId) body.isOver = true
  }

  #perform(payload: unknown, context: FullContext): unknown {
    if (this.isDead) return new Promise(() => undefined)
    const { ledger, options, depthOfPlan } = this.#world
    const { plan } = payload as { readonly plan: number }
    const command = ledger.get(context.id) ?? ledger.add(context.id)
    const restored = (context.restored as { readonly number: number } | undefined)?.number ?? 0
    ledger.entered(command, context.attempt, restored)
    const picture = newBody(command, context.attempt, this.#world)
    this.#judgeBeside(picture)
    this.bodies.add(picture)
    this.#judgeLimits()
    const drawn = drawPlan(options, plan, context.attempt, depthOfPlan(plan))
    const result = new SimBody(picture, context, drawn, this).perform()
    return result instanceof Promise ? result.then((value) => note(command, value)) : note(command, result)
  }

  /** I28: no command runs beside itself. */
  #judgeBeside({ command: { id } }: BodyPicture): void {
    for (const other of this.bodies) {
      if (other.command.id === id) this.#world.report('I28', `'${id}' runs beside itself`)
    }
  }

  /** I1, I2: bodies that do something hold a slot each. */
  #judgeLimits(): void {
    const { options, report } = this.#world
    const busy = new Map<string, number>()
    let all = 0
    for (const body of this.bodies) {
      if (!isBusy(body)) continue
      all++
      busy.set(body.command.laneId, (busy.get(body.command.laneId) ?? 0) + 1)
    }
    if (all > options.cap) report('I2', `${all} bodies run, the cap is ${options.cap}`)
    for (const [laneId, count] of busy) {
      const most = options.lanes[laneId]?.maxConcurrency ?? 0
      // children in borrowed places are as many as parents that wait
      if (count > most) report('I1', `${count} bodies run in ${laneId}, ${most} may`)
    }
  }

  #clock(): Clock {
    const { face } = this.#world.clock
    // what comes at an instant finds it has come, whatever the difference is rounded to
    let reached = 0
    const now = (): number => Math.max(reached, face.now() - this.#bornAt)
    return {
      now,
      wallNow: () => face.wallNow(),
      setTimer: (delayMs, fire, isBackground) => {
        if (this.isDead) return {}
        const instant = now() + delayMs
        const timer = face.setTimer(
          delayMs,
          () => {
            this.#timers.delete(timer as object)
            reached = Math.max(reached, instant)
            fire()
          },
          isBackground,
        )
        this.#timers.add(timer as object)
        return timer
      },
      clearTimer: (timer) => this.#clear(this.#timers, timer as object),
    }
  }

  #after(ms: number, fire: () => void): object {
    const { clock } = this.#world
    const timer = clock.at(clock.now + ms, () => {
      this.#sleeps.delete(timer)
      fire()
    }) as object
    this.#sleeps.add(timer)
    return timer
  }

  #clear(timers: Set<object>, timer: object): void {
    if (timers.delete(timer)) this.#world.clock.clear(timer)
  }
}

const depthOf = (body: SimBody): number => body.picture.command.depth

function note(command: Seen, value: unknown): unknown {
  command.returned.add(value)
  return value
}

function newBody(command: Seen, attempt: number, world: DurableWorld): BodyPicture {
  return {
    // of a command bodies know these only
    ...{
      command: command as unknown as CommandPicture,
      attempt,
      serial: world.newSerial(),
      enteredAt: world.clock.now,
    },
    ...{ hasYielded: false, isSlotless: false, restored: 0, hasWaited: false, waiting: 0, isYielding: false },
    ...{ yieldedMs: 0, yieldingSince: 0, earlierMs: 0, isOver: false, isAbandoned: false, hasLeft: false, leftAt: -1 },
    ...{ abortCode: undefined, abortedAt: -1, asksLater: false, closesFor: undefined, isVictim: false },
    takerId: undefined,
  }
}
