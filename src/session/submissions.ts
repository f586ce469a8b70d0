/** Direct submissions: work that the program itself puts into a lane, past the model. */
import {
  type CommandRun,
  type CommandState,
  checkObject,
  checkText,
  configInvalid,
  LaneError,
  type SubmitOptions,
  sameData,
} from '../core/index.js'
import type { LaneHandlerConfig } from './config-handler.js'
import { laneForTool, type SessionLane, sessionLane } from './lanes.js'
import type { CommandRequest, LocalWork, SessionCommand } from './session-command.js'

/** Options of `submit`, `submitBatch` and `submitTask`: those of the queue, and what is to run. */
export type SessionSubmitOptions = SubmitOptions & {
  /** The tool or handler that runs, with the payload as its arguments. Default: `json`, or what the payload says. */
  readonly commandType?: string | undefined
}

/** What `submitTask` is given. */
export type TaskRequest = {
  readonly id: string
  readonly lane: SessionLane | Capitalize<SessionLane>
  readonly payload: unknown
}

/** The handle of an accepted task. */
export type TaskHandle = {
  readonly id: string
  readonly lane: SessionLane
  readonly state: CommandState
  /** Its value, or its error. */
  result(options?: { readonly signal?: AbortSignal | undefined }): Promise<unknown>
  /** False when it has its outcome. */
  cancel(reason?: unknown): boolean
}

export type SubmissionsHost = {
  submit(request: CommandRequest): CommandRun
  live(id: string): SessionCommand | undefined
  localOf(type: string): LocalWork | undefined
  hasHandler(type: string): boolean
  handlerOf(lane: SessionLane): LaneHandlerConfig
  /** Whether others may have the code that is lacking here. */
  mayLackCode(request: CommandRequest): boolean
  /** Whether others do all that is shared. */
  readonly hasWorkers: boolean
  /** The command type that a payload without one speaks of. */
  routeDirect(lane: SessionLane, payload: unknown): string | undefined
}

const JSON_TYPE = 'json'

export class Submissions {
  readonly #host: SubmissionsHost

  constructor(host: SubmissionsHost) {
    this.#host = host
  }

  submit(lane: unknown, payload: unknown, options: SessionSubmitOptions = {}): CommandRun {
    return this.#host.submit(this.#requestOf(sessionLane('lane', lane), payload, options))
  }

  /** A tool by its name, in its lane. */
  byTool(name: string, args: unknown, options: SubmitOptions = {}): CommandRun {
    checkText('submitByTool name', name)
    return this.submit(laneForTool(name), args, { ...options, commandType: name })
  }

  /** In `query` all at once; in every other lane one after another. The first failure rejects. */
  async batch(lane: unknown, payloads: readonly unknown[], options: SessionSubmitOptions = {}): Promise<unknown[]> {
    const where = sessionLane('lane', lane)
    if (!Array.isArray(payloads)) throw configInvalid('submitBatch payloads', 'a list', payloads)
    if (options.id !== undefined)
      throw configInvalid('submitBatch id', 'left out: a batch has many commands', options.id)
    const requests = payloads.map((payload) => this.#requestOf(where, payload, options))
    if (where === 'query') return Promise.all(requests.map((request) => this.#host.submit(request)))
    const results: unknown[] = []
    for (const request of requests) results.push(await this.#host.submit(request))
    return results
  }

  /** Resolves when the task is accepted. */
  async task(task: TaskRequest, options: SessionSubmitOptions = {}): Promise<TaskHandle> {
    checkObject('submitTask task', task)
    const { id, payload } = task
    checkText('submitTask id', id)
    const lane = sessionLane('submitTask lane', task.lane)
    const live = this.#host.live(id)
    if (live !== undefined && (live.request.lane !== lane || !sameData(live.request.payload, payload))) {
      throw new LaneError('CONFLICT', `The id '${id}' belongs to another command that has not settled`)
    }
    const run = live?.run ?? this.#host.submit(this.#requestOf(lane, payload, { ...options, id }))
    await run.accepted
    return {
      id,
      lane,
      get state() {
        return run.state
      },
      result: (how) => run.result(how),
      cancel: (reason) => run.cancel(reason),
    }
  }

  #requestOf(lane: SessionLane, payload: unknown, submit: SessionSubmitOptions): CommandRequest {
    checkObject('submit options', submit)
    const { commandType, ...own } = submit
    if (commandType !== undefined) checkText('submit commandType', commandType)
    const options = Object.keys(own).length === 0 ? undefined : own
    // a batch is one submit: what comes last of it is handled as what came first
    const handler = this.#host.handlerOf(lane)
    if (handler.mode === 'external') {
      return { lane, type: commandType ?? JSON_TYPE, payload, kind: 'direct', local: undefined, options, handler }
    }
    const type = commandType ?? this.#typeOf(lane, payload)
    if (type === undefined) throw nothingRuns(lane, commandType)
    const local = this.#host.localOf(type)
    const request: CommandRequest = { lane, type, payload, kind: 'direct', local, options, handler }
    if (local === undefined && !this.#host.mayLackCode(request)) throw nothingRuns(lane, commandType)
    return request
  }

  #typeOf(lane: SessionLane, payload: unknown): string | undefined {
    const { hasWorkers } = this.#host
    if (this.#host.hasHandler(JSON_TYPE)) return JSON_TYPE
    return this.#host.routeDirect(lane, payload) ?? (hasWorkers ? JSON_TYPE : undefined)
  }
}

function nothingRuns(lane: SessionLane, commandType: string | undefined): LaneError {
  const what = commandType === undefined ? 'this payload' : `commandType '${commandType}'`
  return new LaneError(
    'HANDLER_NOT_FOUND',
    `Nothing here runs ${what} in lane '${lane}': name a tool or a handler in commandType, or set the lane to external mode`,
  )
}
