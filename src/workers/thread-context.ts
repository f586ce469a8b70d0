/** What a handler in a thread is given beside its payload: the context of an in-process handler, without `queue`. */
import { type CommandContext, type HandlerResult, LaneError } from '../core/index.js'
import type { BodyStart, Order, Report } from './thread-messages.js'
import { thrownValue } from './thrown-form.js'

/**
 * The context of one attempt in a thread. As in process, except: `queue` is not there; `run` takes commands by type and
 * payload only; `checkpoint`, `yield` and `run` are answered by the main thread; `progress` values are cloned; and a cost
 * that is none fails the attempt when it ends, not the call to `charge`.
 */
export type ThreadContext<P = unknown> = Omit<CommandContext<P>, 'queue'>

/** The default export of a worker file. */
export type ThreadHandler<P = unknown, R = unknown> = (payload: P, context: ThreadContext<P>) => HandlerResult<R>

/** The thread, as the context of a body needs it. */
export interface ThreadHost {
  /** Throws what cannot be cloned. */
  post(report: Report): void
  /** Whether the body at this place has been told to stop, by a sign that needs no turn of the event loop. */
  isToldToStop(start: BodyStart): boolean
  /** Reads what the main thread has said, without a turn of the event loop. */
  readOrders(): void
}

type Call = { readonly resolve: (value: never) => void; readonly reject: (error: unknown) => void }

/** The body that runs in this thread: its context, and how far its reports have come. */
export class ThreadBody implements ThreadContext {
  readonly #start: BodyStart
  readonly #host: ThreadHost
  #calls: Map<number, Call> | undefined
  #lastCall = 0
  #sent = 0
  #hasEnded = false
  #stopReason: unknown
  #controller: AbortController | undefined

  constructor(start: BodyStart, host: ThreadHost) {
    this.#start = start
    this.#host = host
  }

  get id(): string {
    return this.#start.id
  }

  get laneId(): string {
    return this.#start.laneId
  }

  get commandType(): string {
    return this.#start.commandType
  }

  get payload(): unknown {
    return this.#start.payload
  }

  get key(): string | undefined {
    return this.#start.key
  }

  get traceContext(): ThreadContext['traceContext'] {
    return this.#start.traceContext
  }

  get attempt(): number {
    return this.#start.attempt
  }

  get restored(): unknown {
    return structuredClone(this.#start.restored)
  }

  get signal(): AbortSignal {
    this.#controller ??= this.#newController()
    return this.#controller.signal
  }

  get progress(): ThreadContext['progress'] {
    return (value) => this.#report('progress', value)
  }

  get log(): ThreadContext['log'] {
    return (line) => this.#report('log', typeof line === 'string' ? line : shown(line))
  }

  get charge(): ThreadContext['charge'] {
    return (cost) => this.#report('charge', cost)
  }

  get checkpoint(): ThreadContext['checkpoint'] {
    return (state) => this.#call('checkpoint', state)
  }

  get yield(): ThreadContext['yield'] {
    return () => this.#call('yield', undefined)
  }

  get run(): ThreadContext['run'] {
    return ((laneId: string, command: unknown, options?: object) => {
      try {
        return this.#call('run', childOf(laneId, command, options))
      } catch (error) {
        return rejection(error)
      }
    }) as ThreadContext['run']
  }

  get number(): number {
    return this.#start.body
  }

  get sent(): number {
    return this.#sent
  }

  /** Whether it is to stop, as far as can be known now. */
  get isStopped(): boolean {
    if (this.#stopReason === undefined && !this.#hasEnded && this.#host.isToldToStop(this.#start)) {
      this.#host.readOrders()
    }
    return this.#stopReason !== undefined
  }

  get stopReason(): unknown {
    return this.#stopReason
  }

  /** Sends the value of the body as its last report. Throws when it cannot be cloned. */
  reportValue(value: unknown): void {
    this.#host.post({ body: this.number, what: 'value', value })
    this.#sent++
  }

  /** Nothing that the body has left behind is heard any more. */
  end(): void {
    this.#hasEnded = true
    this.#calls = undefined
  }

  obey({ what, call, value, thrown }: Order): void {
    if (what === 'stop') return this.#stop(thrown === undefined ? undefined : thrownValue(thrown))
    const waiting = this.#calls?.get(call as number)
    this.#calls?.delete(call as number)
    if (thrown === undefined) waiting?.resolve(value as never)
    else waiting?.reject(this.#errorOf(thrownValue(thrown)))
  }

  /** Who is told to stop by the answer to a call finds the very reason of its signal. */
  #errorOf(error: unknown): unknown {
    const code = (this.#stopReason as { code?: unknown } | undefined)?.code
    return code !== undefined && (error as { code?: unknown } | undefined)?.code === code ? this.#stopReason : error
  }

  #stop(reason: unknown): void {
    this.#stopReason ??= reason ?? new LaneError('COMMAND_CANCELLED', 'Command cancelled')
    this.#controller?.abort(this.#stopReason)
  }

  #report(what: Report['what'], value: unknown, call?: number): void {
    if (this.#hasEnded) return
    try {
      this.#host.post({ body: this.number, what, value, ...(call === undefined ? {} : { call }) })
    } catch (error) {
      throw uncloneable(what, error)
    }
    this.#sent++
  }

  #call(what: Report['what'], value: unknown): Promise<never> {
    if (this.#hasEnded) return rejection(new LaneError('CONFLICT', 'The attempt has ended: nothing was done'))
    const call = ++this.#lastCall
    this.#calls ??= new Map()
    const calls = this.#calls
    const answer = new Promise<never>((resolve, reject) => {
      calls.set(call, { resolve, reject })
    })
    void quiet(answer)
    try {
      this.#report(what, value, call)
    } catch (error) {
      calls.delete(call)
      return rejection(error)
    }
    return answer
  }

  /** A real signal that is also told by a sign in shared memory, so a loop that never waits sees it when it looks. */
  #newController(): AbortController {
    const controller = new AbortController()
    if (this.#stopReason !== undefined) controller.abort(this.#stopReason)
    const { signal } = controller
    Object.defineProperties(signal, {
      aborted: { configurable: true, get: () => this.isStopped },
      throwIfAborted: {
        configurable: true,
        value: () => {
          if (this.isStopped) throw this.#stopReason
        },
      },
    })
    return controller
  }
}

const uncloneable = (what: string, cause: unknown): LaneError =>
  new LaneError('PAYLOAD_INVALID', `${what} takes what can be cloned: ${shown(cause)}`, { cause })

/** What the main thread needs to submit a child: a command that has no function in it. */
function childOf(laneId: string, command: unknown, options: object | undefined): unknown {
  if (typeof command !== 'object' || command === null || typeof (command as { type?: unknown }).type !== 'string') {
    const text = 'ctx.run in a thread takes commands by type and payload: a function cannot leave its thread'
    throw new LaneError('PAYLOAD_INVALID', text)
  }
  const { type, payload, definition } = command as {
    type: string
    payload?: unknown
    definition?: { defaults?: object }
  }
  return { laneId, command: { type, payload }, options: { ...definition?.defaults, ...options } }
}

const rejection = (error: unknown): Promise<never> => quiet(Promise.reject(error as Error))

/** A promise that nobody awaits is nobody's unhandled rejection. */
function quiet<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => undefined)
  return promise
}

function shown(value: unknown): string {
  try {
    return String(value)
  } catch {
    return 'a value that cannot be shown'
  }
}
