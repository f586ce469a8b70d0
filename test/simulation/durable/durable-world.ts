/**
 * The durable half of a seed: processes that live and die on one disk, one after the other, with the traffic, the bodies
 * and the interference of the seed; then a quiet phase, in which all that was accepted has to come to its end.
 */
import type { LaneEvent, QueueManager } from '@a3s-lab/lane'
import { MemoryStorage, seededRandom } from '@a3s-lab/lane/testing'
import { type Draw, derivedDraw } from '../draw.js'
import type { Feature } from '../options.js'
import type { Violation } from '../picture.js'
import { RunningHash } from '../running-hash.js'
import { SimClock } from '../sim-clock.js'
import { drawSubmit } from '../traffic.js'
import { Deeds } from './deeds.js'
import { SimDisk } from './disk.js'
import { Ledger } from './ledger.js'
import type { DurableOptions } from './options.js'
import { SimProcess } from './process.js'
import { StorageCalls } from './storage-calls.js'
import { Truth } from './truth.js'

/** Timers after which a seed is given up: it does not come to rest. */
const MOST_TIMERS = 100_000
const MOST_VIOLATIONS = 20
/** A queue waits no longer before it writes again what could not be written. */
const LONGEST_RETRY_MS = 1000
/** Pause before another process begins where one could not. */
const AGAIN_MS = 10
/** A process that is told to end has so long. */
const CLOSE_MS = 1000

export class DurableWorld {
  readonly options: DurableOptions
  readonly clock: SimClock
  readonly draw: Draw
  readonly truth: Truth
  readonly ledger: Ledger
  readonly violations: Violation[] = []
  readonly controllers: AbortController[] = []
  readonly hash = new RunningHash()
  events = 0
  starts = 0
  isQuiet = false
  process: SimProcess | undefined
  onViolation: ((violation: Violation) => void) | undefined
  log: ((line: string) => void) | undefined
  readonly #deeds: Deeds
  readonly #hanging = new Set<() => void>()
  readonly #depths: number[] = []
  readonly #calls: StorageCalls
  #memory = new MemoryStorage()
  #serial = 0
  #randoms = 0

  constructor(options: DurableOptions, calls = new StorageCalls()) {
    this.options = options
    this.#calls = calls
    this.draw = derivedDraw(options.seed, -10)
    const isShuffled = options.features.includes('shuffled')
    this.clock = new SimClock({ late: false, shuffled: isShuffled }, derivedDraw(options.seed, -11))
    this.truth = new Truth(this.report)
    this.ledger = new Ledger(options, this.truth, this.report)
    this.#deeds = new Deeds(this)
  }

  has(feature: Feature): boolean {
    return this.options.features.includes(feature)
  }

  readonly report = (invariant: string, text: string): void => {
    if (this.violations.length >= MOST_VIOLATIONS) return
    const violation = { invariant, text: `durable: ${text}`, at: this.clock.now }
    this.violations.push(violation)
    this.onViolation?.(violation)
    this.clock.hurry()
  }

  async run(): Promise<void> {
    this.#boot()
    this.#arrive(this.options.commands)
    this.#deeds.begin()
    const { crashes, closes } = this.options.durable
    this.#schedule(crashes, () => this.crash())
    this.clock.at(this.#faultsUntil, () => this.#heal())
    this.#schedule(closes, () => void this.#close())
    const onRest = (): void => this.#atRest()
    const isOver = (): boolean => this.clock.fired > MOST_TIMERS || this.violations.length > 0
    await this.clock.run(isOver, onRest)
    if (!isOver()) {
      this.#becomeQuiet()
      await this.clock.run(isOver, onRest)
    }
    if (!isOver()) {
      await this.#finish()
      await this.clock.run(isOver, onRest)
      this.#judgeEnd()
    }
    if (this.clock.fired > MOST_TIMERS) this.report('I8', `${MOST_TIMERS} timers, and still no rest`)
  }

  /** What fails for good does so for as long as the traffic lasts, and a little longer. */
  get #faultsUntil(): number {
    const { commands, gapMs, bodyMs } = this.options
    return Math.ceil(commands * gapMs * 2 + bodyMs * 5)
  }

  #heal(): void {
    this.#calls.heal()
    if (this.#calls.hits > 0) this.process?.disk.release()
  }

  onEvent(process: SimProcess, event: LaneEvent): void {
    this.events++
    const fields = (event.payload ?? {}) as Readonly<Record<'command_id' | 'lane_id' | 'error', string | undefined>>
    const { command_id: id, lane_id: laneId = '', error } = fields
    this.hash.mixText(event.key)
    this.hash.mixNumber(this.clock.now)
    if (this.log !== undefined)
      this.log(`${this.clock.now} p${process.number} ${event.key} ${JSON.stringify(event.payload)}`)
    if (id === undefined) return
    if (process.isAnnouncingEphemeral && this.ledger.get(id) === undefined)
      this.ledger.add(id, { isEphemeral: true, laneId, process: process.number })
    if (event.key === 'queue.fault' && !String(error).includes('of its preemption')) process.abandoned(id)
    this.ledger.onEvent(event)
    if (ENDS_ATTEMPT.has(event.key)) process.attemptEnded(id)
  }

  /** The process ends without a word. */
  readonly crash = (): void => {
    const { process } = this
    if (process === undefined || this.isQuiet) return
    this.log?.(`${this.clock.now} p${process.number} CRASH`)
    this.#memory = process.disk.lose()
    this.#end(process, true)
  }

  #end(process: SimProcess, isCrash: boolean): void {
    process.die()
    // signals are of the process, too
    this.controllers.length = 0
    this.process = undefined
    this.ledger.ended(process.bodies, isCrash)
    this.#hanging.clear()
    const downMs = this.isQuiet ? 0 : this.draw.exponential(this.options.durable.downMs)
    this.clock.at(this.clock.now + downMs, () => this.#boot())
  }

  /** The process is told to end, and another begins. */
  async #close(): Promise<void> {
    const { process } = this
    if (process === undefined || process.isClosing || this.isQuiet) return
    process.isClosing = true
    this.log?.(`${this.clock.now} p${process.number} close`)
    await process.queue.close({ timeoutMs: this.draw.pick([0, CLOSE_MS]) })
    if (process.isDead) return
    this.log?.(`${this.clock.now} p${process.number} closed`)
    if (process.timers > 0) this.report('I23', `${process.timers} timers after close`)
    this.#memory = process.disk.lose()
    this.#end(process, false)
  }

  #boot(): void {
    if (this.process !== undefined) return
    const disk = new SimDisk({
      memory: this.#memory,
      truth: this.truth,
      spec: this.options.durable,
      draw: this.draw,
      calls: this.#calls,
      now: () => this.clock.now,
      sleep: (ms) => new Promise((resolve) => void this.clock.at(this.clock.now + ms, resolve)),
      isQuiet: () => this.isQuiet,
      die: this.crash,
    })
    const process = this.#construct(disk)
    if (process === undefined) return
    this.process = process
    this.log?.(`${this.clock.now} p${process.number} begins`)
    process.start()
  }

  /** A queue that cannot be made is no queue: its process ends, and another one tries. */
  #construct(disk: SimDisk): SimProcess | undefined {
    try {
      return new SimProcess(this, disk)
    } catch (error) {
      this.log?.(`${this.clock.now} cannot begin: ${String(error)}`)
      this.#memory = disk.lose()
      this.ledger.ended([], true)
      this.clock.at(this.clock.now + AGAIN_MS, () => this.#boot())
      return undefined
    }
  }

  #arrive(left: number): void {
    if (left <= 0) return
    const burst = this.has('bursts') && this.draw.chance(0.2) ? this.draw.int(2, 20) : 1
    this.clock.at(this.clock.now + this.draw.exponential(this.options.gapMs * burst), () => {
      const count = Math.min(burst, left)
      for (let n = 0; n < count; n++) this.submitOne()
      this.#arrive(left - count)
    })
  }

  /** So many times within the time that the traffic takes. */
  #schedule(times: number, happen: () => void): void {
    const { commands, gapMs } = this.options
    for (let n = 0; n < times; n++) this.clock.at(Math.floor(commands * gapMs * 1.3 * this.draw.next()), happen)
  }

  submitOne(): void {
    const laneId = this.draw.pick(Object.keys(this.options.lanes))
    const spec = drawSubmit(this, laneId)
    const isEphemeral = this.draw.chance(this.options.durable.ephemeral)
    void this.process?.submit(laneId, this.newPlan(0), spec, isEphemeral)
  }

  meddle(): void {
    this.#deeds.step()
  }

  newPlan(depth: number): number {
    return this.#depths.push(depth) - 1
  }

  readonly depthOfPlan = (plan: number): number => this.#depths[plan] ?? 0

  newSerial(): number {
    this.starts++
    return ++this.#serial
  }

  newRandom(): { next(): number } {
    return seededRandom(this.options.seed * 31 + this.#randoms++)
  }

  newSignal(): AbortSignal {
    const controller = new AbortController()
    this.controllers.push(controller)
    return controller.signal
  }

  hangs(wake: () => void): void {
    if (this.isQuiet) wake()
    else this.#hanging.add(wake)
  }

  #becomeQuiet(): void {
    this.isQuiet = true
    this.log?.(`${this.clock.now} quiet`)
    this.clock.faults = { late: false, shuffled: false }
    const { process } = this
    process?.disk.release()
    if (process?.disk.isBroken === true) {
      this.#memory = process.disk.lose()
      this.#end(process, true)
    } else if (process === undefined) this.#boot()
    for (const laneId of Object.keys(this.options.lanes)) this.process?.queue.lane(laneId).resume()
    for (const wake of this.#hanging) wake()
    this.#hanging.clear()
  }

  #atRest(): void {
    const { process } = this
    // what an operator does who is told that the disk is broken
    if (process?.disk.isBroken === true && !process.isClosing) void this.#close()
    if (process === undefined || process.isClosing || process.disk.underWay > 0) return
    // what could not be written is tried again after a while
    if (process.disk.failedAt > this.clock.now - LONGEST_RETRY_MS) return
    this.#judgeCounts(process)
  }

  /** I7: when all is written, the queue counts what is written. */
  #judgeCounts(process: SimProcess): void {
    const { totalPending, totalActive, totalDelayed } = process.queue.stats()
    const ephemeral = [...this.ledger.commands.values()].filter((one) => one.isEphemeral && one.phase !== 'settled')
    const expected = this.truth.unsettled().length + ephemeral.length
    const counted = totalPending + totalActive + totalDelayed
    if (counted === expected) return
    this.report(
      'I7',
      `${totalPending} pending, ${totalActive} active and ${totalDelayed} delayed are counted, ${expected} are unsettled`,
    )
  }

  async #finish(): Promise<void> {
    const { process } = this
    if (process === undefined) {
      this.report('I8', 'no process is left')
      return
    }
    this.ledger.judgeEnd()
    await this.#judgeRecords(process)
    process.isClosing = true
    await process.queue.shutdown()
    void process.queue.close({ timeoutMs: CLOSE_MS })
  }

  /** Whoever asks for a command is told what is written. */
  async #judgeRecords({ queue }: SimProcess): Promise<void> {
    for (const { id, final, isWithdrawn } of this.truth.commands.values()) {
      const record = await queue.get(id)
      if (!isWithdrawn && record?.state !== final?.state)
        this.report(
          'I9',
          `'${id}' is ${record?.state ?? 'unknown'} for who asks, written is ${final?.state ?? 'no end'}`,
        )
    }
    await this.#judgeList(queue)
    // those of ephemeral commands are in memory only
    const letters = await queue.deadLetters.list()
    const inMemory = letters.map(({ commandId }) => commandId).filter((id) => this.ledger.get(id)?.isEphemeral !== true)
    const written = this.truth.letters.map((seq) => this.truth.commands.get(seq)?.id)
    // a letter whose redrive could not be written is buried once more, so it may be a newer one there
    if (!haveSame(inMemory, written))
      this.report('I13', `letters of ${inMemory.join(' ')} are in memory, of ${written.join(' ')} written`)
  }

  /** Whoever lists commands finds each once. */
  async #judgeList(queue: QueueManager): Promise<void> {
    const listed: string[] = []
    let cursor: string | undefined
    do {
      const page = await queue.list({ limit: 7, cursor })
      listed.push(...page.items.map(({ id }) => id))
      cursor = page.nextCursor
    } while (cursor !== undefined && listed.length < 10_000)
    const isStored = (id: string): boolean => this.ledger.get(id)?.isEphemeral !== true
    const written = [...this.truth.commands.values()].filter(({ isWithdrawn }) => !isWithdrawn).map(({ id }) => id)
    if (!haveSame(listed.filter(isStored), written))
      this.report('I9', `${listed.length} commands are listed, ${written.length} are written`)
  }

  #judgeEnd(): void {
    const { process } = this
    if (process === undefined || this.violations.length > 0) return
    if (process.timers > 0) this.report('I23', `${process.timers} timers are left over`)
    const survived = process.disk.lose()
    const left = [...survived.load()].filter(({ endedAt }) => endedAt === undefined)
    if (left.length > 0) this.report('I8', `${left.length} commands are left in the storage`)
  }
}

/** Whether both hold the same, in whatever order. */
function haveSame(some: readonly unknown[], others: readonly unknown[]): boolean {
  const left = new Set(others)
  return some.length === others.length && left.size === others.length && some.every((one) => left.delete(one))
}

const ENDS_ATTEMPT = new Set([
  'queue.command.completed',
  'queue.command.failed',
  'queue.command.timeout',
  'queue.command.cancelled',
  'queue.command.retry',
  'queue.command.delayed',
  'queue.command.preempted',
])
