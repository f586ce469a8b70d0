/**
 * One body in a thread, as the main thread sees it.
 *
 *     waiting ──► handed over ──► answered ──► settled
 *        │            │  its thread ended: failed ▲
 *        └── told to stop: never starts ──────────┘
 *
 * It is settled once, when both the answer and all reports that were sent before it are here; or when its thread is gone.
 */
import { type CommandContext, discard, errorText, snooze, type Timer, UnrecoverableError } from '../core/index.js'
import type { BodyEnding, BodyStart, Order, Report } from './thread-messages.js'
import { thrownForm, thrownValue } from './thrown-form.js'

/** The line of threads, as a body in it needs it. */
export interface BodyOwner {
  /** It is to stop: tells the thread, or takes the body out of the line. */
  stop(body: RemoteBody, order: Order): void
  /** Gives its thread an order. Throws what cannot be cloned. */
  tell(body: RemoteBody, order: Order): void
  /** It waits for others, so its thread does too: whoever stands in line may have another one. */
  park(body: RemoteBody): void
  unpark(body: RemoteBody): void
  /** Ends its thread. */
  kill(body: RemoteBody): void
  /** Calls after `killAfterMs`, or later. */
  setTimer(fire: () => void, leastMs?: number): Timer
  clearTimer(timer: Timer): void
}

/** What piscina takes for an abort signal: a word less than a real one, which costs as much as handing over. */
class KillSwitch {
  #listener: (() => void) | undefined

  once(_name: 'abort', listener: () => void): void {
    this.#listener = listener
  }

  off(_name: 'abort', _listener: () => void): void {
    this.#listener = undefined
  }

  removeListener(_name: 'abort', _listener: () => void): void {
    this.#listener = undefined
  }

  press(): void {
    const listener = this.#listener
    this.#listener = undefined
    listener?.()
  }
}

/** How often a preempted body that goes on is asked about, at most. */
const LOOK_AGAIN_MS = 100

type Ends = { readonly resolve: (value: unknown) => void; readonly reject: (error: unknown) => void }

export class RemoteBody {
  readonly number: number
  readonly file: string
  readonly payload: unknown
  readonly killSwitch = new KillSwitch()
  /** The thread that was chosen for it. */
  threadId: number | undefined
  /** Where in the shared memory it is told to stop, while it is handed over. */
  place = -1
  /** How many of its calls wait for others. */
  parked = 0
  isSettled = false
  readonly #context: CommandContext
  readonly #ends: Ends
  #owner: BodyOwner | undefined
  #seen = 0
  #value: unknown
  #misuse: { readonly error: unknown } | undefined
  #ending: BodyEnding | undefined
  #stopReason: unknown
  #killTimer: Timer | undefined

  constructor(number: number, file: string, payload: unknown, context: CommandContext, ends: Ends) {
    this.number = number
    this.file = file
    this.payload = payload
    this.#context = context
    this.#ends = ends
  }

  /** Why it is to stop; undefined while it is not. */
  get stopReason(): unknown {
    return this.#stopReason
  }

  /** Its answer is here, and reports that were sent before it are not. */
  get waitsForReports(): boolean {
    return this.#ending !== undefined && !this.isSettled
  }

  /** From now on it is its line's. */
  join(owner: BodyOwner): void {
    this.#owner = owner
  }

  /** From now on it hears of its abort, and of one that has been. */
  watch(): void {
    if (this.isSettled) return
    const { signal } = this.#context
    if (signal.aborted) this.#stop(signal.reason)
    else signal.addEventListener('abort', () => this.#stop(signal.reason), { once: true })
  }

  start(): BodyStart {
    const { id, laneId, commandType, key, traceContext, attempt, restored } = this.#context
    const { number, place, file, payload } = this
    const start = { body: number, place, file, id, laneId, commandType, attempt, payload }
    // What most commands do not have is not sent: each word counts where the work is small.
    if (key === undefined && traceContext === undefined && restored === undefined) return start
    return { ...start, key, traceContext, restored }
  }

  /** Its answer. */
  answered(ending: BodyEnding): void {
    this.#ending = ending
    if (this.#seen >= ending.sent) this.#settle(ending)
  }

  /** Its thread has gone, or it could not be handed over. */
  lost(error: unknown): void {
    if (this.#ending !== undefined && (this.#ending.how !== 'reported' || this.#seen >= this.#ending.sent)) {
      return this.#settle(this.#ending)
    }
    this.#end(() => this.#ends.reject(this.#stopReason ?? error))
  }

  heard({ what, value, call }: Report): void {
    this.#seen++
    if (!this.isSettled) this.#hear(what, value, call)
    if (this.#ending !== undefined && this.#seen >= this.#ending.sent) this.#settle(this.#ending)
  }

  #hear(what: Report['what'], value: unknown, call: number | undefined): void {
    const context = this.#context
    if (what === 'value') this.#value = value
    else if (what === 'progress') context.progress(value)
    else if (what === 'log') context.log(value as string)
    else if (what === 'charge') this.#charge(value)
    else if (what === 'checkpoint') this.#answer(call, context.checkpoint(value))
    else if (what === 'yield') this.#answerParked(call, () => context.yield())
    else this.#answerParked(call, () => this.#runChild(value))
  }

  /** The call was made long ago, so what it would have thrown is what the attempt fails with. */
  #charge(cost: unknown): void {
    try {
      this.#context.charge(cost as number)
    } catch (error) {
      this.#misuse ??= { error }
    }
  }

  #runChild(child: unknown): Promise<unknown> {
    const { laneId, command, options } = child as { laneId: string; command: { type: string }; options: object }
    return this.#context.run(laneId, command, options)
  }

  #answerParked(call: number | undefined, begin: () => Promise<unknown>): void {
    this.#owner?.park(this)
    const done = begin().finally(() => this.#owner?.unpark(this))
    this.#answer(call, done)
  }

  #answer(call: number | undefined, result: Promise<unknown>): void {
    const order = { body: this.number, what: 'answer', call: call as number } as const
    const refuse = (error: unknown): void => {
      if (!this.isSettled) this.#owner?.tell(this, { ...order, thrown: thrownForm(error) })
    }
    result
      .then((value) => {
        if (!this.isSettled) this.#owner?.tell(this, { ...order, value })
      })
      .catch(refuse)
  }

  #stop(reason: unknown): void {
    if (this.isSettled) return
    this.#stopReason = reason
    this.#owner?.stop(this, { body: this.number, what: 'stop', thrown: thrownForm(reason) })
    if (this.isSettled) return
    if ((reason as { code?: unknown }).code === 'COMMAND_PREEMPTED') return this.#whilePreempted()
    this.#killTimer = this.#owner?.setTimer(() => this.#kill())
  }

  /**
   * Whoever is preempted goes on later: its work is worth waiting for. Unless it is cancelled or times out meanwhile, which
   * its signal, having aborted, does not tell.
   */
  #whilePreempted(): void {
    this.#killTimer = this.#owner?.setTimer(() => {
      const { queue, id } = this.#context
      void queue.get(id).then((record) => {
        if (this.isSettled) return
        if (record?.state === 'active') this.#whilePreempted()
        else this.#kill()
      })
    }, LOOK_AGAIN_MS)
  }

  #kill(): void {
    this.#killTimer = undefined
    this.#owner?.kill(this)
  }

  #settle(ending: BodyEnding): void {
    const { resolve, reject } = this.#ends
    this.#end(() => {
      if (ending.how === 'threw') reject(this.#thrown(ending))
      else if (ending.how === 'unsendable') reject(this.#unsendable(ending))
      else if (this.#misuse !== undefined) reject(this.#misuse.error)
      else if (ending.how === 'outcome') resolve(outcomeOf(ending))
      else resolve(ending.how === 'reported' ? this.#value : ending.value)
    })
  }

  #thrown({ thrown }: BodyEnding): unknown {
    return thrown === undefined ? undefined : thrownValue(thrown)
  }

  #unsendable(ending: BodyEnding): Error {
    const cause = this.#thrown(ending)
    const text = `What the handler of ${this.#context.commandType} returned cannot leave its thread: ${errorText(cause)}`
    return new UnrecoverableError(text, { cause })
  }

  #end(settle: () => void): void {
    if (this.isSettled) return
    this.isSettled = true
    if (this.#killTimer !== undefined) this.#owner?.clearTimer(this.#killTimer)
    try {
      settle()
    } catch (error) {
      // An outcome that makes no sense.
      this.#ends.reject(error)
    }
  }
}

function outcomeOf({ outcome }: BodyEnding): unknown {
  if (outcome?.kind === 'snooze') return snooze(outcome.delayMs)
  return discard(outcome?.reason)
}
