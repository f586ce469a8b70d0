/** The table of legal steps, asked about every pair of states and compared with the one that the design gives. */
import { COMMAND_STATES, transition } from '../../../src/core/transitions.js'

/** By the state that is left: the design's diagram, and the command that fails in its turn because nobody can run it. */
const DESIGN: Readonly<Record<string, readonly string[]>> = {
  pending: ['active', 'failed', 'cancelled'],
  delayed: ['pending', 'cancelled'],
  active: ['pending', 'delayed', 'completed', 'failed', 'timed_out', 'cancelled'],
}

/** Every legal step: `pending active`. */
export const LEGAL_STEPS: readonly string[] = Object.entries(DESIGN).flatMap(([from, states]) =>
  states.map((to) => `${from} ${to}`),
)

export type TableCheck = { readonly pairs: number; readonly violations: readonly string[] }

/** Asks about every pair. */
export function checkTable(): TableCheck {
  const violations: string[] = []
  for (const from of COMMAND_STATES) {
    for (const to of COMMAND_STATES) {
      const subject = { state: from }
      const isLegal = isTaken(() => transition(subject, to))
      if (isLegal !== LEGAL_STEPS.includes(`${from} ${to}`)) {
        violations.push(`${from} → ${to} is ${isLegal ? 'taken' : 'refused'}, against the design`)
      }
      if (subject.state !== (isLegal ? to : from)) violations.push(`${from} → ${to} left ${subject.state} behind`)
    }
  }
  return { pairs: COMMAND_STATES.length ** 2, violations }
}

function isTaken(step: () => void): boolean {
  try {
    step()
    return true
  } catch {
    return false
  }
}
