/** A command of a session: what was asked for, and what is known of it while it is live. */
import type { CommandRun, SubmitOptions } from '../core/index.js'
import type { LaneHandlerConfig } from './config-handler.js'
import type { ToolContext } from './context.js'
import type { SessionLane } from './lanes.js'

/** Runs here, in this process. */
export type LocalWork = (payload: unknown, context: ToolContext) => unknown

/** Who has made a command: the model (a tool, a call of the model itself), the program, or the session's own control. */
export type CommandKind = 'tool' | 'model' | 'direct' | 'control'

/** A command to be. */
export type CommandRequest = {
  readonly lane: SessionLane
  readonly type: string
  readonly payload: unknown
  readonly kind: CommandKind
  /** What runs here; undefined when that is for a worker outside. */
  readonly local: LocalWork | undefined
  readonly toolCallId?: string | undefined
  readonly options?: SubmitOptions | undefined
  /** How it is handled, when that was settled before. Default: as its lane's commands are at its submit. */
  readonly handler?: LaneHandlerConfig | undefined
  /** Its caller has brought the code: nobody else has it. */
  readonly isBrought?: boolean | undefined
}

/** A command of the session that has not settled, or whose body has not ended. */
export class SessionCommand {
  readonly request: CommandRequest
  readonly handler: LaneHandlerConfig
  readonly run: CommandRun
  /** Whether an engine has it: any process may run it. */
  readonly isShared: boolean
  /** Its id when it was submitted: a duplicate follows another command. */
  readonly id: string
  /** Bodies that run here: its own, those of calls made inside it, a timed-out one beside its retry. */
  bodies = 0
  /** Whether its caller was answered: it has an outcome, or nobody here will hear of it. */
  isOver = false

  constructor(request: CommandRequest, handler: LaneHandlerConfig, run: CommandRun, isShared: boolean) {
    this.request = request
    this.handler = handler
    this.run = run
    this.isShared = isShared
    this.id = run.id
  }

  /** Whether it runs, or may run where nobody here sees it. */
  get isRunning(): boolean {
    return this.bodies > 0 || this.isElsewhere
  }

  /** Whether another process has it or will. */
  get isElsewhere(): boolean {
    return this.isShared && this.bodies === 0 && !this.isOver
  }
}
