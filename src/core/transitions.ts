/**
 * The states of a command and the legal steps between them. Nothing else decides what may follow what.
 *
 *     pending ──► active ──► completed
 *        ▲  │       │ ├────► failed | timed_out
 *     delayed ◄─────┘ │      (retry in back-off, snooze, deferral)
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

const LEGAL: { readonly [from in CommandState]: { readonly [to in CommandState]?: true } } = {
  // A command without a handler fails while it waits: it takes no slot for an attempt that cannot happen.
  pending: { active: true, failed: true, cancelled: true },
  delayed: { pending: true, cancelled: true },
  active: { delayed: true, completed: true, failed: true, timed_out: true, cancelled: true },
  completed: {},
  failed: {},
  timed_out: {},
  cancelled: {},
}

/** All states, in the order of a command's life. */
export const COMMAND_STATES = Object.keys(LEGAL) as readonly CommandState[]

/** Whether a command may go from one state to the other. */
export const isLegal = (from: CommandState, to: CommandState): boolean => LEGAL[from][to] === true

/** Whether a command in this state has its outcome. */
export const isFinal = (state: CommandState): state is FinalState =>
  state === 'completed' || state === 'failed' || state === 'timed_out' || state === 'cancelled'

/** Moves something with a state one legal step. An illegal one is a bug of ours and is thrown. */
export function transition(subject: { state: CommandState }, to: CommandState): void {
  invariant(LEGAL[subject.state][to] === true, `a command went from ${subject.state} to ${to}`)
  subject.state = to
}
