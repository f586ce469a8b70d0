/** Lanes as all processes know them: taken in, configured, paused, held; and wishes to cancel a command of one. */
import type { CancelAnswer, Clock, EngineLane, EngineUse, Timer } from '../core/index.js'
import { commandIdOf, foreignIdOf, jobIdOf } from './ids.js'
import { checkLimits, laneOfText, limitsConflict, limitsText } from './lane-limits.js'
import type { Announcement, Messages } from './messages.js'
import { cancelledOutcome } from './submit-answers.js'

/** A job that was cancelled while it waited, and who waits for it. */
type CancelledJob = {
  readonly laneId: string
  readonly jobId: string
  readonly replyTo: string
  readonly waiters: string
}

export type CancelReply = 'too_late' | 'requested' | CancelledJob

/** Which job is to be cancelled: of one lane, or of whichever has it. */
export type CancelQuestion = {
  readonly jobId: string
  readonly laneId: string | undefined
  readonly isForeign: boolean
  readonly reason: string
}

/** Where lanes are kept for all processes. */
export type LaneStore = {
  /** All or none. Gives what is known of lanes with other limits, by lane. */
  readonly open: (lanes: readonly EngineLane[], isForced: boolean) => Promise<ReadonlyMap<string, string>>
  readonly pause: (laneId: string, isPaused: boolean, announcement: Announcement) => Promise<void>
  readonly look: (laneIds: readonly string[]) => Promise<readonly LaneNews[]>
  readonly hold: (laneId: string, ms: number) => Promise<unknown>
  readonly cancel: (question: CancelQuestion) => Promise<CancelReply>
}

const LOOK_MS = 5000

export class Lanes {
  readonly #store: LaneStore
  readonly #messages: Messages
  readonly #use: EngineUse
  readonly #clock: Clock
  readonly #ids: Set<string>
  /** Limits of lanes as this process knows them: of the same ones there is nothing to tell. */
  readonly #limits = new Map<string, string>()
  #timer: Timer | undefined
  /** Changes of lanes that were begun here, ended here, or heard of. */
  #news = 0
  /** Changes that were begun here and have not ended. */
  #changing = 0

  constructor(store: LaneStore, messages: Messages, use: EngineUse, clock: Clock) {
    this.#store = store
    this.#messages = messages
    this.#use = use
    this.#clock = clock
    this.#ids = new Set(use.lanes.map(({ laneId }) => laneId))
  }

  get ids(): readonly string[] {
    return [...this.#ids]
  }

  /** Takes lanes in; limits that others have given are overwritten when `isForced`, else `CONFLICT`. */
  async takeIn(lanes: readonly EngineLane[], isForced: boolean): Promise<void> {
    for (const lane of lanes) checkLimits(lane)
    if (lanes.length === 0) return
    for (const lane of lanes) this.#limits.set(lane.laneId, limitsText(lane))
    const others = await this.#change(() => this.#store.open(lanes, isForced)).catch((error: unknown) => {
      // nobody knows which hold: the next look tells
      for (const { laneId } of lanes) this.#limits.delete(laneId)
      throw error
    })
    const first = lanes.find(({ laneId }) => others.has(laneId))
    if (first !== undefined && !isForced) throw limitsConflict(first, others.get(first.laneId) as string)
    for (const lane of lanes) this.#ids.add(lane.laneId)
  }

  async pause(laneId: string, isPaused: boolean): Promise<void> {
    const announcement: Announcement = { kind: 'lane', laneId, isPaused }
    await this.#change(() => this.#store.pause(laneId, isPaused, announcement))
  }

  async #change<T>(change: () => Promise<T>): Promise<T> {
    this.#changing++
    this.#news++
    try {
      return await change()
    } finally {
      this.#changing--
      this.#news++
    }
  }

  /** Looks each 5 s: what was said may be lost, and other programs resume a lane without a word. */
  start(): void {
    this.#timer = this.#clock.setTimer(
      LOOK_MS,
      () => {
        this.look()
        this.start()
      },
      true,
    )
  }

  close(): void {
    if (this.#timer !== undefined) this.#clock.clearTimer(this.#timer)
  }

  /** Tells how the lanes are now, unless there is news of them meanwhile: then the next look does. */
  look(): void {
    const before = this.#news
    this.#store
      .look(this.ids)
      .then(
        (found) => {
          if (this.#news === before && this.#changing === 0) for (const one of found) this.#tell(one)
        },
        // the server is away: when it is back it is looked again
        () => undefined,
      )
      .catch((error: unknown) => this.#use.onFault(error))
  }

  async hold(laneId: string, ms: number): Promise<void> {
    await this.#store.hold(laneId, Math.max(1, Math.ceil(ms)))
  }

  async cancel(id: string, given: string | undefined, reason: string): Promise<CancelAnswer> {
    const foreign = this.ids.find((candidate) => id.startsWith(foreignIdOf('', candidate)))
    const laneId = foreign ?? given
    const isForeign = foreign !== undefined
    const reply = await this.#store.cancel({ jobId: jobIdOf(id, laneId ?? ''), laneId, isForeign, reason })
    if (reply === 'too_late') return reply
    if (reply === 'requested') {
      this.#messages.announce({ kind: 'cancel', id, reason })
      return reply
    }
    const command = isForeign ? foreignIdOf(reply.jobId, reply.laneId) : commandIdOf(reply.jobId)
    this.#messages.outcome(reply.replyTo, reply.waiters, cancelledOutcome(command, reply.laneId, reason))
    return 'cancelled'
  }

  /** Some process has changed a lane. */
  changed(news: LaneNews): void {
    this.#news++
    this.#tell(news)
  }

  #tell({ laneId, isPaused, limits }: LaneNews): void {
    if (!this.#ids.has(laneId)) return
    const isKnown = limits === undefined || limits === this.#limits.get(laneId)
    if (!isKnown) this.#limits.set(laneId, limits)
    this.#use.onLane(laneId, {
      ...(isPaused === undefined ? {} : { paused: isPaused }),
      ...(isKnown ? {} : { lane: laneOfText(laneId, limits) }),
    })
  }
}

/** What is told of a lane. */
export type LaneNews = Omit<Extract<Announcement, { kind: 'lane' }>, 'kind'>
