/**
 * The handle of one submitted command: a native promise that carries its own facts.
 *
 * Measured, and the reason for its shape: awaiting a native promise is about twice as fast as awaiting an instance of a
 * subclass or a home-made thenable (V8 skips the lookups of `then`, `constructor` and species only for objects whose
 * prototype is Promise.prototype itself). So a run has no class: what it offers are nine own properties, functions
 * shared by all runs of a queue. Nine, because V8 grows a promise's properties by three at a time.
 */
import type { Entry } from './entry.js'
import type { Outcome } from './outcome.js'
import type { CommandState } from './transitions.js'

/**
 * What `submit` returns, at once. Await it for the command's result; it rejects with a `LaneError`. A run that nobody
 * awaits never raises an unhandled rejection. Beware: an async function that returns a run waits for its result.
 */
export interface CommandRun<R = unknown> extends Promise<R> {
  /** The command's id, as in every event about it. */
  readonly id: string
  readonly laneId: string
  readonly commandType: string
  /** The state now. */
  readonly state: CommandState
  /**
   * Resolves when the command is accepted: at once, or with a storage when it is written. Rejects with the same error as the
   * run when the submit was refused.
   */
  readonly accepted: Promise<void>
  /** Waits for the result like the run itself. Aborting `signal` ends the waiting with its reason, not the command. */
  result(options?: { readonly signal?: AbortSignal | undefined }): Promise<R>
  /**
   * Cancels the command: waiting, it never starts; running, its signal aborts. The run rejects with `COMMAND_CANCELLED` at
   * once, or with a storage when that is written. False when the command had its outcome already.
   */
  cancel(reason?: unknown): boolean
  /**
   * What the handler reports through `ctx.progress`, from now on until the command ends. A reader that falls behind by
   * `capacity` values (default 1,024) loses the oldest.
   */
  progress(options?: { readonly capacity?: number | undefined }): AsyncIterable<unknown>
}

/** The value of a run whose handler gives `R`: outcomes are not values. */
export type ResultOf<R> = Exclude<Awaited<R>, Outcome>

/** Settles a run's promise. Given something thenable, the run follows it. */
export type Settle = (value: unknown) => void

/** A run as the queue sees it. */
export type Run = Promise<unknown> & {
  readonly id: string
  readonly laneId: string
  readonly commandType: string
  state: CommandState
  accepted: Promise<void>
  readonly result: CommandRun['result']
  readonly cancel: CommandRun['cancel']
  readonly progress: CommandRun['progress']
  /** A command that only waits has no entry: just the function that settles it. One that has settled may have neither. */
  inner: Settle | Entry | undefined
}

/** The functions and the promise that all runs of a queue share. */
export type RunMethods = Pick<Run, 'accepted' | 'result' | 'cancel' | 'progress'>

let settleOfLast: Settle
const keepResolve = (resolve: Settle): void => {
  settleOfLast = resolve
}

/** A new run. One executor for all of them: a closure per command would show. */
export function createRun(
  id: string,
  laneId: string,
  commandType: string,
  state: CommandState,
  shared: RunMethods,
): Run {
  const run = new Promise(keepResolve) as Run
  const own = run as { -readonly [key in keyof Run]: Run[key] }
  own.id = id
  own.laneId = laneId
  own.commandType = commandType
  own.state = state
  own.accepted = shared.accepted
  own.result = shared.result
  own.cancel = shared.cancel
  own.progress = shared.progress
  own.inner = settleOfLast
  return run
}

/**
 * Makes whatever promise resolves with it reject. Only the resolving function of a run is kept (the rejecting one would
 * be 56 bytes more per waiting command); resolving with this rejects one microtask later.
 */
class Rejection {
  readonly #error: unknown

  constructor(error: unknown) {
    this.#error = error
  }

  // biome-ignore lint/suspicious/noThenProperty: being thenable is its purpose
  then(_resolve: unknown, reject: (error: unknown) => void): void {
    reject(this.#error)
  }
}

const ignore = (): void => undefined

/** Ends a run with an error, and keeps a run that nobody awaits quiet. */
export function rejectRun(run: Run, settle: Settle, error: unknown): void {
  run.then(undefined, ignore)
  settle(new Rejection(error))
}

/** A rejected promise that is quiet until somebody looks. */
export const quietRejection = (error: unknown): Promise<never> => quiet(Promise.reject(error))

/** A promise that is nobody's unhandled rejection. */
export function quiet<P extends Promise<unknown>>(promise: P): P {
  promise.catch(ignore)
  return promise
}

/** Waits for a promise until a signal aborts. */
export function untilAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return promise
  if (signal.aborted) return Promise.reject(signal.reason)
  return new Promise<T>((resolve, reject) => {
    const onAbort = (): void => reject(signal.reason)
    signal.addEventListener('abort', onAbort, { once: true })
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort))
  })
}
