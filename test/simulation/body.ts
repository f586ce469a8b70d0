/** One body of the simulation: walks through its plan on the simulated clock, and tells the observer what it does. */
import { type CommandContext, discard, RetryAfterError, snooze, UnrecoverableError } from '@a3s-lab/lane'
import type { Cost } from './lane-spec.js'
import type { BodyPicture } from './picture.js'
import type { Ending, Plan, Step } from './plan.js'

/** Who is told what bodies do. */
export interface BodyObserver {
  readonly picture: { readonly now: number }
  left(body: BodyPicture): void
  aborted(body: BodyPicture, reason: unknown): void
  changed(body: BodyPicture, what: 'goes-on' | 'yields'): void
  charged(body: BodyPicture, cost: Cost): void
}

/** What bodies need of the world. */
export interface BodyHost {
  readonly observer: BodyObserver
  /** Waits on the clock; the function ends the wait early. */
  sleep(ms: number): { readonly promise: Promise<void>; readonly wake: () => void }
  /** Remembers a body that waits for nothing but its end, to end it in the quiet phase. */
  hangs(wake: () => void): void
  runChild(body: SimBody): Promise<unknown>
  submitChild(body: SimBody): void
  meddle(): void
}

/** Members of later goals: there when the src under test has them. */
export type FullContext = CommandContext & {
  readonly restored?: unknown
  readonly checkpoint?: (state: unknown) => Promise<void>
  readonly yield?: () => Promise<void>
  readonly charge?: (cost: Cost) => void
}

/** What a body rejects with when it hears that it is to stop. */
class Stopped extends Error {}

export class SimBody {
  readonly picture: BodyPicture
  readonly context: FullContext
  readonly #plan: Plan
  readonly #host: BodyHost
  #wake: (() => void) | undefined
  #mustStop = false

  constructor(picture: BodyPicture, context: FullContext, plan: Plan, host: BodyHost) {
    this.picture = picture
    this.context = context
    this.#plan = plan
    this.#host = host
  }

  /** Runs the plan: returns and throws for a synchronous one, gives a promise otherwise. */
  perform(): unknown {
    this.#listen()
    if (!this.#plan.isSync) return this.#walk()
    try {
      for (const step of this.#plan.steps) void this.#take(step)
      return this.#end()
    } finally {
      this.#host.observer.left(this.picture)
    }
  }

  get #token(): string {
    return `${this.picture.command.id}#${this.picture.attempt}.${this.picture.serial}`
  }

  async #walk(): Promise<unknown> {
    try {
      for (const step of this.#plan.steps) {
        const waiting = this.#take(step)
        if (waiting !== undefined) await waiting
        if (this.#mustStop) return await this.#stop()
      }
      return this.#end()
    } finally {
      this.#host.observer.left(this.picture)
    }
  }

  #end(): unknown {
    const { ending } = this.#plan
    this.picture.asksLater = ending.kind.startsWith('retry-after') || ending.kind === 'provider'
    if (ending.kind === 'retry-after-lane' || ending.kind === 'provider') this.picture.closesFor = ending.ms
    return endWith(ending, this.#token)
  }

  /** In spite of the abort: a value now or later, or the reason. */
  async #stop(): Promise<unknown> {
    if (this.#plan.hearing === 'value') return this.#token
    if (this.#plan.hearing === 'late') await this.#host.sleep(3).promise
    throw this.context.signal.reason ?? new Stopped()
  }

  #listen(): void {
    const { signal } = this.context
    const onAbort = (): void => {
      this.#host.observer.aborted(this.picture, signal.reason)
      if (this.#plan.hearing === 'deaf') return
      this.#mustStop = true
      this.#wake?.()
    }
    if (signal.aborted) onAbort()
    else signal.addEventListener('abort', onAbort, { once: true })
  }

  #take(step: Step): Promise<void> | undefined {
    const { context } = this
    if (step.kind === 'wait') return this.#wait(step.ms)
    if (step.kind === 'hang') return this.#hang()
    if (step.kind === 'progress') context.progress(this.picture.serial)
    else if (step.kind === 'meddle') this.#host.meddle()
    else if (step.kind === 'charge') this.#charge(step.factor)
    else if (step.kind === 'child') return this.#child(step.waits)
    else if (step.kind === 'checkpoint') return this.#checkpoint()
    else return this.#yield()
    return undefined
  }

  async #wait(ms: number): Promise<void> {
    if (ms === 0) return
    const { promise, wake } = this.#host.sleep(ms)
    this.#wake = wake
    await promise
    this.#wake = undefined
  }

  async #hang(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#wake = resolve
      this.#host.hangs(resolve)
    })
    this.#wake = undefined
  }

  #charge(factor: number): void {
    if (this.context.charge === undefined) return
    const estimate = this.picture.command.spec.cost
    const actual = typeof estimate === 'object' ? scaled(estimate, factor) : (estimate ?? 1) * factor
    // a zombie's costs are costs; what was given up is not listened to
    const isLive = !this.picture.isAbandoned && !this.picture.hasLeft
    this.context.charge(actual)
    if (isLive) this.#host.observer.charged(this.picture, actual)
  }

  async #child(waits: boolean): Promise<void> {
    if (!waits) {
      this.#host.submitChild(this)
      return
    }
    const { observer } = this.#host
    this.picture.waiting++
    this.picture.hasWaited = true
    try {
      await this.#host.runChild(this)
    } catch {
      // a child that fails is no failure of this body
    }
    this.picture.waiting--
    observer.changed(this.picture, 'goes-on')
  }

  async #checkpoint(): Promise<void> {
    if (this.context.checkpoint === undefined) return
    const { checkpointed } = this.picture.command
    const number = ++checkpointed.begun
    try {
      await this.context.checkpoint({ number })
      checkpointed.resolved = Math.max(checkpointed.resolved, number)
    } catch (error) {
      // asked to stop: it is stored all the same
      const isAbort = error === this.context.signal.reason
      if (isAbort && this.picture.abortCode === 'COMMAND_PREEMPTED' && !this.picture.isAbandoned)
        checkpointed.resolved = Math.max(checkpointed.resolved, number)
      throw error
    }
  }

  async #yield(): Promise<void> {
    if (this.context.yield === undefined) return
    const { picture } = this
    const { observer } = this.#host
    picture.isYielding = true
    picture.yieldingSince = observer.picture.now
    observer.changed(picture, 'yields')
    try {
      await this.context.yield()
    } finally {
      picture.isYielding = false
      picture.yieldedMs += observer.picture.now - picture.yieldingSince
      if (!picture.isOver) observer.changed(picture, 'goes-on')
    }
  }
}

const scaled = (cost: { readonly [unit: string]: number }, factor: number): Cost =>
  Object.fromEntries(Object.entries(cost).map(([unit, amount]) => [unit, amount * factor]))

function endWith(ending: Ending, token: string): unknown {
  switch (ending.kind) {
    case 'return':
      return token
    case 'discard':
      return discard()
    case 'snooze':
      return snooze(ending.ms)
    case 'retry-after':
      throw new RetryAfterError(ending.ms)
    case 'retry-after-lane':
      throw laneRetryAfter(ending.ms)
    case 'provider':
      throw tooManyRequests(ending.ms)
    case 'unrecoverable':
      throw new UnrecoverableError('no use')
    case 'time-error':
      throw Object.assign(new Error('too late'), { name: 'TimeoutError' })
    case 'throw':
      throw new Error('failed')
    // biome-ignore lint/complexity/noUselessSwitchCase: the one that is left, said for the reader
    case 'throw-nothing':
    default:
      // biome-ignore lint/style/useThrowOnlyError: handlers throw nothing, too
      throw undefined
  }
}

/** Older sources know the scope of a command only. */
function laneRetryAfter(ms: number): Error {
  const Scoped = RetryAfterError as new (delayMs: number, options: { scope: string }) => Error
  try {
    return new Scoped(ms, { scope: 'lane' })
  } catch {
    return new RetryAfterError(ms)
  }
}

/** What a fetch wrapper throws when the provider has had enough. */
const tooManyRequests = (ms: number): Error =>
  Object.assign(new Error('too many requests'), { status: 429, headers: { 'retry-after-ms': String(ms) } })
