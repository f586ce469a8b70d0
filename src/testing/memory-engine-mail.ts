/**
 * What a `MemoryBroker` tells one of its engines. Messages of one moment are delivered together, a microtask or the
 * broker's latency later, in order; an engine that is cut off or has ended gets none.
 */
import type { Clock, EngineLane, EngineOutcome, EngineUse } from '../core/index.js'

/** What becomes of messages on their way. */
export type MailPath = {
  readonly clock: Clock
  readonly latencyMs: number
  /** Whether messages get through at all. */
  readonly isUp: () => boolean
  /** Whether those get through that an engine makes up for when they are lost. */
  readonly isLossy: () => boolean
}

type LaneChange = { readonly paused?: boolean; readonly lane?: EngineLane }

export class Mailbox {
  readonly instanceId: string
  /** The lanes of which `work` is told. */
  watched: ReadonlySet<string> = new Set()
  readonly #use: EngineUse
  readonly #path: MailPath
  #outcomes: EngineOutcome[] = []
  #others: (() => void)[] = []
  readonly #work = new Set<string>()
  #isUnderWay = false

  constructor(use: EngineUse, path: MailPath) {
    this.instanceId = use.instanceId
    this.#use = use
    this.#path = path
  }

  outcomes(outcomes: readonly EngineOutcome[]): void {
    if (this.#path.isLossy()) return
    this.#outcomes.push(...outcomes)
    this.#send()
  }

  progress(id: string, value: string): void {
    if (!this.#path.isLossy()) this.#sendOther(() => this.#use.onProgress(id, value))
  }

  cancel(id: string, reason: string): void {
    if (!this.#path.isLossy()) this.#sendOther(() => this.#use.onCancel(id, reason))
  }

  lane(laneId: string, change: LaneChange): void {
    this.#sendOther(() => this.#use.onLane(laneId, change))
  }

  /** `isUrgent`: also of a lane that is not watched. */
  work(laneId: string, isUrgent = false): void {
    if (!isUrgent && !this.watched.has(laneId)) return
    this.#work.add(laneId)
    this.#send()
  }

  #sendOther(deliver: () => void): void {
    this.#others.push(deliver)
    this.#send()
  }

  #send(): void {
    if (this.#isUnderWay) return
    this.#isUnderWay = true
    const { clock, latencyMs } = this.#path
    if (latencyMs > 0) clock.setTimer(latencyMs, () => this.#deliver())
    else queueMicrotask(() => this.#deliver())
  }

  #deliver(): void {
    this.#isUnderWay = false
    const [outcomes, others, work] = [this.#outcomes, this.#others, [...this.#work]]
    this.#outcomes = []
    this.#others = []
    this.#work.clear()
    if (!this.#path.isUp()) return
    for (const deliver of others) deliver()
    if (outcomes.length > 0) this.#use.onOutcomes(outcomes)
    for (const laneId of work) this.#use.onWork(laneId)
  }
}
