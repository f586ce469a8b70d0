/**
 * Bodies that give up their slot before they have ended.
 *
 * Preempted: a lane that `preempts` has work and room and finds every place under the global cap taken. A running command
 * of a lower, preemptible lane is asked to stop; when its body has ended, its slot goes to the lane that asked, and the
 * command goes on later, first in its lane, under the same attempt number and with its last checkpoint.
 *
 * Yielded: a body waits inside `ctx.yield` while others that would start before it use its slot, and goes on in place.
 */
import { type Donor, victimFor } from '../policy/index.js'
import type { Context } from './context.js'
import type { QueueCore } from './core.js'
import type { Entry } from './entry.js'
import { formatDuration, LaneError } from './errors.js'
import { freeKey, holdKey } from './keys.js'
import type { LaneState } from './lane.js'
import type { Slot } from './slot.js'
import { transition } from './transitions.js'

/** The running commands of a preemptible lane, as one who looks for a slot sees them. */
class DonorLane implements Donor<Slot> {
  readonly lane: LaneState

  constructor(lane: LaneState) {
    this.lane = lane
  }

  get priority(): number {
    return this.lane.priority
  }

  get spare(): number {
    return this.lane.held - this.lane.reserved - this.lane.givingUp
  }

  newest(): Slot | undefined {
    let slot = this.lane.newest
    // A body that waits for a child has nothing to stop at; places that are lent or borrowed are not its own to give.
    while (slot !== undefined && (slot.waiting > 0 || slot.isLent || slot.borrows)) slot = slot.older
    return slot
  }
}

/** Whether nothing but a slot keeps the lane's next command from starting. */
export function mayStartNext(lane: LaneState): boolean {
  const { policies, backlog } = lane
  return policies === undefined || backlog.nextGoesOn || policies.mayStart(backlog.nextCost())
}

export class Interruption {
  readonly #core: QueueCore
  #takers: readonly LaneState[] = []
  #donors: readonly DonorLane[] = []
  #starts = 0
  /** Lanes in which a body has yielded since the last pass. */
  readonly #yieldedIn = new Set<LaneState>()

  constructor(core: QueueCore) {
    this.#core = core
    this.reconfigured()
  }

  /** The lanes' options are others. */
  reconfigured(): void {
    const lanes = [...this.#core.lanes.values()]
    const hasCap = this.#core.scheduler.hasCap
    this.#takers = hasCap ? lanes.filter((lane) => lane.limits.preempts).sort((a, b) => a.priority - b.priority) : []
    this.#donors = lanes.filter((lane) => lane.limits.givesBack).map((lane) => new DonorLane(lane))
    for (const lane of lanes) this.#relist(lane)
  }

  /** A body holds a slot from now on: it may be asked for it. To go on after `ctx.yield` is no new start. */
  started(slot: Slot, lane: LaneState): void {
    if (!lane.limits.givesBack) return
    slot.isPlain = false
    slot.isListed = true
    if (slot.startNumber === 0) slot.startNumber = ++this.#starts
    link(slot, lane)
  }

  /** A body holds its slot no more, or has been asked for it. */
  ended(slot: Slot, lane: LaneState): void {
    if (!slot.isListed) return
    slot.isListed = false
    if (slot.newer === undefined) lane.newest = slot.older
    else slot.newer.older = slot.older
    if (slot.older !== undefined) slot.older.newer = slot.newer
    slot.older = undefined
    slot.newer = undefined
  }

  /** After a pass: asks for the slots that preempting lanes lack; whether there were any to ask for. */
  askForSlots(): boolean {
    let hasAsked = false
    for (const lane of this.#takers) {
      for (let lack = this.#lack(lane); lack > 0; lack--) {
        const slot = victimFor(lane.priority, this.#donors, ({ startNumber }) => startNumber)
        if (slot === undefined) break
        this.#ask(slot, lane)
        hasAsked = true
      }
    }
    return hasAsked
  }

  /** The body of a slot that was asked for has ended. */
  gaveUp(slot: Slot, lane: LaneState): void {
    const core = this.#core
    core.alarms.clear(slot.preemptGrace)
    // One that was late is a free slot like any other: whoever asked may have got another one meanwhile.
    if (slot.isDemanded) core.scheduler.owe(slot.taker as LaneState)
    this.#forgetDemand(slot)
    lane.givingUp--
    slot.taker = undefined
  }

  /** Gives up the slot at a safe point; resolves when the body may go on, at once when nobody would be started before it. */
  yieldSlot(entry: Entry): Promise<void> {
    const slot = entry.slot as Slot
    const core = this.#core
    // Once the queue closes nothing starts that could use it.
    if (core.stopped || slot.waiting > 0 || slot.isLent || slot.borrows) return Promise.resolve()
    const { lane } = entry
    this.#leaveSlot(slot, entry)
    lane.backlog.putFirst(entry, core.seqOfEntry(entry), true)
    core.scheduler.update(lane)
    if (lane.shut) lane.policies?.askAgain()
    core.askForPass()
    this.#yieldedIn.add(lane)
    const { traits } = entry
    traits.yielding = new Promise((resolve, reject) => {
      traits.goOn = (error) => {
        traits.goOn = undefined
        traits.yielding = undefined
        if (error === undefined) resolve()
        else reject(error as Error)
      }
    })
    // A yield that nobody awaits is nobody's unhandled rejection.
    traits.yielding.catch(() => undefined)
    return traits.yielding
  }

  /** After a pass: bodies that could not go on at once add to their lane's backlog. */
  countYielded(): void {
    if (this.#yieldedIn.size === 0) return
    const lanes = [...this.#yieldedIn]
    this.#yieldedIn.clear()
    for (const lane of lanes) this.#core.backlogGrew(lane)
  }

  /** Takes a slot for a body that has yielded. */
  takeSlot(entry: Entry): void {
    const core = this.#core
    const { run, lane } = entry
    const slot = entry.slot as Slot
    slot.isYielded = false
    transition(run, 'active')
    lane.active++
    core.scheduler.acquire(lane)
    holdKey(entry)
    slot.since = core.clock.now()
    this.started(slot, lane)
  }

  /** How many slots the lane lacks that are not on their way to it. */
  #lack(lane: LaneState): number {
    const { scheduler } = this.#core
    if (lane.rank < 0 || scheduler.hasFreePlaceFor(lane)) return 0
    const most = lane.limits.max - lane.held
    const room = Math.min(lane.backlog.startable(most) + lane.elsewhere, most)
    if (room <= lane.demanded || (lane.backlog.hasNext && !mayStartNext(lane))) return 0
    // What would be kept for other lanes once it is free is not asked for.
    return Math.min(lane.policies?.grants(room) ?? room, scheduler.couldTake(lane)) - lane.demanded
  }

  #ask(slot: Slot, taker: LaneState): void {
    const core = this.#core
    const entry = slot.entry as Entry
    const { lane, run, policy } = entry
    this.ended(slot, lane)
    slot.taker = taker
    slot.isDemanded = true
    lane.givingUp++
    taker.demanded++
    const graceMs = policy.preemptGraceMs
    const now = core.clock.now()
    slot.stopAt = now
    slot.preemptGrace = core.alarms.set(now + graceMs, () => {
      this.#forgetDemand(slot)
      const text = `The handler of ${run.commandType} did not stop within ${formatDuration(graceMs)} of its preemption; it keeps its slot`
      core.fault(new Error(text), { lane_id: lane.id, command_id: run.id })
      core.askForPass()
    })
    const error = new LaneError('COMMAND_PREEMPTED', `Command preempted by lane '${taker.id}'`, {
      fields: { laneId: taker.id },
    })
    ;(entry.context as Context).abort(error)
  }

  /** The slot is no longer on its way to the one who asked: it is there, or nobody counts on it any more. */
  #forgetDemand(slot: Slot): void {
    slot.preemptGrace = undefined
    if (slot.isDemanded) (slot.taker as LaneState).demanded--
    slot.isDemanded = false
  }

  #leaveSlot(slot: Slot, entry: Entry): void {
    const core = this.#core
    const { run, lane } = entry
    this.ended(slot, lane)
    freeKey(entry)
    core.alarms.clear(slot.timeout)
    slot.timeout = undefined
    slot.isPlain = false
    slot.isYielded = true
    const now = core.clock.now()
    entry.traits.usedMs += now - (slot.since ?? (entry.startedAt as number))
    entry.more.readyAt = now
    lane.active--
    core.scheduler.release(lane)
    transition(run, 'pending')
  }

  /** Makes the list of a lane's running commands, or gives it up, after its options have changed. */
  #relist(lane: LaneState): void {
    const isListed = lane.newest !== undefined
    if (isListed === lane.limits.givesBack) return
    const running = this.#core.slots.filter(
      (slot) => slot.entry?.lane === lane && !slot.zombie && !slot.isYielded && slot.taker === undefined,
    )
    running.sort((a, b) => (a.entry?.startedAt as number) - (b.entry?.startedAt as number))
    for (const slot of running) {
      if (isListed) this.ended(slot, lane)
      else this.started(slot, lane)
    }
  }
}

/** Puts a slot into its lane's list, in order of the starts: nearly always at the end. */
function link(slot: Slot, lane: LaneState): void {
  let older = lane.newest
  let newer: Slot | undefined
  while (older !== undefined && older.startNumber > slot.startNumber) {
    newer = older
    older = older.older
  }
  slot.older = older
  slot.newer = newer
  if (older !== undefined) older.newer = slot
  if (newer === undefined) lane.newest = slot
  else newer.older = slot
}
