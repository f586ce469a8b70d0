/**
 * One running body: what holds a place under the limits of its lane and of the queue. Slots are pooled with the two
 * functions that hear how the body ended, so starting a command makes no closure. A slot whose body was abandoned is
 * never used again: what that body still returns finds nobody.
 */
import type { Alarm } from './alarms.js'
import type { Entry } from './entry.js'

/** Who hears how a body ended. */
export interface SlotOwner {
  bodyReturned(slot: Slot, value: unknown): void
  bodyThrew(slot: Slot, error: unknown): void
}

export class Slot {
  entry: Entry | undefined
  /** Its command was timed out or cancelled and its body has not ended. */
  zombie = false
  /** Index among the running bodies of its lane; -1 for a zombie's and while it is not in use. */
  runningIndex = -1
  /** When the attempt runs out of time. */
  timeout: Alarm | undefined
  /** When a zombie is given up. */
  grace: Alarm | undefined
  /** The slot of the waiting parent that this body runs in, if it runs in one. */
  lender: Slot | undefined
  /** The child's slot that uses this one meanwhile. */
  borrower: Slot | undefined
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
}
