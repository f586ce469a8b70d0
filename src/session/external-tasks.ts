/**
 * Work that is done outside: each attempt in an external lane becomes a task, is pending until somebody completes it, and
 * leaves the pending set before its caller is answered, whichever way it ends.
 */
import { type Clock, errorText, instantText, LaneError, type Random, UnrecoverableError } from '../core/index.js'
import type { SessionEvents } from './event-stream.js'
import { checkedAnswer, type ExternalTask, type ExternalTaskHandler, type ExternalTaskResult } from './external-task.js'
import type { SessionLane } from './lanes.js'
import { newUuid } from './uuid.js'

/** One attempt, as its task needs it. */
export type ExternalAttempt = {
  readonly commandId: string
  readonly commandType: string
  readonly lane: SessionLane
  readonly attempt: number
  readonly payload: unknown
  readonly timeoutMs: number
}

/** The error of work that its worker said had failed; `result` is what came with it. */
export class ExternalWorkError extends Error {
  override readonly name: string = 'ExternalWorkError'
  readonly result: unknown

  constructor(message: string, result: unknown) {
    super(message)
    this.result = result
  }
}

type Pending = ExternalAttempt & {
  readonly taskId: string
  readonly createdAt: string
  /** Monotonic. */
  readonly since: number
  readonly resolve: (value: unknown) => void
  readonly reject: (error: unknown) => void
  /** For whoever does the work in this process. */
  controller: AbortController | undefined
}

/** What the tasks of a session share. */
export type ExternalTasksHost = {
  readonly sessionId: string
  readonly clock: Clock
  readonly random: Random
  readonly events: SessionEvents
}

export class ExternalTasks {
  readonly #host: ExternalTasksHost
  /** By task id, oldest first. */
  readonly #pending = new Map<string, Pending>()
  #handler: ExternalTaskHandler | undefined
  #isClosed = false

  constructor(host: ExternalTasksHost) {
    this.#host = host
  }

  get size(): number {
    return this.#pending.size
  }

  /** The pending tasks, oldest first, as new objects. */
  list(): ExternalTask[] {
    return [...this.#pending.values()].map((pending) => this.#taskOf(pending))
  }

  /** Waits until somebody outside has done it. Rejects with the signal's reason when the attempt is to stop. */
  run(attempt: ExternalAttempt, signal: AbortSignal): Promise<unknown> {
    if (this.#isClosed) return Promise.reject(new UnrecoverableError(CLOSING))
    if (signal.aborted) return Promise.reject(signal.reason)
    return new Promise((resolve, reject) => {
      const onAbort = (): void => this.#fail(pending, signal.reason)
      const pending: Pending = {
        ...this.#stamp(attempt),
        resolve: (value) => {
          signal.removeEventListener('abort', onAbort)
          resolve(value)
        },
        reject: (error) => {
          signal.removeEventListener('abort', onAbort)
          reject(error)
        },
        controller: undefined,
      }
      signal.addEventListener('abort', onAbort, { once: true })
      this.#pending.set(pending.taskId, pending)
      this.#announce(pending)
      if (this.#handler !== undefined) this.#handOver(pending, this.#handler)
    })
  }

  /** Tells the outside of work that is done here: the task is never pending. Gives what tells its end. */
  shadow(attempt: ExternalAttempt): (error?: unknown) => void {
    const stamped = this.#stamp(attempt)
    this.#announce(stamped)
    let told = false
    return (...failure) => {
      if (told) return
      told = true
      this.#completed(stamped, failure.length === 0 ? undefined : errorText(failure[0]))
    }
  }

  /** False when the task is not pending. `CONFIG_INVALID` for what is no answer: it stays pending. */
  complete(taskId: string, answer: ExternalTaskResult): boolean {
    const pending = this.#pending.get(taskId)
    const { success, result, error } = checkedAnswer(answer)
    if (pending === undefined) return false
    this.#leave(pending)
    this.#completed(pending, success ? undefined : error)
    // whoever does it in this process, and was not the first, need not go on
    pending.controller?.abort(new LaneError('COMMAND_CANCELLED', 'Command cancelled: somebody else has completed it'))
    if (success) pending.resolve(result)
    else pending.reject(new ExternalWorkError(error, result))
    return true
  }

  /** Who does the work in this process: is given the pending tasks that nobody here was given, and every later one. */
  handledBy(handler: ExternalTaskHandler | undefined): void {
    this.#handler = handler
    if (handler === undefined) return
    for (const pending of [...this.#pending.values()]) {
      if (pending.controller === undefined) this.#handOver(pending, handler)
    }
  }

  /** Every pending task fails, and every later one at once. */
  close(): void {
    this.#isClosed = true
    for (const pending of [...this.#pending.values()]) this.#fail(pending, new UnrecoverableError(CLOSING))
  }

  #handOver(pending: Pending, handler: ExternalTaskHandler): void {
    const controller = new AbortController()
    pending.controller = controller
    const { signal } = controller
    const answered = (answer: ExternalTaskResult): void => {
      checkedAnswer(answer)
      pending.controller = undefined
      this.complete(pending.taskId, answer)
    }
    // A moment later: the handler may use the session, which is in the middle of a start.
    void Promise.resolve()
      .then(() => handler(this.#taskOf(pending), { signal }))
      .then(answered)
      .catch((error: unknown) => answered({ success: false, error: errorText(error) }))
  }

  #fail(pending: Pending, error: unknown): void {
    this.#leave(pending)
    this.#completed(pending, errorText(error))
    pending.controller?.abort(error)
    pending.reject(error)
  }

  #leave({ taskId }: Pending): void {
    this.#pending.delete(taskId)
  }

  #stamp(attempt: ExternalAttempt): ExternalAttempt & Pick<Pending, 'taskId' | 'createdAt' | 'since'> {
    const { clock, random } = this.#host
    return {
      ...attempt,
      payload: attempt.payload === undefined ? {} : attempt.payload,
      taskId: newUuid(random),
      createdAt: instantText(clock.wallNow()),
      since: clock.now(),
    }
  }

  #taskOf(held: ExternalAttempt & Pick<Pending, 'taskId' | 'createdAt' | 'since'>): ExternalTask {
    const elapsed = Math.floor(this.#host.clock.now() - held.since)
    return {
      task_id: held.taskId,
      session_id: this.#host.sessionId,
      lane: held.lane,
      command_type: held.commandType,
      payload: held.payload,
      timeout_ms: held.timeoutMs,
      remaining_ms: Math.max(0, held.timeoutMs - elapsed),
      is_timed_out: elapsed > held.timeoutMs,
      command_id: held.commandId,
      attempt: held.attempt,
      created_at: held.createdAt,
    }
  }

  #announce(held: ExternalAttempt & Pick<Pending, 'taskId' | 'createdAt' | 'since'>): void {
    if (this.#host.events.hasReaders) this.#host.events.emit('external_task_pending', this.#taskOf(held))
  }

  #completed(held: ExternalAttempt & Pick<Pending, 'taskId'>, error: string | undefined): void {
    if (!this.#host.events.hasReaders) return
    this.#host.events.emit('external_task_completed', {
      task_id: held.taskId,
      session_id: this.#host.sessionId,
      success: error === undefined,
      lane: held.lane,
      command_type: held.commandType,
      command_id: held.commandId,
      ...(error === undefined ? {} : { error }),
    })
  }
}

const CLOSING = 'Session queue is shutting down'

/** The error of what a closing session does not take any more. */
export const shuttingDown = (): LaneError => new LaneError('SHUTTING_DOWN', CLOSING)
