/**
 * Where a scenario is played: a real queue on the simulated clock, all of whose calls to the outside are counted, and a
 * record of what bodies did, what events told, and what callers were answered.
 */
import {
  type AnyCommand,
  type CommandContext,
  type CommandRun,
  type LaneDefinition,
  QueueManager,
  type StandardSchema,
  type SubmitOptions,
} from '@a3s-lab/lane'
import { seededRandom } from '@a3s-lab/lane/testing'
import { Draw } from '../draw.js'
import { rest, SimClock } from '../sim-clock.js'
import type { Calls } from './calls.js'
import { countedClock } from './counted-clock.js'
import { Ledger, Thenable } from './ledger.js'

export type Lanes = Readonly<Record<string, LaneDefinition>>

export type StageOptions = {
  readonly lanes: Lanes
  readonly maxConcurrency?: number
  readonly deadLetters?: number
}

/** A run that the stage keeps an eye on: nobody else has to wait for it. */
type Submitted = Pick<CommandRun, 'id' | 'cancel' | 'result' | 'progress'>

/** What a body does; what it gives back is the command's result. */
export type Script = (context: CommandContext) => unknown

/** A body that runs, as its lane's limits see it. */
export type StageBody = {
  readonly id: string
  readonly laneId: string
  /** `ctx.run` and `ctx.yield` calls that it waits in: meanwhile it holds no slot of its own. */
  idle: number
}

export class Stage {
  readonly clock = new SimClock({ late: false, shuffled: false }, new Draw(1))
  readonly calls: Calls
  readonly ledger: Ledger
  readonly queue: QueueManager

  /** Throws the planted fault when that is in the constructor's way. */
  constructor(options: StageOptions, calls: Calls) {
    this.calls = calls
    this.ledger = new Ledger(calls)
    const random = seededRandom(1)
    this.queue = new QueueManager({
      ...options,
      clock: countedClock(this.clock, calls, this.ledger),
      random: {
        next: () => {
          calls.now('random.next')
          return random.next()
        },
      },
      onFault: (error) => {
        this.ledger.faults.push(error)
        calls.now('onFault')
      },
    })
    this.ledger.watch(this.queue, options.lanes, options.maxConcurrency)
    this.#listen()
  }

  /** Lets time pass. */
  async pass(ms: number): Promise<void> {
    let isOver = false
    this.clock.at(this.clock.now + ms, () => {
      isOver = true
    })
    const nothing = (): void => undefined
    await this.clock.run(() => isOver, nothing)
  }

  /** Lets everything happen that is due now. */
  settle(): Promise<void> {
    return this.pass(0)
  }

  submit(laneId: string, command: AnyCommand, options?: SubmitOptions): Submitted {
    const run = this.queue.submit(laneId, command, options)
    this.ledger.note(run)
    return run
  }

  /**
   * Calls something of the queue that may pass the planted fault on to its caller, who survives it. Waits for the answer
   * only as long as that needs no time: until the end it has to come.
   */
  async call(what: () => unknown): Promise<void> {
    const { ledger } = this
    const text = String(what).replaceAll(/\s+/g, ' ').slice(0, 80)
    ledger.openCalls.add(text)
    const answered = async (): Promise<void> => {
      try {
        await what()
      } catch (error) {
        ledger.caught(error)
      }
      ledger.openCalls.delete(text)
    }
    await Promise.race([answered(), rest()])
  }

  /** A function command with a body that is counted. */
  body(script: Script = () => 'done'): (context: CommandContext) => unknown {
    return (context) => this.perform(context, script)
  }

  /** A body that takes its time and stops when it is told to. */
  takes(ms: number): (context: CommandContext) => unknown {
    return this.body(({ signal }) => this.sleep(ms, signal))
  }

  /** A body that does not listen. */
  deaf(ms: number): (context: CommandContext) => unknown {
    return this.body(() => this.sleep(ms))
  }

  /** A body that fails so many times, then does well. */
  fails(times: number, error: () => unknown = () => new Error('failed')): (context: CommandContext) => unknown {
    let left = times
    return this.body(() => {
      if (left-- > 0) throw error()
      return 'done'
    })
  }

  /** The bodies' own time: exact, and not counted. Rejects when the signal aborts. */
  sleep(ms: number, signal?: AbortSignal): Promise<string> {
    return new Promise((resolve, reject) => {
      const timer = this.clock.at(this.clock.now + ms, () => {
        signal?.removeEventListener('abort', stop)
        resolve(`slept ${ms}`)
      })
      const stop = (): void => {
        this.clock.clear(timer)
        reject(signal?.reason)
      }
      if (signal?.aborted === true) stop()
      else signal?.addEventListener('abort', stop, { once: true })
    })
  }

  /** `ctx.run` by a body of ours. */
  async child(context: CommandContext, laneId: string, command: AnyCommand, options?: SubmitOptions): Promise<unknown> {
    return this.#idle(context, () => context.run(laneId, command, options))
  }

  /** `ctx.yield` by a body of ours. */
  async gives(context: CommandContext): Promise<void> {
    await this.#idle(context, () => context.yield())
  }

  /** A schema that takes everything, at once or later. */
  schema(isAsync = false): StandardSchema {
    const validate = (value: unknown): { value: unknown } | Promise<{ value: unknown }> => {
      const mode = this.calls.next('schema')
      if (mode === 'rejects') return Promise.reject(this.calls.error)
      if (mode === 'hangs') return new Promise(() => undefined)
      if (mode !== undefined) throw this.calls.error
      return isAsync ? this.sleep(5).then(() => ({ value })) : { value }
    }
    return { '~standard': { version: 1, vendor: 'stage', validate } }
  }

  /** An object with one accessor of a value, which is counted. */
  accessor<T>(name: string, value: T): { readonly [key: string]: T } {
    const { calls } = this
    return Object.defineProperty({}, name, {
      enumerable: true,
      get() {
        calls.now('accessor')
        return value
      },
    })
  }

  /** A method of a value, which is counted. */
  method<A extends unknown[], R>(perform: (...given: A) => R): (...given: A) => R {
    return (...given) => {
      this.calls.now('accessor')
      return perform(...given)
    }
  }

  /** Something that resolves like a promise, by a counted method. */
  thenable(value: string): Thenable {
    return new Thenable(
      value,
      this.method((resolve) => resolve(value)),
    )
  }

  /** Performs a body as the fault will have it. */
  perform(context: CommandContext, script: Script): unknown {
    const mode = this.calls.next('handler')
    const body: StageBody = { id: context.id, laneId: context.laneId, idle: 0 }
    this.ledger.entered(body, context)
    if (mode === 'hangs') return new Promise(() => undefined)
    if (mode === 'throws' || mode === 'from-then-on') {
      this.ledger.left(body)
      throw this.calls.error
    }
    if (mode === 'rejects') return this.#end(body, Promise.reject(this.calls.error))
    let value: unknown
    try {
      value = script(context)
    } catch (error) {
      this.ledger.left(body)
      throw error
    }
    if (value instanceof Promise) return this.#end(body, value, mode)
    this.ledger.left(body)
    if (mode === 'done-then-throws') throw this.calls.error
    return this.ledger.returned(body, value)
  }

  async #end(body: StageBody, work: Promise<unknown>, mode?: 'done-then-throws'): Promise<unknown> {
    try {
      const value: unknown = await work
      if (mode !== undefined) throw this.calls.error
      return this.ledger.returned(body, value)
    } finally {
      this.ledger.left(body)
    }
  }

  async #idle<T>(context: CommandContext, wait: () => Promise<T>): Promise<T> {
    const body = this.ledger.bodyOf(context)
    if (body !== undefined) body.idle++
    try {
      return await wait()
    } finally {
      if (body !== undefined) body.idle--
    }
  }

  /** A listener of each sort. */
  #listen(): void {
    this.queue.subscribeFiltered(() => {
      this.calls.now('filter')
      return false
    })
    void this.#read()
  }

  async #read(): Promise<void> {
    try {
      for await (const event of this.queue.subscribe({ capacity: 8 })) {
        this.ledger.read(event)
        this.calls.now('reader')
      }
    } catch (error) {
      this.ledger.caught(error)
    }
  }
}
