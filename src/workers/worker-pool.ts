/** Workers on a distributed queue, by hand: one per partition, each running one command at a time. */
import {
  type Clock,
  checkInteger,
  checkObject,
  configInvalid,
  errorText,
  LaneError,
  refuseUnknown,
  systemClock,
} from '../core/index.js'
import type { CommandEnvelope, CommandResult, DistributedQueue } from './distributed-queue.js'

/** Does the work of a command: its value is the result, what it throws the error. */
export type Executor = (envelope: CommandEnvelope) => unknown

/** How long a worker waits before it asks again: an empty queue that cannot be waited for; one that has failed. */
const EMPTY_MS = 1
const FAILED_MS = 10

/**
 * Runs one worker per partition. What the queue or the executor throws stops no worker: an executor that throws is one
 * failed command, and a queue that throws is asked again.
 */
export class WorkerPool {
  readonly #queue: DistributedQueue
  readonly #clock: Clock
  #stopping: AbortController | undefined
  #workers: Promise<unknown> = Promise.resolve()

  constructor(queue: DistributedQueue, options: { readonly clock?: Clock | undefined } = {}) {
    checkObject('WorkerPool options', options)
    refuseUnknown('WorkerPool', options, ['clock'])
    if (typeof (queue as Partial<DistributedQueue> | undefined)?.dequeue !== 'function') {
      throw configInvalid('the queue of a WorkerPool', 'a DistributedQueue', queue)
    }
    this.#queue = queue
    this.#clock = options.clock ?? systemClock
  }

  /** Starts the workers, again after a shutdown; nothing while they run. `CONFIG_INVALID` for a queue that may not dequeue. */
  start(executor: Executor): void {
    if (typeof executor !== 'function') throw configInvalid('executor', 'a function', executor)
    if (this.#stopping !== undefined) return
    if (!this.#queue.isWorker()) throw new LaneError('CONFIG_INVALID', 'This queue is no worker: it may not dequeue')
    const numPartitions = this.#queue.numPartitions()
    checkInteger('numPartitions', numPartitions, 1)
    const stopping = new AbortController()
    this.#stopping = stopping
    const before = this.#workers
    const work = async (partition: number): Promise<void> => {
      // Workers that are still stopping have their last command before these have their first.
      await before
      await this.#work(partition, executor, stopping.signal)
    }
    this.#workers = Promise.all(Array.from({ length: numPartitions }, (_, partition) => work(partition)))
  }

  isRunning(): boolean {
    return this.#stopping !== undefined
  }

  /** Lets each worker end the command it is at, and waits for that. */
  async shutdown(): Promise<void> {
    this.#stopping?.abort()
    this.#stopping = undefined
    await this.#workers
  }

  async #work(partition: number, executor: Executor, signal: AbortSignal): Promise<void> {
    let hasWaited = false
    while (!signal.aborted) {
      try {
        const envelope = await this.#queue.dequeue(partition)
        if (envelope !== undefined) {
          hasWaited = false
          await this.#execute(envelope, executor)
        } else if (hasWaited || this.#queue.waitFor === undefined) {
          // Also where a queue says that there is something, and there is not.
          hasWaited = false
          await this.#pause(EMPTY_MS, signal)
        } else {
          hasWaited = true
          await this.#queue.waitFor(partition, signal)
        }
      } catch {
        await this.#pause(FAILED_MS, signal)
      }
    }
  }

  async #execute(envelope: CommandEnvelope, executor: Executor): Promise<void> {
    const startedAt = this.#clock.now()
    const result = await resultOf(envelope, executor)
    const durationMs = this.#clock.now() - startedAt
    await this.#queue.complete({ commandId: envelope.id, result, workerId: this.#queue.workerId(), durationMs })
  }

  #pause(ms: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      if (signal.aborted) return resolve()
      const end = (): void => {
        this.#clock.clearTimer(timer)
        signal.removeEventListener('abort', end)
        resolve()
      }
      const timer = this.#clock.setTimer(ms, end)
      signal.addEventListener('abort', end)
    })
  }
}

async function resultOf(envelope: CommandEnvelope, executor: Executor): Promise<CommandResult['result']> {
  try {
    // JSON knows no undefined: a result without a value is null.
    return { Ok: (await executor(envelope)) ?? null }
  } catch (error) {
    return { Err: errorText(error) }
  }
}
