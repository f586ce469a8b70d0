/**
 * The states of a command and the legal steps between them. Nothing else decides what may follow what.
 *
 *     pending ◄─► active ──► completed
 *        ▲  │       │ ├────► failed | timed_out
 *     delayed ◄─────┘ │      (retry in back-off, snooze, deferral; back to pending: preempted, yielded)
 *        └────────────┴────► cancelled
 *
 * A command that is due at once starts as `pending`, one with a delay as `delayed`. The last four are final: whoever
 * reaches one first has decided the command's only outcome.
 */
import { invariant } from './errors.js'

/** The state of a command. */
export type CommandState = 'pending' | 'delayed' | 'active' | 'completed' | 'failed' | 'timed_out' | 'cancelled'

/** A state that a command never leaves. */
export type FinalState = 'completed' | 'failed' | 'timed_out' | 'cancelled'

/** All states, in the order of a command's life. */
export const COMMAND_STATES: readonly CommandState[] = [
  'pending',
  'delayed',
  'active',
  'completed',
  'failed',
  'timed_out',
  'cancelled',
]

/** The table: by the state that is entered, the states that it may be entered from. Comparisons, because it is asked twice per command. */
function isLegal(from: CommandState, to: CommandState): boolean {
  // Preempted, or waiting inside ctx.yield: the slot is another's.
  if (to === 'pending') return from === 'delayed' || from === 'active'
  if (to === 'active') return from === 'pending'
  if (to === 'cancelled') return !isFinal(from)
  // A command without a handler fails while it waits: it takes no slot for an attempt that cannot happen.
  if (to === 'failed') return from === 'active' || from === 'pending'
  return from === 'active'
}

/** Whether a command in this state has its outcome. */
export const isFinal = (state: CommandState): state is FinalState =>
  state === 'completed' || state === 'failed' || state === 'timed_out' || state === 'cancelled'

/** Moves something with a state one legal step. An illegal one is a bug of ours and is thrown. */
export function transition(subject: { state: CommandState }, to: CommandState): void {
  if (!isLegal(subject.state, to)) invariant(false, `a command went from ${subject.state} to ${to}`)
  subject.state = to
}
