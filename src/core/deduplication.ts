/**
 * What becomes of a command whose dedupe id is held by another. The table of ids is a policy's; here is what an answer of
 * it means for runs: a duplicate is the owner's run, takes its place, or follows it.
 */
import { DedupeTable } from '../policy/index.js'
import type { QueueCore } from './core.js'
import type { Outcomes } from './outcomes.js'
import type { Run } from './run.js'
import type { KeptDedupe } from './stored.js'
import type { CheckedDedupe } from './submit-options.js'
import { isFinal } from './transitions.js'

/** Where a new command stands: nobody owns its dedupe id, it takes over from an owner that has not started, or follows one that has. */
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

  /** A command of a storage has its dedupe id again, or follows whoever has; a settled one keeps it until its window ends. */
  restore({ id, mode, until }: KeptDedupe, run: Run): 'owns' | 'follows' {
    const { clock } = this.#core
    const left = until === undefined ? 0 : until - clock.wallNow()
    const dedupe: CheckedDedupe = { id, mode, ttlMs: left > 0 ? left : undefined }
    if (!isFinal(run.state)) {
      const claim = this.stand(dedupe, undefined)
      this.take(claim, run)
      return claim.follows === undefined ? 'owns' : 'follows'
    }
    if (left > 0 && this.#ownerOf(dedupe) === undefined) {
      this.#table.claim(id, run, clock.now() + left)
      void this.#table.settled(id, run, clock.now())
    }
    return 'owns'
  }

  /** The run that a duplicate gets instead of one of its own; undefined when it gets its own. */
  meet(dedupe: CheckedDedupe): Run | undefined {
    const owner = this.#ownerOf(dedupe)
    if (owner === undefined) return undefined
    const isReplaced = dedupe.mode === 'replace' && !this.#hasStarted(owner)
    if (!isFinal(owner.state) && (isReplaced || dedupe.mode === 'keep-last')) return undefined
    this.#announce(owner)
    return owner
  }

  /** A run whose payload is still being checked: its duplicates meet it from now on, unless the id has an owner. */
  hold(dedupe: CheckedDedupe, run: Run): void {
    if (this.#ownerOf(dedupe) !== undefined) return
    this.take({ dedupe }, run)
    run.accepted.catch(() => void this.#table.settled(dedupe.id, run, this.#core.clock.now()))
  }

  /** Where a command stands that is accepted now. `early` is its run, when it had one before. */
  stand(dedupe: CheckedDedupe, early: Run | undefined): Claim {
    const owner = this.#ownerOf(dedupe)
    if (owner === undefined || owner === early) return { dedupe }
    return isFinal(owner.state) || !this.#hasStarted(owner) ? { dedupe, replaces: owner } : { dedupe, follows: owner }
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

  #ownerOf({ id }: CheckedDedupe): Run | undefined {
    return this.#table.ownerOf(id, this.#core.clock.now())
  }

  #hasStarted(owner: Run): boolean {
    return owner.state === 'active' || (this.#core.entryOf(owner)?.attempt ?? 0) > 0
  }

  #announce(owner: Run): void {
    this.#core.lanes.get(owner.laneId)?.observer?.('deduplicated', 0, 0)
    if (!this.#core.hasListeners) return
    this.#core.emit('queue.command.deduplicated', { lane_id: owner.laneId, command_id: owner.id })
  }
}
