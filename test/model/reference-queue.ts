/**
 * The queue as its documentation describes it: arrays, sorting and counting, nothing kept that can be worked out again.
 * Time stands still until `advance`; what the real queue does one microtask later stands in `microtasks` here, so that
 * several calls in one stretch of code can be compared too.
 */
import type { LaneDefinition } from '@a3s-lab/lane'
import { type CommandSpec, type End, isSameCommand, type SubmitSpec } from './command-spec.js'

export type State = 'pending' | 'delayed' | 'active' | 'completed' | 'failed' | 'timed_out' | 'cancelled'

export type Lane = {
  readonly id: string
  options: LaneDefinition
  reserved: number
  paused: boolean
  underPressure: boolean
  abandoned: number
  /** Pressure, idle, paused, resumed, configured: as announced. */
  readonly events: string[]
  /** Place among the lanes that could start something, -1 when it could not; among equals the smaller turn goes first. */
  rank: number
  turn: number
  /** What the rank says of the lane itself: priority, protected first. */
  order: number
}

type Policy = {
  readonly timeoutMs: number | undefined
  readonly retry: LaneDefinition['retry']
  readonly maxDeferrals: number
  readonly zombieGraceMs: number
}

export type Command = {
  readonly n: number
  /** Given by the submitter, or copied from the real queue. */
  id: string | undefined
  readonly lane: Lane
  readonly spec: CommandSpec
  readonly priority: number
  readonly policy: Policy
  /** Options of its own that a redrive keeps. */
  readonly own: SubmitSpec
  readonly parent: Command | undefined
  readonly children: Set<Command>
  readonly hasSignal: boolean
  readonly events: string[]
  state: State
  attempt: number
  retries: number
  deferrals: number
  /** When a delayed command is due; undefined when it only waits for its earlier body. */
  due: Alarm | undefined
  /** How its run settled: a value or the code of an error. */
  answer: string | undefined
}

export type Body = {
  readonly command: Command
  readonly attempt: number
  readonly timeout: Alarm | undefined
  grace: Alarm | undefined
  zombie: boolean
  /** Its end is on the way. */
  isEnding: boolean
  /** Waiting ancestors whose places it uses: the one in the lane, the one under the global cap. */
  laneFrom: Body | undefined
  capFrom: Body | undefined
  /** Commands that it waits for with `ctx.run`. */
  readonly waitsFor: Set<Command>
}

type Loan = Pick<Body, 'laneFrom' | 'capFrom'>
type Alarm = { readonly at: number; readonly ring: () => void }
type Letter = { readonly command: Command }
export type Drain = {
  readonly deadline: number
  state: 'waiting' | 'resolved' | 'rejected'
  unsettled: number[]
  zombies: number[]
}

export type QueueSpec = {
  readonly lanes: Readonly<Record<string, LaneDefinition>>
  readonly cap: number
  readonly deadLetters: number
}

export class ReferenceQueue {
  now = 0
  started = false
  stopped = false
  shuttingDown = false
  /** All that was ever submitted and accepted, in order of arrival. */
  readonly commands: Command[] = []
  readonly lanes: Lane[]
  bodies: Body[] = []
  letters: Letter[] = []
  readonly drains: Drain[] = []
  /** Attempts in the order in which they started: number of the command, number of the attempt. */
  readonly starts: string[] = []
  readonly queueEvents: string[] = []
  /** Refused submits, as announced. */
  rejections = 0
  alarms: Alarm[] = []
  readonly #spec: QueueSpec
  readonly #microtasks: (() => void)[] = []
  #passAsked = false
  #turns = 0
  /** Commands of `ctx.run` in the order of the calls, and who waits for each. */
  readonly #waiters = new Map<Command, Command>()

  constructor(spec: QueueSpec) {
    this.#spec = spec
    this.lanes = Object.entries(spec.lanes).map(([id, options]) => ({
      ...{ id, options, reserved: 0, paused: false, underPressure: false, abandoned: 0 },
      ...{ events: [], rank: -1, turn: 0, order: -1 },
    }))
    this.#reserve()
  }

  // What the lanes hold

  lane = (id: string): Lane => this.lanes.find((lane) => lane.id === id) as Lane
  waiting = (lane: Lane): Command[] => this.commands.filter((one) => one.lane === lane && one.state === 'pending')
  delayed = (lane: Lane): Command[] => this.commands.filter((one) => one.lane === lane && one.state === 'delayed')
  active = (lane: Lane): Command[] => this.commands.filter((one) => one.lane === lane && one.state === 'active')
  bodyOf = (command: Command): Body | undefined => this.bodies.find((body) => body.command === command)
  max = (lane: Lane): number => lane.options.maxConcurrency ?? 4

  /** Slots of the lane in use: a body in a lent place uses its lender's. */
  held = (lane: Lane): number =>
    this.bodies.filter((body) => body.command.lane === lane && body.laneFrom === undefined).length

  get totalHeld(): number {
    return this.bodies.filter((body) => body.capFrom === undefined).length
  }

  get unsettled(): Command[] {
    return this.commands.filter((command) => !isFinal(command.state))
  }

  // What users do

  start(): void {
    if (this.started) return
    this.started = true
    this.#askForPass()
  }

  /** The number of the command: a new one, or that of the one with the same id; the code of the refusal otherwise. */
  submit(laneId: string, spec: CommandSpec, options: SubmitSpec, parent?: Body): Command | string {
    const answer = this.#submit(laneId, spec, options, parent)
    return typeof answer === 'string' ? this.#refuse(answer) : answer
  }

  #submit(laneId: string, spec: CommandSpec, options: SubmitSpec, parent?: Body): Command | string {
    if (this.shuttingDown) return 'SHUTTING_DOWN'
    const known = options.id === undefined ? undefined : this.commands.find(({ id }) => id === options.id)
    if (known !== undefined) {
      if (!isSameCommand(known.spec, spec)) return 'CONFLICT'
      this.#tell(known, 'deduplicated')
      return known
    }
    const lane = this.lane(laneId)
    if (this.#isFull(lane)) return 'QUEUE_FULL'
    const command = this.#accept(lane, spec, options, parent?.command)
    if (options.signal === 'aborted') this.cancel(command)
    if (parent?.command.state === 'cancelled' && options.detached !== true) this.cancel(command)
    return command
  }

  /** `ctx.run`: the body waits, as far as scheduling is concerned, from one microtask later on. */
  runChild(parent: Body, laneId: string, spec: CommandSpec, options: SubmitSpec): Command | string {
    const command = this.submit(laneId, spec, options, parent)
    if (typeof command === 'string') return command
    this.#microtasks.push(() => {
      if (parent.zombie || !this.bodies.includes(parent)) return
      parent.waitsFor.add(command)
      this.#waiters.set(command, parent.command)
      if (isFinal(command.state)) this.#answerIn(1, parent, command)
      this.#askForPass()
    })
    return command
  }

  cancel(command: Command): boolean {
    if (isFinal(command.state)) return false
    const body = this.bodyOf(command)
    if (command.state === 'active') this.#orphan(body as Body)
    this.#clear(command.due)
    this.#settle(command, 'cancelled', 'COMMAND_CANCELLED')
    this.#backlogShrank(command.lane)
    if (body !== undefined) this.#abort(body)
    return true
  }

  cancelAll(lane: Lane): number {
    return this.#cancelEach(lane, [...this.active(lane), ...this.waiting(lane), ...this.delayed(lane)])
  }

  clear(lane: Lane): number {
    return this.#cancelEach(lane, [...this.waiting(lane), ...this.delayed(lane)])
  }

  /** Gives the number of the lane's commands that are cancelled by it, children of others among them. */
  #cancelEach(lane: Lane, commands: readonly Command[]): number {
    const ofLane = (): number => this.unsettled.filter((command) => command.lane === lane).length
    const before = ofLane()
    for (const command of commands) this.cancel(command)
    this.#askForPass()
    return before - ofLane()
  }

  setPaused(lane: Lane, paused: boolean): void {
    if (lane.paused === paused) return
    lane.paused = paused
    this.#announce(lane, paused ? 'paused' : 'resumed')
    this.#refresh()
    this.#askForPass()
  }

  /** False when the change is refused. */
  configure(lane: Lane, change: Partial<LaneDefinition>): boolean {
    const before = lane.options
    lane.options = { ...lane.options, ...change }
    if (
      !areReservationsValid(
        this.lanes.map(({ options }) => options),
        this.#spec.cap,
      )
    ) {
      lane.options = before
      return false
    }
    this.#reserve()
    this.#announce(lane, 'configured')
    this.#checkPressure(lane)
    this.#askForPass()
    return true
  }

  redrive(command: Command): Command | string {
    const letter = this.letters.filter((one) => one.command === command).at(-1)
    if (letter === undefined) return this.#refuse('NOT_FOUND')
    const again = this.submit(command.lane.id, command.spec, command.own)
    if (typeof again === 'string') return again
    this.letters = this.letters.filter((one) => one !== letter)
    this.#tell(command, 'redriven')
    return again
  }

  shutdown(): void {
    if (this.shuttingDown) return
    this.shuttingDown = true
    this.queueEvents.push('queue.shutdown.started')
    this.#askForPass()
  }

  drain(timeoutMs: number): Drain {
    const state = this.#isQuiet() ? 'resolved' : 'waiting'
    const drain: Drain = { deadline: this.now + timeoutMs, state, unsettled: [], zombies: [] }
    this.drains.push(drain)
    return drain
  }

  /** The handler's promise settles; the queue hears of it one microtask later. */
  end(body: Body, how: End): void {
    if (body.isEnding) return
    body.isEnding = true
    this.#microtasks.push(() => this.#bodyEnded(body, how))
  }

  settle(): void {
    for (let next = this.#microtasks.shift(); next !== undefined; next = this.#microtasks.shift()) next()
  }

  advance(ms: number): void {
    this.settle()
    const end = this.now + ms
    for (let next = this.#nextInstant(); next <= end; next = this.#nextInstant()) {
      this.now = next
      for (let alarm = this.#dueAlarm(); alarm !== undefined; alarm = this.#dueAlarm()) {
        this.#clear(alarm)
        alarm.ring()
      }
      this.settle()
      for (const drain of this.drains) {
        if (drain.state !== 'waiting' || drain.deadline > this.now) continue
        drain.state = 'rejected'
        drain.unsettled = this.unsettled.map(({ n }) => n)
        drain.zombies = this.bodies.filter(({ zombie }) => zombie).map(({ command }) => command.n)
      }
    }
    this.now = end
  }

  // Choosing

  #askForPass(): void {
    if (this.#passAsked) return
    this.#passAsked = true
    this.#microtasks.push(() => this.#pass())
  }

  #pass(): void {
    this.#passAsked = false
    if (this.started && !this.stopped) {
      for (let lane = this.#next(); lane !== undefined; lane = this.#next()) this.#startNext(lane)
      this.#startChildren()
    }
    if (!this.#isQuiet()) return
    for (const drain of this.drains) if (drain.state === 'waiting') drain.state = 'resolved'
    if (!this.shuttingDown || this.stopped) return
    this.stopped = true
    this.queueEvents.push('queue.shutdown.complete')
  }

  /** Best rank first, then turns; a lane that may not take the slot is passed over and keeps its turn. */
  #next(): Lane | undefined {
    const ready = this.lanes.filter(({ rank }) => rank >= 0).sort((a, b) => a.rank - b.rank || a.turn - b.turn)
    const lane = ready.find((candidate) => this.#mayTakeSlot(candidate))
    if (lane !== undefined) lane.turn = ++this.#turns
    return lane
  }

  /** More slots are free than other lanes keep back for themselves. */
  #mayTakeSlot(lane: Lane): boolean {
    const others = this.lanes.filter((other) => other !== lane)
    return this.#spec.cap - this.totalHeld > others.reduce((sum, other) => sum + this.#heldBack(other), 0)
  }

  /** Unused reserved slots that the lane lends to nobody. */
  #heldBack(lane: Lane): number {
    // A protected lane that lends does so only to preemptible work: here there is none.
    const lends = lane.options.lend !== false && lane.options.protected !== true
    return lends ? 0 : Math.max(0, lane.reserved - this.held(lane))
  }

  /** Which lanes could start something; one that has become ready, or whose rank has changed, goes behind the others. */
  #refresh(): void {
    for (const lane of this.lanes) {
      const rank = this.#rank(lane)
      if (rank === lane.rank) continue
      lane.rank = rank
      lane.turn = ++this.#turns
    }
  }

  /** Standing, priority, protected first; -1 for a lane that cannot start anything. */
  #rank(lane: Lane): number {
    const isReady = this.waiting(lane).length > 0 && this.held(lane) < this.max(lane) && !lane.paused
    if (!isReady) return -1
    const order = orderOf(lane.options)
    if (this.#spec.cap === Number.POSITIVE_INFINITY || lane.options.protected === true) return order
    return (this.held(lane) < lane.reserved ? 1000 : 2000) + order
  }

  /** Lanes keep their turns when limits change; one whose own priority has changed goes behind the others. */
  #reserve(): void {
    const ready = this.lanes.filter(({ rank }) => rank >= 0).sort((a, b) => a.rank - b.rank || a.turn - b.turn)
    const shares = reservations(
      this.lanes.map(({ options }) => options),
      this.#spec.cap,
    )
    this.lanes.forEach((lane, index) => {
      lane.reserved = shares[index] as number
    })
    const all = [...ready, ...this.lanes.filter((lane) => !ready.includes(lane))]
    const moved = all.filter((lane) => lane.order !== orderOf(lane.options))
    for (const lane of [...all.filter((one) => !moved.includes(one)), ...moved]) {
      lane.order = orderOf(lane.options)
      lane.rank = this.#rank(lane)
      lane.turn = ++this.#turns
    }
  }

  #startNext(lane: Lane): void {
    const newestFirst = lane.options.order === 'lifo'
    const [best] = this.waiting(lane).sort((a, b) => a.priority - b.priority || (newestFirst ? b.n - a.n : a.n - b.n))
    this.#start(best as Command, { laneFrom: undefined, capFrom: undefined })
    this.#backlogShrank(lane)
  }

  /** Children of `ctx.run` use the places of waiting ancestors. */
  #startChildren(): void {
    for (const command of this.#waiters.keys()) {
      if (isFinal(command.state)) this.#waiters.delete(command)
      if (command.state !== 'pending' || command.lane.paused) continue
      const loan = this.#loanFor(command)
      if (loan === undefined) continue
      this.#start(command, loan)
      this.#backlogShrank(command.lane)
    }
  }

  /** The nearest waiting ancestor's place of either kind that is not lent yet; a free one where there is none. */
  #loanFor(command: Command): Loan | undefined {
    const { lane } = command
    const waiting = this.#ancestors(command).filter((body) => !body.zombie && body.waitsFor.size > 0)
    const laneFrom = waiting.find(
      (one) => one.command.lane === lane && !this.bodies.some((body) => body.laneFrom === one),
    )
    const capFrom = waiting.find((one) => !this.bodies.some((body) => body.capFrom === one))
    const { cap } = this.#spec
    const borrowsCap = cap === Number.POSITIVE_INFINITY ? undefined : capFrom
    if (laneFrom === undefined && (borrowsCap === undefined || this.held(lane) >= this.max(lane))) return undefined
    return borrowsCap === undefined && !this.#mayTakeSlot(lane) ? undefined : { laneFrom, capFrom: borrowsCap }
  }

  #above(command: Command): Command | undefined {
    return this.#waiters.get(command) ?? command.parent
  }

  #ancestors(command: Command): Body[] {
    const above = this.#above(command)
    if (above === undefined) return []
    const body = this.bodyOf(above)
    return body === undefined ? this.#ancestors(above) : [body, ...this.#ancestors(above)]
  }

  /** A handler hears of its child's outcome some microtasks later; until then it waits. */
  #answerIn(microtasks: number, waiter: Body, command: Command): void {
    this.#microtasks.push(() => {
      if (microtasks > 1) this.#answerIn(microtasks - 1, waiter, command)
      else waiter.waitsFor.delete(command)
    })
  }

  // Running

  #start(command: Command, loan: Loan): void {
    if (command.spec.form === 'missing') return this.#fail(command, 'HANDLER_NOT_FOUND')
    command.state = 'active'
    command.attempt++
    this.#tell(command, 'started')
    this.starts.push(`${command.n}#${command.attempt}`)
    const { timeoutMs } = command.policy
    const timeout = timeoutMs === undefined ? undefined : this.#alarm(timeoutMs, () => this.#timeUp(body))
    const { attempt } = command
    const body: Body = {
      ...{ command, attempt, timeout, grace: undefined, zombie: false, isEnding: false },
      ...{ ...loan, waitsFor: new Set<Command>() },
    }
    this.bodies.push(body)
    const atOnce = command.spec.script[attempt - 1]
    if (atOnce !== undefined) this.#bodyEnded(body, atOnce)
  }

  #bodyEnded(body: Body, how: End): void {
    if (!this.bodies.includes(body)) return // abandoned: nobody listens any more
    this.#free(body)
    const { command } = body
    if (body.zombie) return this.#bodyGone(command)
    const { kind } = how
    if (kind === 'return') return this.#settle(command, 'completed', `${command.n}#${body.attempt}`)
    if (kind === 'discard') return this.#settle(command, 'cancelled', 'COMMAND_CANCELLED')
    if (kind === 'snooze') return this.#putOff(command, how.ms)
    if (kind === 'retry-after' && command.deferrals++ < command.policy.maxDeferrals)
      return this.#putOff(command, how.ms)
    if (kind === 'retry-after' || kind === 'unrecoverable') return this.#fail(command, 'COMMAND_FAILED')
    this.#attemptFailed(command, kind === 'time-error' ? 'COMMAND_TIMEOUT' : 'COMMAND_FAILED')
  }

  #timeUp(body: Body): void {
    this.#orphan(body)
    this.#attemptFailed(body.command, 'COMMAND_TIMEOUT')
    this.#abort(body)
  }

  #orphan(body: Body): void {
    this.#clear(body.timeout)
    body.zombie = true
    body.grace = this.#alarm(body.command.policy.zombieGraceMs, () => {
      body.command.lane.abandoned++
      this.#tell(body.command, 'fault')
      this.#free(body)
      this.#bodyGone(body.command)
    })
  }

  #abort(body: Body): void {
    if (body.command.spec.stopsOnAbort) this.end(body, { kind: 'throw' })
  }

  #free(body: Body): void {
    this.#clear(body.timeout)
    this.#clear(body.grace)
    this.bodies = this.bodies.filter((one) => one !== body)
    for (const other of this.bodies) {
      if (other.laneFrom === body) other.laneFrom = body.laneFrom
      if (other.capFrom === body) other.capFrom = body.capFrom
    }
    this.#refresh()
    this.#askForPass()
  }

  #bodyGone(command: Command): void {
    if (command.state === 'delayed' && command.due === undefined) this.#toPending(command)
  }

  #attemptFailed(command: Command, code: string): void {
    const { retry } = command.policy
    if (retry === undefined || command.retries >= retry.maxRetries) return this.#fail(command, code)
    command.retries++
    this.#askForPass()
    this.#tell(command, 'retry')
    this.#delay(command, Math.min(Math.trunc(retry.initialMs * retry.factor ** (command.retries - 1)), retry.maxMs))
  }

  #putOff(command: Command, ms: number): void {
    this.#tell(command, 'delayed')
    this.#delay(command, ms)
  }

  #delay(command: Command, ms: number): void {
    command.state = 'delayed'
    const due = (): void => {
      command.due = undefined
      if (this.bodyOf(command) === undefined) this.#toPending(command)
    }
    if (ms === 0) due()
    else command.due = this.#alarm(ms, due)
  }

  #toPending(command: Command): void {
    command.state = 'pending'
    this.#checkPressure(command.lane)
    this.#askForPass()
  }

  #fail(command: Command, code: string): void {
    if (this.#spec.deadLetters > 0) {
      this.letters = [...this.letters, { command }].slice(-this.#spec.deadLetters)
      this.#tell(command, 'dead_lettered')
    }
    this.#settle(command, code === 'COMMAND_TIMEOUT' ? 'timed_out' : 'failed', code)
  }

  #settle(command: Command, state: State, answer: string): void {
    command.state = state
    command.due = undefined
    command.answer = answer
    this.#tell(command, state === 'timed_out' ? 'timeout' : state)
    this.#askForPass()
    // a rejection takes one microtask more than a value
    const microtasks = state === 'completed' ? 1 : 2
    for (const body of this.bodies) if (body.waitsFor.has(command)) this.#answerIn(microtasks, body, command)
    if (state === 'cancelled') for (const child of command.children) this.cancel(child)
  }

  // Waiting

  #accept(lane: Lane, spec: CommandSpec, options: SubmitSpec, parent: Command | undefined): Command {
    const keepsParent = parent !== undefined && options.detached !== true && !isFinal(parent.state)
    const { timeoutMs, retry, maxDeferrals = 10, zombieGraceMs = 30_000 } = lane.options
    const policy = {
      timeoutMs: options.timeoutMs ?? timeoutMs,
      retry: options.retry ?? retry,
      maxDeferrals,
      zombieGraceMs,
    }
    const { id, priority = 1000, delayMs = 0 } = options
    const command: Command = {
      ...{ n: this.commands.length, id, lane, spec, priority, policy, parent: keepsParent ? parent : undefined },
      ...{ children: new Set<Command>(), hasSignal: options.signal === 'live', events: [], state: 'pending' },
      ...{ own: ownOptions(options), attempt: 0, retries: 0, deferrals: 0, due: undefined, answer: undefined },
    }
    if (keepsParent) parent.children.add(command)
    this.commands.push(command)
    this.#tell(command, 'submitted')
    if (delayMs > 0) {
      this.#tell(command, 'delayed')
      this.#delay(command, delayMs)
    } else this.#checkPressure(lane)
    this.#askForPass()
    return command
  }

  /** What can start at once does not count against the capacity. */
  #isFull(lane: Lane): boolean {
    const { capacity = Number.POSITIVE_INFINITY } = lane.options
    const free = Math.min(this.max(lane) - this.held(lane), this.#spec.cap - this.totalHeld)
    const room = this.started && !lane.paused ? Math.max(0, free) : 0
    return this.waiting(lane).length + this.delayed(lane).length >= capacity + room
  }

  #backlogShrank(lane: Lane): void {
    this.#refresh()
    if (!lane.underPressure || this.waiting(lane).length > 0) return
    lane.underPressure = false
    this.#announce(lane, 'idle')
  }

  #checkPressure(lane: Lane): void {
    this.#refresh()
    const { pressureThreshold = Number.POSITIVE_INFINITY } = lane.options
    if (lane.underPressure || this.waiting(lane).length < pressureThreshold) return
    lane.underPressure = true
    this.#announce(lane, 'pressure')
  }

  // Time

  #alarm(delayMs: number, ring: () => void): Alarm {
    const alarm = { at: this.now + delayMs, ring }
    this.alarms.push(alarm)
    return alarm
  }

  #clear(alarm: Alarm | undefined): void {
    this.alarms = this.alarms.filter((one) => one !== alarm)
  }

  /** The earliest alarm that is due; of one instant the one that was set first. */
  #dueAlarm(): Alarm | undefined {
    return this.alarms.filter(({ at }) => at <= this.now).sort((a, b) => a.at - b.at)[0]
  }

  #nextInstant(): number {
    const deadlines = this.drains.filter(({ state }) => state === 'waiting').map(({ deadline }) => deadline)
    return Math.min(...this.alarms.map(({ at }) => at), ...deadlines)
  }

  #isQuiet(): boolean {
    return this.unsettled.length === 0 && this.bodies.length === 0
  }

  #refuse(code: string): string {
    if (!this.stopped) this.rejections++
    return code
  }

  #announce(lane: Lane, event: string): void {
    if (!this.stopped) lane.events.push(event)
  }

  #tell(command: Command, event: string): void {
    if (!this.stopped) command.events.push(event)
  }
}

export const orderOf = ({ priority, protected: isProtected = false }: LaneDefinition): number =>
  priority * 2 + (isProtected ? 0 : 1)

/** What a redrive keeps of the options. */
function ownOptions({ priority, timeoutMs, retry }: SubmitSpec): SubmitSpec {
  return {
    ...(priority === undefined ? {} : { priority }),
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
    ...(retry === undefined ? {} : { retry }),
  }
}

const isFinal = (state: State): boolean => ['completed', 'failed', 'timed_out', 'cancelled'].includes(state)

const isExplicit = ({ minConcurrency }: LaneDefinition): boolean => (minConcurrency ?? 0) > 0

/** Explicit minima have to fit under the cap, and may not shut any lane out. */
export function areReservationsValid(lanes: readonly LaneDefinition[], cap: number): boolean {
  if (lanes.some(({ minConcurrency = 0, maxConcurrency = 4 }) => minConcurrency > maxConcurrency)) return false
  if (cap === Number.POSITIVE_INFINITY) return true
  const total = (some: readonly LaneDefinition[]): number =>
    some.reduce((sum, { minConcurrency = 0 }) => sum + minConcurrency, 0)
  const kept = total(lanes.filter((lane) => lane.lend === false || lane.protected === true))
  return total(lanes) <= cap && (kept < cap || lanes.every(isExplicit))
}

/** Minima that nobody gave are 1, and dropped under a cap until a slot is left: lowest lane first, protected ones last. */
export function reservations(lanes: readonly LaneDefinition[], cap: number): number[] {
  const shares = lanes.map(({ minConcurrency = 1 }) => minConcurrency)
  if (cap === Number.POSITIVE_INFINITY) return shares
  const soft = lanes.filter(({ minConcurrency }) => minConcurrency === undefined)
  const isProtected = (lane: LaneDefinition): number => (lane.protected === true ? 1 : 0)
  soft.sort((a, b) => isProtected(a) - isProtected(b) || b.priority - a.priority)
  for (const lane of soft) {
    if (shares.reduce((sum, share) => sum + share, 0) < cap) break
    shares[lanes.indexOf(lane)] = 0
  }
  return shares
}
