/** What the commands of the torture do, and what they write into the history while they do it. */
import { type CommandContext, type QueueManager, snooze } from '@a3s-lab/lane'
import type { Points } from './armed-storage.js'
import { type BodyEnd, type History, hashOf } from './history.js'
import { COMMAND_TYPES, type Payload, resultOf } from './torture-plan.js'

/** What a process knows of the commands it has met. */
export type Acquaintance = {
  /** The name of each, by its id. */
  readonly names: Map<string, string>
  /** The attempt that ended last, by name. */
  readonly ended: Map<string, number>
}

export function handleAll(queue: QueueManager, history: History, points: Points, known: Acquaintance): void {
  for (const type of COMMAND_TYPES)
    queue.handle(type, (payload, context) => new Body(history, points, known, payload as Payload, context).run())
}

class Body {
  readonly #history: History
  readonly #points: Points
  readonly #known: Acquaintance
  readonly #payload: Payload
  readonly #context: CommandContext
  readonly #facts: { readonly command: string; readonly attempt: number; readonly lane: string }

  constructor(history: History, points: Points, known: Acquaintance, payload: Payload, context: CommandContext) {
    this.#history = history
    this.#points = points
    this.#known = known
    this.#payload = payload
    this.#context = context
    this.#facts = { command: payload.name, attempt: context.attempt, lane: context.laneId }
    known.names.set(context.id, payload.name)
  }

  async run(): Promise<unknown> {
    const { id, attempt } = this.#context
    this.#add('start', { id, token: attempt, hash: hashOf(this.#payload) })
    this.#points.pass('body')
    try {
      const value = await this.#work()
      this.#end(isSnooze(value) ? 'snoozed' : 'value', value)
      return value
    } catch (error) {
      this.#end(this.#context.signal.aborted ? abortedAs(this.#context.signal.reason) : 'failed', undefined)
      throw error
    }
  }

  async #work(): Promise<unknown> {
    const { type, failures, stepMs } = this.#payload
    if (type === 'poison') process.kill(process.pid, 'SIGKILL')
    if (type === 'snoozy' && this.#context.attempt === 1) return snooze(15)
    if (type === 'steps') await this.#takeSteps()
    else if (stepMs > 0) await this.#pause(stepMs)
    this.#add('effect', {})
    if (type === 'doomed' || this.#context.attempt <= failures) throw new Error(`${this.#payload.name} fails`)
    return resultOf(this.#payload)
  }

  async #takeSteps(): Promise<void> {
    const { restored, attempt } = this.#context
    this.#add('restore', restored === undefined ? {} : { hash: hashOf(restored) })
    for (let step = stepOf(restored) + 1; step <= this.#payload.steps; step++) {
      await this.#pause(this.#payload.stepMs)
      const hash = hashOf({ step, attempt })
      this.#add('checkpoint', { hash }, 'invoke')
      this.#points.pass('checkpointing')
      await this.#context.checkpoint({ step, attempt })
      this.#points.pass('checkpointed')
      this.#add('checkpoint', { hash })
    }
  }

  /** Waits; ends early, with its reason, when the attempt is to stop. */
  #pause(ms: number): Promise<void> {
    const { signal } = this.#context
    return new Promise((resolve, reject) => {
      const stop = (): void => {
        clearTimeout(timer)
        reject(signal.reason)
      }
      const timer = setTimeout(() => {
        signal.removeEventListener('abort', stop)
        resolve()
      }, ms)
      if (signal.aborted) stop()
      else signal.addEventListener('abort', stop, { once: true })
    })
  }

  #end(end: BodyEnd, value: unknown): void {
    this.#known.ended.set(this.#payload.name, this.#context.attempt)
    this.#add('end', end === 'value' ? { end, hash: hashOf(value) } : { end })
  }

  #add(op: Parameters<History['add']>[0], rest: object, kind: Parameters<History['add']>[1] = 'ok'): void {
    this.#history.add(op, kind, { ...this.#facts, ...rest })
  }
}

const stepOf = (restored: unknown): number => (restored as { readonly step: number } | undefined)?.step ?? 0

/** An outcome is no value. */
const isSnooze = (value: unknown): boolean => !(typeof value === 'object' && value !== null && 'ok' in value)

function abortedAs(reason: unknown): BodyEnd {
  const { code } = reason as { readonly code?: string }
  if (code === 'COMMAND_PREEMPTED') return 'preempted'
  if (code === 'LEASE_LOST') return 'lost'
  return code === 'COMMAND_TIMEOUT' ? 'timed_out' : 'discarded'
}
