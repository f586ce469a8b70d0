/** Calls of tools that somebody else's loop makes: on their way through the lanes of a session. */
import { AsyncLocalStorage } from 'node:async_hooks'
import { cancelledError, isLaneError } from '../core/index.js'
import { laneForTool, type SessionQueue, type ToolContext } from '../session/index.js'

/** A call as a loop makes it; one without an id is given one. */
export type LaneCall = { readonly id: string | undefined; readonly name: string; readonly args: unknown }

/** The command inside which code runs. */
type Around = { readonly context: ToolContext; readonly line: OneByOne; isOver: boolean }

/** By the queue that the command belongs to: a tool of one session may use another's. */
const around = new AsyncLocalStorage<ReadonlyMap<SessionQueue, Around>>()

export class LaneCalls {
  readonly #queue: SessionQueue
  readonly #line = new OneByOne()
  #count = 0

  constructor(queue: SessionQueue) {
    this.#queue = queue
  }

  /** One call: `run` is the tool. A call made inside another runs in its slot. */
  async call(
    { id, name, args }: LaneCall,
    signal: AbortSignal | undefined,
    run: (signal: AbortSignal) => unknown,
  ): Promise<unknown> {
    // of whoever calls: what starts the command may run inside another's
    const store = around.getStore() ?? new Map<SessionQueue, Around>()
    const outer = store.get(this.#queue)
    const parent = outer?.isOver === false ? outer : undefined
    const line = parent?.line ?? this.#line
    const call = { id: id ?? `${name}-${++this.#count}`, name, args }
    let thrown: unknown
    const local = async (_: unknown, context: ToolContext): Promise<unknown> => {
      try {
        return await this.#within(store, context, () => run(context.signal))
      } catch (error) {
        thrown = error
        throw error
      }
    }
    const submit = async (): Promise<unknown> => {
      if (signal?.aborted === true) throw cancelledError(signal.reason)
      return this.#queue.callTool(call, local, { signal, parent: parent?.context })
    }
    try {
      return await line.run(name, submit)
    } catch (error) {
      // what the tool has thrown is thrown as it is: its caller may know it
      throw thrown !== undefined && isLaneError(error) && error.cause === thrown ? thrown : error
    }
  }

  async #within(store: ReadonlyMap<SessionQueue, Around>, context: ToolContext, run: () => unknown): Promise<unknown> {
    const own: Around = { context, line: new OneByOne(), isOver: false }
    try {
      return await around.run(new Map([...store, [this.#queue, own]]), run)
    } finally {
      own.isOver = true
    }
  }
}

/** Tools with side effects keep the order of their calls, however many are called at once. */
class OneByOne {
  #last: Promise<unknown> = Promise.resolve()

  run<R>(name: string, work: () => Promise<R>): Promise<R> {
    if (laneForTool(name) === 'query') return work()
    const turn = this.#last.then(work, work)
    this.#last = turn
    return turn
  }
}
