/**
 * The life of a queue, and what each step means in every order:
 *
 *     open ──start──► running ──shutdown──► shutting down ──(all settled, no slot held)──► complete
 *                                    close: starts nothing more, cancels what waits, waits for what runs
 *
 * `start`, `shutdown` and `close` may be called any number of times, in any order; a second call agrees with the first.
 * `drain` and `close` always come back by their limit.
 */
import type { Admission } from './admission.js'
import type { Attempts } from './attempts.js'
import type { QueueCore } from './core.js'
import type { Entry } from './entry.js'
import { formatDuration, LaneError } from './errors.js'
import { closeJournal } from './journal-closing.js'
import { checkMs } from './options.js'
import type { Outcomes } from './outcomes.js'
import { keptError } from './storage-errors.js'

/** Somebody who waits until nothing is left. */
type Waiter = { readonly quiet: () => void }

export class Lifecycle {
  readonly #core: QueueCore
  readonly #outcomes: Outcomes
  readonly #attempts: Attempts
  readonly #admission: Admission
  readonly #waiters = new Set<Waiter>()
  #starting: Promise<void> | undefined
  #closing: Promise<void> | undefined

  constructor(core: QueueCore, outcomes: Outcomes, attempts: Attempts, admission: Admission) {
    this.#core = core
    this.#outcomes = outcomes
    this.#attempts = attempts
    this.#admission = admission
    core.onQuiet = () => this.#quiet()
  }

  /** With a storage it resolves when it is written that interrupted commands run again: a crash counts before they do. */
  async start(): Promise<void> {
    const { recovery, link } = this.#core
    if (recovery?.hasInterrupted === true) {
      this.#starting ??= recovery.countInterrupted().finally(() => {
        this.#starting = undefined
      })
      await this.#starting
    }
    this.#start()
    if (link !== undefined) await link.start()
  }

  #start(): void {
    const core = this.#core
    if (core.started) return
    if (core.stopped) throw new LaneError('SHUTTING_DOWN', 'Queue is shut down and cannot be started')
    core.started = true
    core.recovery?.start()
    core.askForPass()
  }

  shutdown(): void {
    const core = this.#core
    if (core.isShuttingDown) return
    core.isShuttingDown = true
    if (core.hasListeners) core.emit('queue.shutdown.started', null)
    core.askForPass()
  }

  async drain(timeoutMs: number, signal: AbortSignal | undefined): Promise<void> {
    checkMs('drain timeoutMs', timeoutMs, 0)
    if (signal?.aborted === true) throw signal.reason
    if (await this.#becomesQuiet(timeoutMs, signal)) return
    const unsettled = this.#unsettledIds()
    const zombies = this.#zombieIds()
    const names = (ids: readonly string[]): string =>
      `${ids.length} (${ids.slice(0, 5).join(', ')}${ids.length > 5 ? ', …' : ''})`
    const parts = [
      ...(unsettled.length > 0 ? [`unsettled: ${names(unsettled)}`] : []),
      ...(zombies.length > 0 ? [`still holding a slot: ${names(zombies)}`] : []),
    ]
    const message = `Command timed out after ${formatDuration(timeoutMs)} while draining; ${parts.join('; ')}`
    throw new LaneError('DRAIN_TIMEOUT', message, { fields: { timeoutMs, unsettled, zombies } })
  }

  async close(timeoutMs: number): Promise<void> {
    checkMs('close timeoutMs', timeoutMs, 0)
    this.#closing ??= this.#close(timeoutMs)
    await this.#closing
  }

  async #close(timeoutMs: number): Promise<void> {
    const core = this.#core
    const reason = 'the queue was closed'
    this.shutdown()
    core.stopped = true
    this.#admission.checks.refuseAll()
    const { journal } = core
    const deadline = core.clock.now() + timeoutMs
    if (journal === undefined) for (const lane of core.lanes.values()) this.#outcomes.cancelWaiting(lane, reason)
    else this.#cancelEphemeral(reason)
    core.askForPass()
    if (!(await this.#becomesQuiet(timeoutMs, undefined))) {
      for (const lane of core.lanes.values()) {
        for (const entry of this.#core.runningIn(lane)) {
          if (entry.details?.stored === undefined) this.#outcomes.cancel(entry, reason)
          else this.#outcomes.handBack(entry, keptError())
        }
      }
      this.#attempts.abandonAll(timeoutMs)
    }
    if (journal !== undefined) await closeJournal(core, journal, deadline)
    if (core.link !== undefined) await core.link.close(deadline)
    this.#complete()
  }

  /** What is not stored would be lost without a word. */
  #cancelEphemeral(reason: string): void {
    for (const lane of this.#core.lanes.values()) {
      const waiting = [...lane.delayed, ...lane.backlog.entries()]
      for (const entry of waiting) if (entry.details?.stored === undefined) this.#outcomes.cancel(entry, reason)
    }
  }

  /** Whether everything settles and every slot comes back before the limit. */
  #becomesQuiet(timeoutMs: number, signal: AbortSignal | undefined): Promise<boolean> {
    if (this.#isQuiet()) return Promise.resolve(true)
    const { clock } = this.#core
    return new Promise((resolve, reject) => {
      const end = (): void => {
        clock.clearTimer(timer)
        signal?.removeEventListener('abort', onAbort)
        this.#waiters.delete(waiter)
      }
      const waiter: Waiter = {
        quiet: () => {
          end()
          resolve(true)
        },
      }
      const onAbort = (): void => {
        end()
        reject(signal?.reason)
      }
      const timer = clock.setTimer(timeoutMs, () => {
        end()
        resolve(false)
      })
      this.#waiters.add(waiter)
      signal?.addEventListener('abort', onAbort, { once: true })
    })
  }

  #isQuiet(): boolean {
    return this.#core.isQuiet
  }

  /** Nothing is left to do: told after each pass that leaves it so. */
  #quiet(): void {
    for (const waiter of [...this.#waiters]) waiter.quiet()
    if (this.#core.isShuttingDown && this.#core.unsettled === 0) this.#complete()
  }

  #complete(): void {
    if (this.#core.hasEnded) return
    this.#core.hasEnded = true
    this.#core.stopped = true
    for (const { policies } of this.#core.lanes.values()) policies?.dispose()
    if (this.#core.hasListeners) this.#core.emit('queue.shutdown.complete', null)
    this.#core.events.end(this.#core)
    this.#core.observers?.ended()
  }

  #unsettledIds(): string[] {
    const ids = this.#admission.checks.ids()
    for (const lane of this.#core.lanes.values()) {
      for (const { run } of this.#core.runningIn(lane)) ids.push(run.id)
      for (const { run } of lane.delayed) ids.push(run.id)
      for (const { run } of lane.backlog.waiting()) ids.push(run.id)
    }
    for (const entry of this.#core.journal?.bySeq.values() ?? []) ids.push(entry.run.id)
    for (const id of this.#core.link?.coordinator.ids ?? []) ids.push(id)
    return [...new Set(ids)]
  }

  #zombieIds(): string[] {
    return [...this.#core.lanes.values()].flatMap((lane) =>
      [...lane.zombies].map((slot) => (slot.entry as Entry).run.id),
    )
  }
}
