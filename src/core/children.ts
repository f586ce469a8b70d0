/** What a handler does through its context: report, log, save, yield, charge, and submit children that belong to it. */
import type { Admission } from './admission.js'
import { instantText } from './clock.js'
import type { ChildArguments, ChildQueue, ContextHost } from './context.js'
import type { QueueCore } from './core.js'
import type { Entry } from './entry.js'
import { show } from './errors.js'
import type { Interruption } from './interruption.js'
import { jsonText } from './json.js'
import type { Lending } from './lending.js'
import type { CommandRun, Run } from './run.js'
import type { Slot } from './slot.js'
import { sizedText } from './stored.js'
import { checkedCost, type SubmitOptions } from './submit-options.js'
import { isFinal } from './transitions.js'

/** Log lines that are kept per command. */
const LOG_LINES = 1000

/** The queue's own methods that a child queue passes on. */
export type QueueReads = Pick<ChildQueue, 'cancel' | 'get' | 'list' | 'stats'>

export class Children implements ContextHost {
  readonly #core: QueueCore
  readonly #admission: Admission
  readonly #lending: Lending
  readonly #interruption: Interruption
  readonly #reads: QueueReads

  constructor(core: QueueCore, admission: Admission, lending: Lending, interruption: Interruption, reads: QueueReads) {
    this.#core = core
    this.#admission = admission
    this.#lending = lending
    this.#interruption = interruption
    this.#reads = reads
  }

  progress(entry: Entry, value: unknown): void {
    const { run } = entry
    entry.more.lastProgress = value
    this.#noteNews(entry)
    const stored = entry.details?.stored
    stored?.home.reported?.(entry, stored)
    for (const reader of entry.details?.readers ?? []) reader.push(value)
    if (!this.#core.hasListeners) return
    this.#core.emit('queue.command.progress', { lane_id: run.laneId, command_id: run.id, value })
  }

  log(entry: Entry, attempt: number, line: unknown): void {
    entry.more.logs ??= []
    const { logs } = entry.more
    if (logs.length === LOG_LINES) logs.shift()
    this.#noteNews(entry)
    logs.push({
      at: instantText(this.#core.clock.wallNow()),
      attempt,
      line: typeof line === 'string' ? line : show(line),
    })
  }

  /** A restart is to know of it, but nothing waits for that. */
  #noteNews({ details }: Entry): void {
    const stored = details?.stored
    stored?.home.touchLater(stored)
  }

  checkpoint(entry: Entry, state: unknown): Promise<void> | undefined {
    const stored = entry.details?.stored
    const text = stored === undefined ? jsonText('A checkpoint', state) : sizedText(this.#core, 'A checkpoint', state)
    // A command that has its outcome never goes on.
    if (isFinal(entry.run.state)) return undefined
    entry.traits.checkpoint = text
    if (stored === undefined) return undefined
    return stored.home.save(entry, stored)
  }

  yieldSlot(entry: Entry): Promise<void> {
    return this.#interruption.yieldSlot(entry)
  }

  charge(entry: Entry, cost: unknown): void {
    const total = checkedCost('charge cost', cost)
    const { policies, sharedLimits } = entry.lane
    if (policies === undefined && sharedLimits.length === 0) return
    const { traits } = entry
    const before = traits.charged ?? traits.cost
    traits.charged = total
    policies?.settle(entry, before, total)
    const stored = entry.details?.stored
    stored?.home.charged?.(entry, stored, { before, total })
  }

  childQueue(parent: Entry): ChildQueue {
    const submit = (laneId: string, command: unknown, options?: SubmitOptions): Run =>
      this.#admission.submit(laneId, command, options, { parent })
    return {
      ...this.#reads,
      submit: submit as ChildQueue['submit'],
      submitBatch: (laneId, commands, options) =>
        this.#admission.submitBatch(laneId, commands, options, { parent }) as CommandRun[],
    }
  }

  async runChild(parent: Entry, isLive: boolean, ...child: ChildArguments): Promise<unknown> {
    const { slot, context } = parent
    const run = this.#admission.submit(...child, { parent, isAwaitedHere: true })
    await run.accepted
    // An attempt that has ended waits for nobody: what it would lend is another attempt's.
    if (!isLive || slot === undefined || slot.zombie || parent.context !== context) return run
    slot.waiting++
    slot.isPlain = false
    this.#lending.add(run.inner as Entry, parent)
    this.#core.askForPass()
    try {
      return await run
    } finally {
      if (parent.context === context) {
        slot.waiting--
        // Its own again, the slot may be asked for.
        this.#core.askForPass()
        await placesReturned(slot)
      }
    }
  }
}

/** A child may still run in its parent's places, its own body or another's: the parent goes on when they are its own again. */
function placesReturned(slot: Slot): Promise<void> | undefined {
  return slot.isLent ? new Promise((resolve) => slot.onReturned.push(resolve)) : undefined
}
