/**
 * Looks for outcomes whose message was lost: every 5 s for what is awaited since the look before, and at once when the
 * connection that listens has come back. A command that is nowhere any more will have no outcome: whoever waits is told
 * so, after two looks.
 */
import { type Clock, type EngineOutcome, type EngineUse, LaneError, type Timer } from '../core/index.js'
import { type JobFields, outcomeOf } from './job-form.js'

const LOOK_MS = 5000
/** At most so many are asked about at once, */
const CHUNK = 1000
/** and so many in one look: the next one goes on from there. */
const MOST = 5000
/** What is asked about of each. */
export const LOST_FIELDS = [
  'name',
  'finishedOn',
  'returnvalue',
  'failedReason',
  'laneState',
  'laneError',
  'laneBareResult',
] as const

/** Where commands are looked for. */
export type Commands = {
  readonly isUp: boolean
  /** At least `LOST_FIELDS` of each, in their order; nothing of one that is not there. */
  readonly lookUp: (commands: readonly Awaited[]) => Promise<readonly JobFields[]>
}

export type Awaited = { readonly id: string; readonly laneId: string }

export class LostOutcomes {
  readonly #commands: Commands
  readonly #use: EngineUse
  readonly #clock: Clock
  #timer: Timer | undefined
  /** What was awaited at the look before. */
  #known = new Set<string>()
  /** What was nowhere when it was last looked for. */
  readonly #missing = new Set<string>()
  #from = 0
  #isLooking = false
  #isClosed = false

  constructor(commands: Commands, use: EngineUse, clock: Clock) {
    this.#commands = commands
    this.#use = use
    this.#clock = clock
  }

  start(): void {
    this.#timer = this.#clock.setTimer(
      LOOK_MS,
      () => {
        this.#look(false)
        this.start()
      },
      true,
    )
  }

  /** Messages were lost: everything that is awaited is looked for. */
  lookForAll(): void {
    this.#look(true)
  }

  close(): void {
    this.#isClosed = true
    if (this.#timer !== undefined) this.#clock.clearTimer(this.#timer)
  }

  #look(isForAll: boolean): void {
    const awaited = this.#candidates(isForAll)
    if (awaited.length === 0 || this.#isLooking || !this.#commands.isUp) return
    this.#isLooking = true
    this.#lookFor(awaited).then(
      () => {
        this.#isLooking = false
      },
      (error: unknown) => {
        this.#isLooking = false
        if (!this.#isClosed && this.#commands.isUp) this.#use.onFault(error)
      },
    )
  }

  #candidates(isForAll: boolean): readonly Awaited[] {
    const all = [...this.#use.awaited()]
    if (isForAll) return all
    const before = this.#known
    this.#known = new Set(all.map(({ id }) => id))
    for (const id of this.#missing) if (!this.#known.has(id)) this.#missing.delete(id)
    const old = all.filter(({ id }) => before.has(id))
    if (old.length <= MOST) return old
    if (this.#from >= old.length) this.#from = 0
    const some = old.slice(this.#from, this.#from + MOST)
    this.#from += MOST
    return some
  }

  async #lookFor(awaited: readonly Awaited[]): Promise<void> {
    for (let at = 0; at < awaited.length && !this.#isClosed; at += CHUNK) {
      const chunk = awaited.slice(at, at + CHUNK)
      const answers = await this.#commands.lookUp(chunk)
      const outcomes: EngineOutcome[] = []
      for (const [index, { id, laneId }] of chunk.entries()) {
        const fields = answers[index] as JobFields
        const isThere = fields.has('name')
        if (isThere) this.#missing.delete(id)
        const outcome = isThere ? outcomeOf(id, laneId, fields) : this.#gone(id, laneId)
        if (outcome !== undefined) outcomes.push(outcome)
      }
      if (outcomes.length > 0 && !this.#isClosed) this.#use.onOutcomes(outcomes)
    }
  }

  /** A submit may be on its way when it is looked for the first time. */
  #gone(id: string, laneId: string): EngineOutcome | undefined {
    if (!this.#missing.has(id)) {
      this.#missing.add(id)
      return undefined
    }
    const text = `The command '${id}' is not there any more: it was removed, or its outcome was kept for too short a time`
    const error = JSON.stringify(new LaneError('COMMAND_FAILED', text, { fields: { id } }))
    return { id, laneId, state: 'failed', result: undefined, error }
  }
}
