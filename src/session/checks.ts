/**
 * What is asked before a tool call may be queued, in this order: is it well formed, does a hook block it, does the policy
 * allow it, does somebody confirm it. A call that is refused gets its text as its result and never reaches the queue.
 */
import {
  type Clock,
  checkMs,
  checkObject,
  checkOneOf,
  configInvalid,
  errorText,
  formatDuration,
  refuseUnknown,
} from '../core/index.js'
import type { SessionEvents } from './event-stream.js'
import { laneForTool, type SessionLane, sessionLane } from './lanes.js'
import {
  type CheckedCall,
  checkedDecision,
  type PermissionCheck,
  type PermissionDecision,
  type PermissionPolicy,
  permissionCheck,
} from './permissions.js'
import type { ToolCall, ToolResult } from './tool-call.js'

/** What a person, or a program for them, answers. */
export type Confirmation = { readonly approved: boolean; readonly reason?: string | undefined }

/** What is asked; `signal` aborts when nobody waits for the answer any more. */
export type ConfirmationRequest = CheckedCall & { readonly timeoutMs: number; readonly signal: AbortSignal }

/** Asks somebody. */
export type ConfirmHandler = (request: ConfirmationRequest) => boolean | Confirmation | Promise<boolean | Confirmation>

/** Who confirms what the policy asks about. */
export type ConfirmOptions = {
  /** Without one the answer comes by `session.confirmToolCall`, as after `confirmation_required`. */
  readonly handler?: ConfirmHandler | undefined
  /** How long to wait for an answer, in milliseconds. Default 30,000. */
  readonly timeoutMs?: number | undefined
  /** What no answer means. Default 'reject'. */
  readonly onTimeout?: 'reject' | 'auto_approve' | undefined
  /** Lanes whose tools are never asked about ("YOLO lanes"). */
  readonly yoloLanes?: readonly string[] | undefined
}

/** Looks at every tool call. */
export type ToolHooks = {
  /** Before the policy is asked. `{ block }` refuses the call with that reason; so does a throw. */
  readonly preToolUse?: ((call: CheckedCall) => HookAnswer | Promise<HookAnswer>) | undefined
  /** After a tool has run. What it throws is a fault of its own; the result stands. */
  readonly postToolUse?: ((call: CheckedCall, result: ToolResult) => void | Promise<void>) | undefined
}

type HookAnswer = { readonly block: string } | undefined

/** The options of a session that checks are made from. */
export type CheckOptions = {
  /** Which tools may run. Default: every one, since the program that makes the calls is the one to know. */
  readonly permissions?: PermissionPolicy | PermissionCheck | undefined
  /** Allows every tool without asking, whatever `permissions` says. Default false. */
  readonly permissive?: boolean | undefined
  readonly confirm?: ConfirmHandler | ConfirmOptions | undefined
  readonly hooks?: ToolHooks | undefined
}

/** What becomes of a call: it may run, or why not. */
export type Verdict = { readonly call: CheckedCall } | { readonly refused: string }

type Waiting = { readonly answer: (confirmation: Confirmation) => void; readonly end: (error: Error) => void }

type Checks = {
  readonly permissions: PermissionCheck | undefined
  readonly confirm:
    | (ConfirmOptions & { readonly timeoutMs: number; readonly yolo: ReadonlySet<SessionLane> })
    | undefined
  readonly hooks: ToolHooks
}

const CONFIRM_TIMEOUT_MS = 30_000

export class ToolChecks {
  readonly #checks: Checks
  readonly #clock: Clock
  readonly #events: SessionEvents
  /** Confirmations that somebody may still answer, by tool call id. */
  readonly #waiting = new Map<string, Set<Waiting>>()

  constructor(options: CheckOptions, clock: Clock, events: SessionEvents) {
    this.#checks = checksOf(options)
    this.#clock = clock
    this.#events = events
  }

  /** Whether anything has to be asked of a well-formed call. */
  get areFree(): boolean {
    return this.#checks.permissions === undefined && this.#checks.hooks.preToolUse === undefined
  }

  /** A well-formed call that nothing has to be asked about; undefined for any other. */
  free(raw: ToolCall): CheckedCall | undefined {
    const call = this.areFree ? wellFormed(raw) : undefined
    return typeof call === 'object' ? call : undefined
  }

  get postToolUse(): ToolHooks['postToolUse'] {
    return this.#checks.hooks.postToolUse
  }

  /** Never rejects, except with the signal's reason when the turn ends meanwhile. */
  async ask(raw: ToolCall, signal: AbortSignal | undefined): Promise<Verdict> {
    const call = wellFormed(raw)
    if (typeof call === 'string') return { refused: call }
    if (this.areFree) return { call }
    const blocked = await this.#blockedBy(call)
    if (blocked !== undefined) return this.#denied(call, blocked, `Permission denied: ${blocked}`)
    signal?.throwIfAborted()
    const decision = await this.#decide(call)
    if (decision === 'allow') return { call }
    const { name } = call
    if (decision === 'deny') {
      const text = `Permission denied: Tool '${name}' is blocked by permission policy.`
      return this.#denied(call, text, text)
    }
    const { confirm } = this.#checks
    if (confirm?.yolo.has(call.lane) === true) return { call }
    if (confirm !== undefined) return this.#confirmed(call, confirm, signal)
    const text =
      `Permission denied: Tool '${name}' needs confirmation, and nobody can confirm it. ` +
      'Allow it with permissive: true, with a permission policy, or with a confirmation handler.'
    return this.#denied(call, text, text)
  }

  /** Answers what was asked with `confirmation_required`; false when nobody waits for it. */
  answer(toolId: string, confirmation: Confirmation): boolean {
    const waiting = this.#waiting.get(toolId)
    if (waiting === undefined) return false
    for (const { answer } of [...waiting]) answer(confirmation)
    return true
  }

  /** Nobody waits for a confirmation any more. */
  endAll(error: Error): void {
    for (const waiting of [...this.#waiting.values()].flatMap((some) => [...some])) waiting.end(error)
  }

  async #blockedBy(call: CheckedCall): Promise<string | undefined> {
    try {
      const answer = await this.#checks.hooks.preToolUse?.(call)
      return typeof answer === 'object' && answer !== null ? answer.block : undefined
    } catch (error) {
      // a guard that fails guards
      return errorText(error)
    }
  }

  async #decide(call: CheckedCall): Promise<PermissionDecision> {
    const { permissions } = this.#checks
    if (permissions === undefined) return 'allow'
    try {
      return checkedDecision(await permissions(call))
    } catch {
      return 'deny'
    }
  }

  #denied({ id, name, args }: CheckedCall, reason: string, text: string): Verdict {
    this.#events.emit('permission_denied', { tool_id: id, tool_name: name, args, reason })
    return { refused: text }
  }

  async #confirmed(
    call: CheckedCall,
    confirm: NonNullable<Checks['confirm']>,
    signal: AbortSignal | undefined,
  ): Promise<Verdict> {
    const { id, name, args } = call
    const { timeoutMs } = confirm
    const answered = this.#answerTo(call, confirm, signal)
    this.#events.emit('confirmation_required', { tool_id: id, tool_name: name, args, timeout_ms: timeoutMs })
    const answer = await answered
    if (answer !== undefined) {
      const { approved, reason } = answer
      this.#events.emit('confirmation_received', { tool_id: id, approved, ...(reason === undefined ? {} : { reason }) })
      return approved
        ? { call }
        : { refused: `Tool '${name}' was rejected${reason === undefined ? '' : `: ${reason}`}` }
    }
    const isApproved = confirm.onTimeout === 'auto_approve'
    this.#events.emit('confirmation_timeout', { tool_id: id, action_taken: isApproved ? 'auto_approved' : 'rejected' })
    if (isApproved) return { call }
    return { refused: `Tool '${name}' was not confirmed within ${formatDuration(timeoutMs)}, so it did not run` }
  }

  /** The first answer, by the handler or from outside; undefined when none came in time. */
  #answerTo(
    call: CheckedCall,
    { handler, timeoutMs }: ConfirmOptions & { readonly timeoutMs: number },
    signal: AbortSignal | undefined,
  ): Promise<Confirmation | undefined> {
    const controller = new AbortController()
    return new Promise<Confirmation | undefined>((resolve, reject) => {
      const end = (): void => {
        this.#clock.clearTimer(timer)
        signal?.removeEventListener('abort', onAbort)
        const others = this.#waiting.get(call.id)
        others?.delete(waiting)
        if (others?.size === 0) this.#waiting.delete(call.id)
        controller.abort()
      }
      const answer = (confirmation: Confirmation | undefined): void => {
        end()
        resolve(confirmation)
      }
      const stop = (error: unknown): void => {
        end()
        reject(error)
      }
      const onAbort = (): void => stop(signal?.reason)
      const waiting: Waiting = { answer, end: stop }
      const timer = this.#clock.setTimer(timeoutMs, () => answer(undefined))
      const waitingFor = this.#waiting.get(call.id) ?? new Set()
      this.#waiting.set(call.id, waitingFor.add(waiting))
      if (signal?.aborted === true) return onAbort()
      signal?.addEventListener('abort', onAbort, { once: true })
      if (handler === undefined) return
      void Promise.resolve()
        .then(() => handler({ ...call, timeoutMs, signal: controller.signal }))
        .then((given) => answer(checkedConfirmation(given)))
        .catch((error: unknown) => answer({ approved: false, reason: errorText(error) }))
    })
  }
}

function checkedConfirmation(given: unknown): Confirmation {
  if (typeof given === 'boolean') return { approved: given }
  const { approved, reason } = new Object(given) as { approved?: unknown; reason?: unknown }
  if (typeof approved !== 'boolean') throw configInvalid('confirm answer', 'true, false or { approved, reason }', given)
  return { approved, ...(typeof reason === 'string' ? { reason } : {}) }
}

/** What is wrong with a call, or the call. */
function wellFormed({ id, name, args = {} }: ToolCall): CheckedCall | string {
  if (typeof args !== 'object' || args === null || Array.isArray(args)) {
    return `Invalid arguments for tool '${name}': an object is expected, got ${typeof args === 'string' ? 'text' : JSON.stringify(args)}`
  }
  return { id, name, args: args as Record<string, unknown>, lane: laneForTool(name) }
}

function checksOf({ permissions, permissive, confirm, hooks = {} }: CheckOptions): Checks {
  if (permissive !== undefined && typeof permissive !== 'boolean')
    throw configInvalid('permissive', 'true or false', permissive)
  checkObject('hooks', hooks)
  refuseUnknown('hooks', hooks, ['preToolUse', 'postToolUse'])
  for (const [name, hook] of Object.entries(hooks)) {
    if (hook !== undefined && typeof hook !== 'function') throw configInvalid(`hooks.${name}`, 'a function', hook)
  }
  const check = permissions === undefined ? undefined : permissionCheck(permissions)
  return { permissions: permissive === true ? undefined : check, confirm: confirmOf(confirm), hooks }
}

function confirmOf(confirm: CheckOptions['confirm']): Checks['confirm'] {
  if (confirm === undefined) return undefined
  if (typeof confirm === 'function') return { handler: confirm, timeoutMs: CONFIRM_TIMEOUT_MS, yolo: new Set() }
  checkObject('confirm', confirm)
  refuseUnknown('confirm', confirm, ['handler', 'timeoutMs', 'onTimeout', 'yoloLanes'])
  const { handler, timeoutMs = CONFIRM_TIMEOUT_MS, onTimeout = 'reject', yoloLanes = [] } = confirm
  if (handler !== undefined && typeof handler !== 'function')
    throw configInvalid('confirm.handler', 'a function', handler)
  checkMs('confirm.timeoutMs', timeoutMs, 'above 0')
  checkOneOf('confirm.onTimeout', onTimeout, ['reject', 'auto_approve'])
  if (!Array.isArray(yoloLanes)) throw configInvalid('confirm.yoloLanes', 'a list of lanes', yoloLanes)
  const yolo = new Set(yoloLanes.map((lane: unknown) => sessionLane('confirm.yoloLanes', lane)))
  return { handler, timeoutMs, onTimeout, yolo }
}
