/**
 * One running body: what holds a place under the limits of its lane and of the queue. Slots are pooled with the two
 * functions that hear how the body ended, so starting a command makes no closure. A slot whose body was abandoned is
 * never used again: what that body still returns finds nobody.
 */
import type { Alarm } from './alarms.js'
import type { Entry } from './entry.js'
import type { LaneState } from './lane.js'

/** Who hears how a body ended. */
export interface SlotOwner {
  bodyReturned(slot: Slot, value: unknown): void
  bodyThrew(slot: Slot, error: unknown): void
}

/**
 * A slot is two places, one under the limit of its lane and one under the global cap. A waiting parent may lend either to
 * a child; who uses whose is a chain per kind of place, kept by `Lending`.
 */
export class Slot {
  entry: Entry | undefined
  /** Nothing but a body runs in it: no timeout, no zombie, nothing borrowed or lent. */
  isPlain = true
  /** Its command was timed out or cancelled and its body has not ended. */
  zombie = false
  /** When its body was asked to stop. */
  stopAt: number | undefined
  /** When a zombie is given up. */
  grace: Alarm | undefined
  /** When the attempt runs out of time. */
  timeout: Alarm | undefined
  /** Since when the body holds it, where that is later than its start. */
  since: number | undefined
  /** The order of its start among the bodies that may be preempted; 0 for one that may not. */
  startNumber = 0
  /** Whether it stands in the list of those that may be asked for their slot, and its neighbours there. */
  isListed = false
  older: Slot | undefined
  newer: Slot | undefined
  /** The lane that its body was asked to give it up for, and whether that counts on it. */
  taker: LaneState | undefined
  isDemanded = false
  /** When a preempted body that goes on is reported. */
  preemptGrace: Alarm | undefined
  /** Its body waits inside `ctx.yield`, and holds no place. */
  isYielded = false
  /** Index among all slots of the queue. */
  index = 0
  /** How many `ctx.run` calls of its body are under way: its places may be lent while there are any. */
  waiting = 0
  /** Who waits until both places are the body's own again. */
  onReturned: (() => void)[] = []
  /** Whose place in the lane it uses, and who uses its own. */
  laneFrom: Slot | undefined
  laneTo: Slot | undefined
  /** The same for the place under the global cap. */
  capFrom: Slot | undefined
  capTo: Slot | undefined
  readonly onReturn: (value: unknown) => void
  readonly onThrow: (error: unknown) => void

  constructor(owner: SlotOwner) {
    this.onReturn = (value) => {
      if (this.entry !== undefined) owner.bodyReturned(this, value)
    }
    this.onThrow = (error) => {
      if (this.entry !== undefined) owner.bodyThrew(this, error)
    }
  }

  /** Whether it uses a place of another. */
  get borrows(): boolean {
    return this.laneFrom !== undefined || this.capFrom !== undefined
  }

  /** Whether a place of it is with a borrower. */
  get isLent(): boolean {
    return this.laneTo !== undefined || this.capTo !== undefined
  }
}

/** Where a running body is told to stop; the attempts know how. */
export interface BodyStopper {
  /** The command has its outcome, its body goes on: the slot is a zombie's until the body ends. */
  orphan(entry: Entry): void
}
