/**
 * What happened on a stage, as seen from outside: bodies, events, answers, faults. It judges at once what must never be
 * (too many bodies, a command beside itself), and keeps the rest for the end.
 */
import type { CommandContext, CommandRun, LaneEvent, QueueManager } from '@a3s-lab/lane'
import type { Calls } from './calls.js'
import type { Lanes, StageBody } from './stage.js'

/** A run that a submit gave, and what it settled with. */
export type NotedRun = { readonly run: CommandRun; wasRefused: boolean; answer: Answer | undefined }

/** Not a promise, but something like one. */
export class Thenable {
  readonly value: unknown
  // biome-ignore lint/suspicious/noThenProperty: being thenable is its purpose
  readonly then: (resolve: (value: unknown) => void) => void

  constructor(value: unknown, then: (resolve: (value: unknown) => void) => void) {
    this.value = value
    // biome-ignore lint/suspicious/noThenProperty: being thenable is its purpose
    this.then = then
  }
}

export type Answer = { readonly value: unknown } | { readonly error: unknown }

export class Ledger {
  readonly violations: string[] = []
  readonly runs = new Map<CommandRun, NotedRun>()
  /** What `onFault` was told. */
  readonly faults: unknown[] = []
  /** Errors that nobody caught: thrown out of a timer, or unhandled rejections. */
  readonly escaped: unknown[] = []
  /** Keys of a command's events, without their prefix, in order. */
  readonly trails = new Map<string, string[]>()
  readonly keys = new Set<string>()
  /** Calls of the script that have not come back. */
  readonly openCalls = new Set<string>()
  /** The planted fault came back to a caller. */
  hasSurfaced = false
  readonly #calls: Calls
  readonly #bodies = new Map<CommandContext, StageBody>()
  readonly #results = new Map<string, unknown[]>()
  readonly #most = new Map<string, number>()
  #cap = Number.POSITIVE_INFINITY
  #queue: QueueManager | undefined

  constructor(calls: Calls) {
    this.#calls = calls
  }

  watch(queue: QueueManager, lanes: Lanes, cap = Number.POSITIVE_INFINITY): void {
    this.#queue = queue
    this.#cap = cap
    for (const [id, { maxConcurrency = 4 }] of Object.entries(lanes)) this.#most.set(id, maxConcurrency)
    // asked when it happens, so nothing can be lost
    queue.subscribeFiltered((event) => {
      this.#see(event)
      return false
    })
  }

  /** A lane may run so many from now on, too. */
  allow(laneId: string, most: number): void {
    this.#most.set(laneId, Math.max(most, this.#most.get(laneId) ?? 0))
  }

  note(run: CommandRun): void {
    if (this.runs.has(run)) return
    const noted: NotedRun = { run, wasRefused: false, answer: undefined }
    this.runs.set(run, noted)
    run.accepted.catch(() => {
      noted.wasRefused = true
    })
    run.then(
      (value) => this.#answered(noted, { value }),
      (error: unknown) => this.#answered(noted, { error }),
    )
  }

  /** A caller was thrown something. It is the planted fault, came of it, or is an error of ours that the script provokes. */
  caught(error: unknown): void {
    if (this.#calls.isPlanted(error)) this.hasSurfaced = true
    else if (!isOurs(error)) this.violations.push(`thrown to a caller: ${String(error)}`)
  }

  entered(body: StageBody, context: CommandContext): void {
    const twin = this.bodies.find(({ id }) => id === body.id)
    if (twin !== undefined) this.violations.push(`I28: '${body.id}' runs beside itself`)
    this.#bodies.set(context, body)
    this.#judgeLimits()
  }

  left(body: StageBody): void {
    for (const [context, one] of this.#bodies) if (one === body) this.#bodies.delete(context)
  }

  returned({ id }: StageBody, value: unknown): unknown {
    this.#results.set(id, [...(this.#results.get(id) ?? []), value])
    return value
  }

  /** Whether some body of the command gave this value, or something thenable that stands for it. */
  hasReturned(id: string, value: unknown): boolean {
    const results = this.#results.get(id) ?? []
    return results.some((result) => result === value || (result instanceof Thenable && result.value === value))
  }

  bodyOf(context: CommandContext): StageBody | undefined {
    return this.#bodies.get(context)
  }

  get bodies(): StageBody[] {
    return [...this.#bodies.values()]
  }

  /** A reader got an event. */
  read({ key }: LaneEvent): void {
    this.keys.add(key)
  }

  #answered(noted: NotedRun, answer: Answer): void {
    if (noted.answer !== undefined) this.violations.push(`I9: '${noted.run.id}' was answered twice`)
    noted.answer = answer
    if ('error' in answer && this.#calls.isPlanted(answer.error)) this.hasSurfaced = true
  }

  #see({ key, payload }: LaneEvent): void {
    this.keys.add(key)
    const { command_id: id, error } = (payload ?? {}) as { command_id?: string; error?: string }
    if (key === 'queue.fault' && error === this.#calls.error.message) this.hasSurfaced = true
    if (id === undefined) return
    // told of a body that was given up: what it still does is nobody's any more
    if (key === 'queue.fault' && error?.endsWith('its slot was freed') === true) this.#forget(id)
    if (!key.startsWith('queue.command.')) return
    const trail = this.trails.get(id)
    if (trail === undefined) this.trails.set(id, [key.slice('queue.command.'.length)])
    else trail.push(key.slice('queue.command.'.length))
  }

  #forget(id: string): void {
    for (const [context, body] of this.#bodies) if (body.id === id) this.#bodies.delete(context)
  }

  /** I1 and I2, by the bodies that are in and do not wait. */
  #judgeLimits(): void {
    const busy = this.bodies.filter(({ idle }) => idle === 0)
    if (busy.length > this.#cap) this.violations.push(`I2: ${busy.length} bodies run at once`)
    const slots = this.#queue?.stats()
    for (const [laneId, most] of this.#most) {
      const count = busy.filter((body) => body.laneId === laneId).length
      if (count > most) this.violations.push(`I1: ${count} bodies of '${laneId}' run at once`)
      const held = slots?.lanes[laneId]?.slots ?? 0
      if (held > most) this.violations.push(`I1: '${laneId}' says that it holds ${held} slots`)
    }
  }
}

const isOurs = (error: unknown): boolean => error instanceof Error && error.name === 'LaneError'
