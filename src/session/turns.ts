/**
 * Turns of a conversation: one at a time. A message that arrives while one runs waits, is refused, ends it, undoes it, or
 * goes into it, as its sender says.
 */
import { cancelledError, checkOneOf, checkText, LaneError } from '../core/index.js'
import { shuttingDown } from './external-tasks.js'

/** What a message does when a turn runs already. */
export type InputPolicy =
  /** It waits until the turns before it are over. */
  | 'enqueue'
  /** It is refused with `CONFLICT`. */
  | 'reject'
  /** It ends the turn that runs, keeps what that has done so far, and goes next. */
  | 'interrupt'
  /** As 'interrupt', and the turn is undone: `turn.isRolledBack` tells its body to forget what it noted. */
  | 'rollback'
  /** It goes into the turn that runs, which takes it at its next step; when there is none any more it is a turn of its own. */
  | 'steer'

const POLICIES: readonly InputPolicy[] = ['enqueue', 'reject', 'interrupt', 'rollback', 'steer']

/** Options of `runTurn`. */
export type TurnOptions = {
  /** What the message does when a turn runs already. Default 'enqueue'. */
  readonly input?: InputPolicy | undefined
  /** Ends the turn, or takes its message back while it waits. */
  readonly signal?: AbortSignal | undefined
}

/** A turn, as its body sees it. */
export type Turn = {
  /** The number of the turn in its session, from 1. */
  readonly number: number
  readonly message: string
  /** Aborts when the turn is to end; its reason is the error that its caller gets. */
  readonly signal: AbortSignal
  /** Messages that arrived by 'steer' since the last call, oldest first. */
  takeSteered(): string[]
  /** Whether the turn is to leave no trace. */
  readonly isRolledBack: boolean
}

type Body<T> = (turn: Turn) => Promise<T>

/** A turn that waits or runs. */
class OneTurn implements Turn {
  readonly message: string
  readonly body: Body<unknown>
  readonly outcome: Promise<unknown>
  number = 0
  isRolledBack = false
  resolve: (value: unknown) => void = () => undefined
  reject: (error: unknown) => void = () => undefined
  readonly #controller = new AbortController()
  /** Messages that go into this turn, with the turns that they become when it ends before. */
  steered: OneTurn[] = []

  constructor(message: string, body: Body<unknown>) {
    this.message = message
    this.body = body
    this.outcome = new Promise((resolve, reject) => {
      this.resolve = resolve
      this.reject = reject
    })
    this.outcome.catch(() => undefined)
  }

  get signal(): AbortSignal {
    return this.#controller.signal
  }

  /** Its caller is answered at once; the turns after it wait until its body is through. */
  end(reason: unknown): void {
    if (this.signal.aborted) return
    this.#controller.abort(reason)
    this.reject(reason)
  }

  takeSteered(): string[] {
    const taken = this.steered
    this.steered = []
    // what this turn answers, it answers for them too
    for (const { resolve } of taken) resolve(this.outcome)
    return taken.map(({ message }) => message)
  }
}

export class Turns {
  /** Nothing of the turn before may run when the next begins. */
  readonly #untilStopped: () => Promise<unknown>
  #current: OneTurn | undefined
  /** Never rejects. */
  #performed: Promise<void> | undefined
  #waiting: OneTurn[] = []
  #count = 0
  /** Whether the session takes no more messages, or anything else. */
  isClosed = false

  constructor(untilStopped: () => Promise<unknown>) {
    this.#untilStopped = untilStopped
  }

  get isBusy(): boolean {
    return this.#current !== undefined
  }

  /** Messages that wait for their turn. */
  get waiting(): number {
    return this.#waiting.length
  }

  /** Runs a turn when it is its turn. Rejects with what its body rejects with, or with why it was ended. */
  async run<T>(message: string, body: Body<T>, options: TurnOptions = {}): Promise<T> {
    checkText('turn message', message)
    const { input = 'enqueue', signal } = options
    checkOneOf('input', input, POLICIES)
    if (this.isClosed) throw shuttingDown()
    signal?.throwIfAborted()
    const turn = new OneTurn(message, body)
    const current = this.#current
    if (current !== undefined && input === 'reject') {
      throw new LaneError('CONFLICT', 'The session is busy with another turn; this message was not taken', {
        retryable: true,
      })
    }
    if (signal !== undefined) this.#watch(turn, signal)
    if (current !== undefined && input === 'steer') current.steered.push(turn)
    else if (current !== undefined && (input === 'interrupt' || input === 'rollback'))
      this.#replace(current, turn, input)
    else this.#waiting.push(turn)
    this.#next()
    return turn.outcome as Promise<T>
  }

  /** Ends the turn that runs; its caller gets the error. */
  cancelCurrent(error: Error): boolean {
    this.#current?.end(error)
    return this.#current !== undefined
  }

  /** Takes back every message that waits; gives their number. */
  cancelWaiting(error: Error): number {
    const taken = [...this.#waiting, ...(this.#current?.steered ?? [])]
    this.#waiting = []
    if (this.#current !== undefined) this.#current.steered = []
    for (const { reject } of taken) reject(error)
    return taken.length
  }

  /** Takes no more messages, and gives back those that wait. The turn that runs goes on. */
  close(): void {
    this.isClosed = true
    this.cancelWaiting(shuttingDown())
  }

  /** Resolves when the turn that runs is over, its body too. */
  async untilIdle(): Promise<void> {
    await this.#performed
  }

  #replace(current: OneTurn, turn: OneTurn, input: 'interrupt' | 'rollback'): void {
    if (input === 'rollback') current.isRolledBack = true
    this.#waiting.unshift(turn)
    current.end(cancelledError(input === 'rollback' ? 'undone by a newer message' : 'interrupted by a newer message'))
  }

  #watch(turn: OneTurn, signal: AbortSignal): void {
    const onAbort = (): void => {
      this.#waiting = this.#waiting.filter((one) => one !== turn)
      if (this.#current !== undefined) this.#current.steered = this.#current.steered.filter((one) => one !== turn)
      turn.end(cancelledError(signal.reason))
    }
    signal.addEventListener('abort', onAbort, { once: true })
    const done = (): void => signal.removeEventListener('abort', onAbort)
    turn.outcome.then(done, done)
  }

  #next(): void {
    if (this.#current !== undefined) return
    const turn = this.#waiting.shift()
    if (turn !== undefined) this.#performed = this.#perform(turn)
  }

  async #perform(turn: OneTurn): Promise<void> {
    this.#current = turn
    turn.number = ++this.#count
    try {
      turn.resolve(await turn.body(turn))
    } catch (error) {
      turn.reject(error)
    }
    if (turn.signal.aborted) await this.#untilStopped()
    this.#waiting.unshift(...turn.steered)
    turn.steered = []
    this.#current = undefined
    this.#next()
  }
}
