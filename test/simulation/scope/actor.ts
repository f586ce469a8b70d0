/** One command of a small scope and its bodies, as they are seen from outside: each body does what it is told. */
import type { CommandContext, CommandRun, CommandState } from '@a3s-lab/lane'
import type { CommandSpec, Setting } from './setting.js'

/** Where a waiting command stands in its lane. */
export type Place = 'arrival' | 'preempted' | 'yielded'

export type SmallBody = {
  readonly context: CommandContext
  /** Order of its start among all. */
  readonly number: number
  /** What it returns when it is told to. */
  readonly token: string
  readonly work: Promise<unknown>
  readonly resolve: (value: unknown) => void
  readonly reject: (error: unknown) => void
  /** Another body of the command that is in. */
  readonly twin: SmallBody | undefined
  isIn: boolean
  /** It waits in `ctx.yield`. */
  isYielding: boolean
  /** It was given up: its slot is another's. */
  isAbandoned: boolean
  /** Cancelled inside `ctx.yield` it goes on without a slot. */
  isSlotless: boolean
  abortCode: string | undefined
  askedAt: number
  takerId: string | undefined
  /** It was asked for its slot, and did not hear for too long. */
  wasReported: boolean
}

const FINAL: readonly CommandState[] = ['completed', 'failed', 'timed_out', 'cancelled']

export const isFinal = (state: CommandState): boolean => FINAL.includes(state)

export class Actor {
  readonly n: number
  readonly spec: CommandSpec
  readonly maxRetries: number
  readonly timeoutMs: number
  run: CommandRun | undefined
  arrival = 0
  place: Place = 'arrival'
  /** Where it stood before it started last. */
  startedFrom: Place = 'arrival'
  attempt = 0
  retries = 0
  body: SmallBody | undefined
  savesLeft: number
  yieldsLeft: number
  snoozesLeft: number
  dueAt = -1
  /** When its body took its slot, in order among all such takings. */
  taken = 0
  /** Since when its body holds its slot, and for how long it did before. */
  since = -1
  usedMs = 0
  zombieSince = -1
  cancelCalled = false
  readonly answers: string[] = []
  readonly violations: string[] = []
  /** Checkpoints whose promise resolved or was rejected as one that is to stop, and those begun. */
  saved = 0
  #begun = 0
  #mustResume = false

  constructor(n: number, spec: CommandSpec, { lanes, saves = 0, yields = 0, snoozes = 0 }: Setting) {
    this.n = n
    this.spec = spec
    this.maxRetries = lanes[spec.laneId]?.retry?.maxRetries ?? 0
    this.timeoutMs = lanes[spec.laneId]?.timeoutMs ?? Number.POSITIVE_INFINITY
    this.savesLeft = saves
    this.yieldsLeft = yields
    this.snoozesLeft = snoozes
  }

  get state(): CommandState | undefined {
    return this.run?.state
  }

  get isPending(): boolean {
    return this.state === 'pending'
  }

  /** Whether its body holds a place of its lane and of the queue. */
  get holdsSlot(): boolean {
    const { body } = this
    if (body === undefined || !body.isIn || body.isAbandoned || body.isSlotless) return false
    return !(body.isYielding && this.isPending)
  }

  /** For how long its attempt has held a slot. */
  usedAt(now: number): number {
    return this.state === 'active' ? this.usedMs + now - this.since : this.usedMs
  }

  /** Whether its body goes on although the attempt is over. */
  get isZombie(): boolean {
    return this.holdsSlot && this.state !== 'active'
  }

  moved(from: CommandState, to: CommandState, now: number): void {
    const { body } = this
    if (from === 'active') this.usedMs += now - this.since
    if (to === 'active') this.since = now
    if (to === 'pending' && from === 'active') this.place = body?.isYielding === true ? 'yielded' : 'preempted'
    if (to === 'pending' && from === 'delayed') this.place = 'arrival'
    if (to === 'pending') this.dueAt = -1
    if (from === 'active' && to !== 'pending' && body?.isIn === true) this.zombieSince = now
    if (isFinal(to) && from === 'pending' && body?.isYielding === true) body.isSlotless = true
  }

  /** An event about it. */
  saw(name: string, now: number): void {
    if (name === 'started') {
      this.startedFrom = this.place
      this.#mustResume = this.place === 'preempted'
      if (!this.#mustResume) {
        this.attempt++
        this.usedMs = 0
      }
      this.place = 'arrival'
      this.zombieSince = -1
    } else if (name === 'resumed') {
      if (!this.#mustResume) this.violations.push(`I25: c${this.n} was resumed without having been preempted`)
      this.#mustResume = false
    } else if (name === 'retry') {
      this.dueAt = now + 30
      if (++this.retries > this.maxRetries) this.violations.push(`I10: c${this.n} was retried ${this.retries} times`)
    } else if (name === 'delayed' && this.body !== undefined) this.dueAt = now + 40
  }

  /** A body begins. */
  enters(context: CommandContext, number: number): SmallBody {
    const before = this.body
    const twin = before?.isIn === true && !before.isAbandoned ? before : undefined
    let resolve: (value: unknown) => void = () => undefined
    let reject: (error: unknown) => void = () => undefined
    const work = new Promise((onValue, onError) => {
      resolve = onValue
      reject = onError
    })
    const token = `c${this.n}#${context.attempt}.${number}`
    const asked = { abortCode: undefined, askedAt: -1, takerId: undefined, wasReported: false }
    const alive = { isIn: true, isYielding: false, isAbandoned: false, isSlotless: false }
    const body: SmallBody = { context, number, token, work, resolve, reject, twin, ...alive, ...asked }
    this.body = body
    return body
  }

  judgeEntry({ context }: SmallBody): string[] {
    const violations: string[] = []
    const restored = (context.restored as { n: number } | undefined)?.n ?? 0
    if (context.attempt !== this.attempt) {
      violations.push(`I10: c${this.n} runs as attempt ${context.attempt}, expected ${this.attempt}`)
    }
    if (this.#mustResume) violations.push(`I25: c${this.n} goes on and was not announced as resumed`)
    if (restored < this.saved || restored > this.#begun) {
      violations.push(`I26: c${this.n} was given checkpoint ${restored} after ${this.saved}`)
    }
    return violations
  }

  answered(text: string): void {
    this.answers.push(text)
  }

  cancel(): void {
    this.cancelCalled = true
    if (this.run?.cancel('told to') !== true) this.violations.push(`I18: c${this.n} could not be cancelled`)
  }

  yields(): void {
    const body = this.body as SmallBody
    this.yieldsLeft--
    body.isYielding = true
    body.context.yield().then(
      () => {
        body.isYielding = false
        if (body.abortCode !== undefined && body.abortCode !== 'COMMAND_PREEMPTED') {
          this.violations.push(`I30: the yield of c${this.n} went on after ${body.abortCode}`)
        }
      },
      (reason: unknown) => {
        body.isYielding = false
        const code = (reason as { code?: unknown }).code
        if (code !== body.abortCode)
          this.violations.push(`I30: c${this.n} yields and hears ${String(code)}, not ${String(body.abortCode)}`)
      },
    )
  }

  saves(): void {
    const { context, abortCode } = this.body as SmallBody
    const n = ++this.#begun
    this.savesLeft--
    context.checkpoint({ n }).then(
      () => {
        this.saved = n
        if (abortCode !== undefined) this.violations.push(`I30: a checkpoint of c${this.n} resolved after ${abortCode}`)
      },
      () => {
        if (abortCode === undefined) this.violations.push(`I26: a checkpoint of c${this.n} was refused`)
        if (abortCode === 'COMMAND_PREEMPTED') this.saved = n
      },
    )
  }

  /** Its body is told to stop. */
  aborted(code: string): void {
    if (this.body !== undefined) this.body.abortCode = code
    if (code !== 'COMMAND_TIMEOUT' || this.usedMs === this.timeoutMs) return
    this.violations.push(`I12: c${this.n} timed out after ${this.usedMs} ms of ${this.timeoutMs}`)
  }

  /** Its zombie was given up. */
  abandoned(): void {
    if (this.body !== undefined) this.body.isAbandoned = true
  }

  wasReported(): void {
    if (this.body !== undefined) this.body.wasReported = true
  }
}
