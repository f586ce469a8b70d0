/**
 * What a worker knows of a shared lane: whether there may be something to claim, and how many claims are worth making at
 * once. One at first; as many again with each that is granted; one again when one comes back empty. So an idle lane costs a
 * claim, and a full one keeps every slot busy.
 */
import type { Alarm } from './alarms.js'
import type { QueueCore } from './core.js'
import { errorText } from './errors.js'
import type { LaneState } from './lane.js'

/** Most claims of one lane at once. */
const WIDEST = 128
/** How long a lane rests after a claim that could not be made. */
const FAILED_MS = 200
/** And after one that says when: the engine's clock and ours may differ by what was rounded. */
const SOONEST_MS = 1
/** For how long others go first when commands come back for which there is no handler here. */
const OTHERS_FIRST_MS = 200

export class SharedLane {
  readonly lane: LaneState
  readonly #core: QueueCore
  #claiming = 0
  #width = 1
  /** Something was told of the lane while a claim was under way: what that one finds may be older. */
  #isStale = false
  #hasWork = false
  /** Something was told of the lane since a look at all lanes began: what that one finds may be older. */
  #hasNews = false
  /** The engine has said when it is worth asking again. */
  #isResting = false
  #alarm: Alarm | undefined
  /** When commands come back that others are to have, and the alarm for it. */
  #returnAt = Number.NEGATIVE_INFINITY
  #return: Alarm | undefined
  #isLeftToOthers = false
  /** Why the last claim was refused. */
  why: string | undefined

  constructor(core: QueueCore, lane: LaneState) {
    this.#core = core
    this.lane = lane
  }

  /** Whether only word from the engine tells that there is something to claim. */
  get isWatched(): boolean {
    return !this.#hasWork && !this.#isResting && !this.#isLeftToOthers
  }

  mayHaveWork(): void {
    this.#isResting = false
    this.#isStale = this.#claiming > 0
    this.#hasNews = true
    this.#hasWork = true
    this.#update()
  }

  /** A look at all lanes begins. */
  lookBegins(): void {
    this.#hasNews = false
  }

  /** The look has found nothing here that could start: only word from the engine tells of more. */
  foundNothing(): void {
    if (this.#hasNews || this.#claiming > 0) return
    this.#hasWork = false
    this.#update()
  }

  /** A claim is to be made: it holds a place of the lane. */
  begin(): void {
    this.#claiming++
    this.#core.scheduler.acquire(this.lane)
    this.#update()
  }

  granted(): void {
    this.#width = Math.min(2 * this.#width, WIDEST)
    if (this.lane.elsewhere > 0) this.lane.elsewhere--
    this.#hasWork = true
    this.why = undefined
    this.#end()
  }

  refused(why: string, retryAt: number | undefined): void {
    this.#width = 1
    this.why = why
    this.lane.elsewhere = 0
    this.#hasWork = this.#isStale
    this.#isStale = false
    // An empty lane is asked again when its next delayed command is due, or as soon as another has come.
    this.#isResting = why !== 'empty' && retryAt !== undefined
    this.#end()
    if (retryAt !== undefined) this.#lookAgain(retryAt - this.#core.clock.wallNow())
  }

  failed(error: unknown): void {
    this.refused(errorText(error), this.#core.clock.wallNow() + FAILED_MS)
  }

  /**
   * A command goes back for others to have: for about so long. Gives the instant of its return, the same for all that go back
   * meanwhile; from then on others may claim for a moment before this worker does.
   */
  leavesToOthers(ms: number): number {
    const { alarms, clock } = this.#core
    if (this.#returnAt > clock.now()) return this.#returnAt
    this.#returnAt = clock.now() + ms
    alarms.clear(this.#return)
    this.#return = alarms.set(this.#returnAt, () => {
      this.#isLeftToOthers = true
      this.#update()
      this.#return = alarms.set(clock.now() + OTHERS_FIRST_MS, () => this.#goOn())
    })
    return this.#returnAt
  }

  #goOn(): void {
    this.#return = undefined
    this.#isLeftToOthers = false
    this.mayHaveWork()
    this.#core.askForPass()
  }

  stop(): void {
    this.#core.alarms.clear(this.#alarm)
    this.#core.alarms.clear(this.#return)
    this.#alarm = undefined
    this.#return = undefined
    this.#hasWork = false
    this.#update()
  }

  #end(): void {
    this.#claiming--
    this.#core.scheduler.release(this.lane)
    this.#update()
  }

  #lookAgain(ms: number): void {
    const { alarms, clock } = this.#core
    alarms.clear(this.#alarm)
    this.#alarm = alarms.set(clock.now() + Math.max(SOONEST_MS, ms), () => {
      this.#alarm = undefined
      this.mayHaveWork()
      this.#core.askForPass()
    })
  }

  #update(): void {
    const mayClaim = this.#hasWork && !this.#isLeftToOthers && !this.#core.stopped
    this.lane.beckons = mayClaim && this.#claiming < this.#width
    this.#core.scheduler.update(this.lane)
  }
}
