/**
 * What becomes of a command whose dedupe id is held by another. The table of ids is a policy's; here is what an answer of
 * it means for runs: a duplicate is the owner's run, takes its place, or follows it.
 */
import { DedupeTable } from '../policy/index.js'
import type { QueueCore } from './core.js'
import type { Entry } from './entry.js'
import type { Outcomes } from './outcomes.js'
import type { Run } from './run.js'
import type { CheckedDedupe } from './submit-options.js'
import { isFinal } from './transitions.js'

/** Where a command with a dedupe id stands: nobody owns the id, it takes over from a waiting owner, or it follows a started one. */
export type Claim = { readonly dedupe: CheckedDedupe; readonly replaces?: Run; readonly follows?: Run }

export class Deduplication {
  readonly #core: QueueCore
  readonly #table = new DedupeTable<Run>()
  readonly #cancel: (run: Run, reason: string) => void

  constructor(core: QueueCore, outcomes: Outcomes, cancel: (run: Run, reason: string) => void) {
    this.#core = core
    this.#cancel = cancel
    outcomes.onOwnerSettled = (id, entry) => {
      const successor = this.#table.settled(id, entry.run, core.clock.now())
      const next = successor === undefined ? undefined : core.entryOf(successor)
      if (next !== undefined) outcomes.release(next)
    }
  }

  /** The run that a duplicate gets instead of one of its own, or what its own is to be. */
  meet(dedupe: CheckedDedupe): Run | Claim {
    const owner = this.#table.ownerOf(dedupe.id, this.#core.clock.now())
    if (owner === undefined) return { dedupe }
    const hasStarted = owner.state === 'active' || (this.#core.entryOf(owner)?.attempt ?? 0) > 0
    if (dedupe.mode === 'drop' || isFinal(owner.state) || (hasStarted && dedupe.mode === 'replace')) {
      this.#announce(owner)
      return owner
    }
    return hasStarted ? { dedupe, follows: owner } : { dedupe, replaces: owner }
  }

  /** A run of its own is there: it owns the id from now on, or is remembered until the owner settles. */
  take({ dedupe, replaces, follows }: Claim, run: Run): void {
    const { id, ttlMs } = dedupe
    const expiresAt = ttlMs === undefined ? undefined : this.#core.clock.now() + ttlMs
    if (follows !== undefined) {
      const earlier = this.#table.remember(id, run, expiresAt)
      this.#announce(follows)
      if (earlier !== undefined) this.#cancel(earlier, `replaced by ${run.id}`)
    } else if (replaces === undefined) this.#table.claim(id, run, expiresAt)
    else {
      void this.#table.replace(id, run)
      this.#announce(replaces)
      this.#cancel(replaces, `replaced by ${run.id}`)
    }
  }

  /** A run that owned the id was refused after all. */
  refused({ dedupe }: Claim, run: Run): void {
    void this.#table.settled(dedupe.id, run, this.#core.clock.now())
  }

  #announce(owner: Run): void {
    if (!this.#core.events.hasSubscribers) return
    this.#core.emit('queue.command.deduplicated', { lane_id: owner.laneId, command_id: owner.id })
  }
}

/** Marks a command as one whose outcome others wait for. */
export function markOwner(entry: Entry, { dedupe }: Claim): void {
  entry.traits.dedupeId = dedupe.id
}
