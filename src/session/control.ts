/**
 * Pause, resume and cancel: commands of the control lane, which nothing outranks, with proof of what came of them. Each
 * says when it was asked for, when the lane has done it, and when nothing of it ran any more.
 */
import {
  type Clock,
  cancelledError,
  checkMs,
  checkObject,
  checkOneOf,
  checkText,
  instantText,
  LaneError,
  type QueueManager,
  type Random,
  refuseUnknown,
} from '../core/index.js'
import type { Commands } from './commands.js'
import type { DirectRuns } from './direct-runs.js'
import type { SessionEvents } from './event-stream.js'
import type { Gate } from './gate.js'
import { SESSION_LANES, type SessionLane, sessionLane } from './lanes.js'
import type { CommandRequest, SessionCommand } from './session-command.js'
import type { Turns } from './turns.js'
import { newUuid } from './uuid.js'

/** What `cancel` reaches. */
export type CancelScope =
  /** The turn that runs: its model call, its tools, and what it would have done next. */
  | 'turn'
  /** Its tool calls; the model is told that they failed, and goes on. */
  | 'tools'
  /** What has not begun: waiting commands and waiting messages. */
  | 'queued'
  /** One lane, `lane`. */
  | 'lane'
  /** One command, `id`. */
  | 'command'
  /** Everything. */
  | 'session'

/** Options of `session.cancel`. */
export type CancelOptions = {
  /** Default 'turn'; 'command' when an `id` is given, 'lane' when a `lane` is. */
  readonly scope?: CancelScope | undefined
  readonly id?: string | undefined
  readonly lane?: SessionLane | undefined
  /** Goes into the errors of what is cancelled. */
  readonly reason?: unknown
  /** How long to wait for bodies that do not end, in milliseconds. Default 30,000. */
  readonly stopTimeoutMs?: number | undefined
}

/** What came of a control command. Durations are milliseconds since it was asked for. */
export type ControlProof = {
  readonly id: string
  readonly action: 'pause' | 'resume' | 'cancel'
  readonly scope?: CancelScope
  /** RFC 3339. */
  readonly requestedAt: string
  readonly acknowledgedAfterMs: number
  /** When nothing of it ran any more; undefined when `unstopped` is not empty, and after a resume. */
  readonly stoppedAfterMs?: number
  /** Commands and waiting messages that were cancelled. */
  readonly cancelled: number
  /** Ids of commands whose body has not ended within `stopTimeoutMs`. */
  readonly unstopped: readonly string[]
}

/** A control command under way: await it for the whole proof, or `acknowledged` for the moment when it has acted. */
export type ControlAction = Promise<ControlProof> & { readonly acknowledged: Promise<{ readonly afterMs: number }> }

export type ControlHost = {
  readonly clock: Clock
  readonly events: SessionEvents
  readonly commands: Commands
  readonly turns: Turns
  readonly gate: Gate
  readonly queue: QueueManager<SessionLane> | undefined
  /** Ends every `runToolCalls` under way, what they have not submitted too. */
  endToolCalls(error: Error): void
  /** What runs in a session without a queue. */
  readonly direct: DirectRuns
  readonly random: Random
}

const PAUSED_LANES: readonly SessionLane[] = ['query', 'execute', 'generate']
const STOP_TIMEOUT_MS = 30_000
const SCOPES: readonly CancelScope[] = ['turn', 'tools', 'queued', 'lane', 'command', 'session']

type Asked = { readonly id: string; readonly action: ControlProof['action']; readonly scope: CancelScope | undefined }

export class Control {
  readonly #host: ControlHost
  /** Who waits for bodies to end. */
  readonly #waiting = new Set<() => void>()

  constructor(host: ControlHost) {
    this.#host = host
    host.queue?.observe({ observe: () => ({ turnEnded: () => this.looked() }) })
  }

  /** Something may have ended: those who wait for it look. */
  looked(): void {
    if (this.#waiting.size > 0) for (const look of [...this.#waiting]) look()
  }

  /** Starts nothing more in query, execute and generate; what runs goes on to its end. */
  pause(): ControlAction {
    return this.#perform('pause', undefined, STOP_TIMEOUT_MS, () => {
      for (const lane of PAUSED_LANES) this.#host.queue?.lane(lane).pause()
      this.#host.gate.shut()
      return { cancelled: 0, stopping: undefined, forEver: true }
    })
  }

  resume(): ControlAction {
    return this.#perform('resume', undefined, STOP_TIMEOUT_MS, () => {
      for (const lane of PAUSED_LANES) this.#host.queue?.lane(lane).resume()
      this.#host.gate.open()
      return { cancelled: 0, stopping: [], forEver: false }
    })
  }

  cancel(options: CancelOptions = {}): ControlAction {
    const { scope, reason, stopTimeoutMs, id, lane } = checkedCancel(options)
    return this.#perform('cancel', scope, stopTimeoutMs, () => {
      const { commands, turns } = this.#host
      const error = cancelledError(reason)
      const asks: Asks = { scope, id, lane }
      const meant = [...commands.live].filter((command) => isMeant(command, asks))
      const wholeTurn = scope === 'turn' || scope === 'session'
      if (wholeTurn || scope === 'tools') this.#host.endToolCalls(error)
      let cancelled = wholeTurn ? this.#host.direct.cancel(error) : 0
      if (scope === 'queued' || scope === 'session') cancelled += turns.cancelWaiting(error)
      cancelled += this.#host.gate.refuse(error, (request) => isHeldFor(request, asks))
      for (const { run } of meant) if (run.cancel(reason)) cancelled++
      cancelled += this.#cancelStored(scope, lane, reason)
      // after its commands, which it would end too: each is counted
      if (wholeTurn) turns.cancelCurrent(error)
      return { cancelled, stopping: meant, forEver: false }
    })
  }

  /** What the process before has left waiting: nothing here knows it by its id. */
  #cancelStored(scope: CancelScope, lane: SessionLane | undefined, reason: unknown): number {
    const { queue } = this.#host
    if (queue?.storage === undefined || (scope !== 'queued' && scope !== 'session' && scope !== 'lane')) return 0
    const lanes = lane === undefined ? SESSION_LANES : [lane]
    return lanes.reduce((count, id) => count + queue.lane(id).clear(reason), 0)
  }

  /** Resolves when no body of these commands runs, or the limit has passed: then with what still runs. */
  async untilStopped(
    commands: readonly SessionCommand[] | undefined,
    limitMs: number,
    counts: (command: SessionCommand) => boolean = () => true,
  ): Promise<readonly SessionCommand[]> {
    const { commands: all, direct } = this.#host
    const running = (): SessionCommand[] =>
      [...(commands ?? all.live)].filter((one) => one.isRunning && one.request.kind !== 'control' && counts(one))
    const isOver = (): boolean =>
      running().length === 0 && (commands !== undefined || !(direct.isRunning || all.runsOthers))
    await this.#until(isOver, limitMs, true)
    return running()
  }

  /** Resolves when no call waits for the end of a pause. Rejects at the limit with `DRAIN_TIMEOUT`. */
  async untilNoneHeld(limitMs: number): Promise<void> {
    if (await this.#until(() => this.#host.gate.size === 0, limitMs)) return
    throw new LaneError('DRAIN_TIMEOUT', 'Drain timed out: the session is paused, and holds tool calls back')
  }

  /** Resolves when nothing waits for a slot, nothing runs and the turn is over, or the limit has passed; whether something is left. */
  async untilQuiet(limitMs: number): Promise<boolean> {
    const { queue, turns, direct, commands } = this.#host
    const isQuiet = (): boolean => {
      const { totalPending, totalActive, lanes } = queue?.stats() ?? { totalPending: 0, totalActive: 0, lanes: {} }
      const isPaused = Object.values(lanes).some(({ paused }) => paused)
      const isOver = (isPaused || totalPending === 0) && totalActive === 0 && commands.sharedCalls().length === 0
      return isOver && !turns.isBusy && !direct.isRunning
    }
    void turns.untilIdle().then(() => this.looked())
    return !(await this.#until(isQuiet, limitMs))
  }

  /** Whether it is so before the limit: asked now, and whenever something may have ended. */
  #until(isSo: () => boolean, limitMs: number, mayExit = false): Promise<boolean> {
    if (isSo()) return Promise.resolve(true)
    const { clock } = this.#host
    return new Promise((resolve) => {
      const look = (): void => {
        if (isSo()) end(true)
      }
      const end = (wasSo: boolean): void => {
        if (timer !== undefined) clock.clearTimer(timer)
        this.#waiting.delete(look)
        resolve(wasSo)
      }
      const timer =
        limitMs === Number.POSITIVE_INFINITY ? undefined : clock.setTimer(limitMs, () => end(false), mayExit)
      this.#waiting.add(look)
    })
  }

  #perform(
    action: ControlProof['action'],
    scope: CancelScope | undefined,
    limitMs: number,
    act: () => { cancelled: number; stopping: readonly SessionCommand[] | undefined; forEver: boolean },
  ): ControlAction {
    const { clock, events } = this.#host
    const asked: Asked = { id: newUuid(this.#host.random), action, scope }
    const since = clock.now()
    const requestedAt = instantText(clock.wallNow())
    events.emit('control_requested', { control_id: asked.id, action, ...(scope === undefined ? {} : { scope }) })
    let outcome: ReturnType<typeof act> | undefined
    const acknowledged = this.#inControlLane(action, () => {
      outcome = act()
      const afterMs = clock.now() - since
      events.emit('control_acknowledged', { control_id: asked.id, action, after_ms: afterMs })
      return { afterMs }
    })
    const proof = acknowledged.then(async ({ afterMs: acknowledgedAfterMs }) => {
      const { cancelled, stopping, forEver } = outcome as ReturnType<typeof act>
      const unstopped = (await this.untilStopped(stopping, forEver ? Number.POSITIVE_INFINITY : limitMs)).map(
        ({ run }) => run.id,
      )
      const proven = {
        id: asked.id,
        action,
        ...(scope === undefined ? {} : { scope }),
        requestedAt,
        acknowledgedAfterMs,
      }
      if (action === 'resume') return { ...proven, cancelled, unstopped }
      const afterMs = clock.now() - since
      events.emit('control_stopped', { control_id: asked.id, action, after_ms: afterMs, unstopped })
      return { ...proven, cancelled, unstopped, ...(unstopped.length === 0 ? { stoppedAfterMs: afterMs } : {}) }
    })
    proof.catch(() => undefined)
    return Object.assign(proof, { acknowledged })
  }

  /**
   * By the lane that nothing outranks. Where even that has no room at this moment (full, out of rate, no slot left of all
   * lanes, closing), without it: who asks to stop does not wait for what is to stop.
   */
  async #inControlLane<T>(type: string, act: () => T): Promise<T> {
    const { queue, commands } = this.#host
    if (queue === undefined || queue.isShuttingDown) return act()
    let outcome: { readonly value: T } | undefined
    const once = (): T => {
      outcome ??= { value: act() }
      return outcome.value
    }
    const run = commands.submit({ lane: 'control', type, payload: null, kind: 'control', local: () => void once() })
    run.then(undefined, () => undefined)
    // whatever has room starts one microtask after its submit
    for (let turn = 0; turn < 3; turn++) await Promise.resolve()
    if (outcome === undefined) run.cancel('it was done without its lane, which has no room')
    return once()
  }
}

type Asks = {
  readonly scope: CancelScope
  readonly id: string | undefined
  readonly lane: SessionLane | undefined
}

/** A call that waits for the end of a pause has not begun, and has no id yet. */
const isHeldFor = (request: CommandRequest, { scope, lane }: Asks): boolean =>
  scope === 'lane' ? request.lane === lane : scope !== 'command'

function isMeant(command: SessionCommand, { scope, id, lane }: Asks): boolean {
  const { request, run, isShared } = command
  const { kind } = request
  if (kind === 'control') return false
  if (scope === 'turn') return kind === 'tool' || kind === 'model'
  if (scope === 'tools') return kind === 'tool'
  // whether it has begun is not known here when an engine has it
  if (scope === 'queued') return !isShared && (run.state === 'pending' || run.state === 'delayed')
  if (scope === 'lane') return request.lane === lane
  return scope === 'command' ? run.id === id : true
}

function checkedCancel(options: CancelOptions): CancelOptions & { scope: CancelScope; stopTimeoutMs: number } {
  checkObject('cancel options', options)
  refuseUnknown('cancel', options, ['scope', 'id', 'lane', 'reason', 'stopTimeoutMs'])
  const { id, lane, reason, stopTimeoutMs = STOP_TIMEOUT_MS } = options
  const scope = options.scope ?? impliedScope(options)
  checkOneOf('cancel scope', scope, SCOPES)
  if (scope === 'command') checkText('cancel id', id)
  checkMs('cancel stopTimeoutMs', stopTimeoutMs, 0)
  return { scope, id, reason, stopTimeoutMs, lane: scope === 'lane' ? sessionLane('cancel lane', lane) : undefined }
}

function impliedScope({ id, lane }: CancelOptions): CancelScope {
  if (id !== undefined) return 'command'
  return lane === undefined ? 'turn' : 'lane'
}
