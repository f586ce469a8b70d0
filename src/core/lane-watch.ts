/**
 * Of which shared lanes the engine has to tell: those in which a command could start at once. Of a lane without a free slot
 * nobody tells, so when a slot is free it is asked before a lower one takes it: that keeps the order of lanes strict.
 */
import type { QueueCore } from './core.js'
import type { Engine } from './engine.js'
import type { SharedLane } from './shared-lane.js'

export class LaneWatch {
  readonly #core: QueueCore
  readonly #engine: Engine
  /** Lanes of which nobody has told since there was no slot for them: they may have work. */
  readonly #unheard = new Set<SharedLane>()
  /** A command has begun to hold a slot since it was last said which lanes are watched. */
  #hasStarted = false
  #watched = ''

  constructor(core: QueueCore, engine: Engine) {
    this.#core = core
    this.#engine = engine
  }

  /** A command has begun to hold a slot. */
  started(): void {
    this.#hasStarted = true
  }

  /** Lanes of which nobody has told may go before the one whose turn it is: they are to be asked. Whether there are any. */
  askUnheard(): boolean {
    const hasAny = this.#unheard.size > 0
    for (const unheard of this.#unheard) unheard.mayHaveWork()
    this.#unheard.clear()
    return hasAny
  }

  /** Tells the engine of which lanes it has to tell. */
  tell(lanes: Iterable<SharedLane>): void {
    const { scheduler, stopped } = this.#core
    const ids: string[] = []
    for (const shared of lanes) {
      const { lane } = shared
      const mayStart = lane.hasRoom && (scheduler.hasFreePlaceFor(lane) || lane.limits.preempts)
      if (mayStart || !shared.isWatched || stopped) this.#unheard.delete(shared)
      if (!shared.isWatched || stopped) continue
      if (mayStart) ids.push(lane.id)
      // A place that only a claim holds is free again in a moment: asking must not lead to more asking.
      else if (this.#hasStarted) this.#unheard.add(shared)
    }
    this.#hasStarted = false
    const watched = ids.join('\n')
    if (watched === this.#watched) return
    this.#watched = watched
    this.#engine.watch(ids)
  }
}
