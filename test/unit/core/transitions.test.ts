import { expect, test } from 'vitest'
import { COMMAND_STATES, type CommandState, isFinal, transition } from '../../../src/core/transitions.js'

const legal: readonly (readonly [CommandState, CommandState])[] = [
  ['pending', 'active'],
  ['pending', 'failed'],
  ['pending', 'cancelled'],
  ['delayed', 'pending'],
  ['active', 'pending'],
  ['delayed', 'cancelled'],
  ['active', 'delayed'],
  ['active', 'completed'],
  ['active', 'failed'],
  ['active', 'timed_out'],
  ['active', 'cancelled'],
]
/** What a call throws; nothing when it throws nothing. */
function textOf(call: () => void): string {
  try {
    call()
    return ''
  } catch (error) {
    return (error as Error).message
  }
}

const pairs = COMMAND_STATES.flatMap((from) => COMMAND_STATES.map((to) => [from, to] as const))

test('there are seven states, four of them final', () => {
  expect(COMMAND_STATES).toEqual(['pending', 'delayed', 'active', 'completed', 'failed', 'timed_out', 'cancelled'])
  expect(COMMAND_STATES.filter(isFinal)).toEqual(['completed', 'failed', 'timed_out', 'cancelled'])
})

test.each(pairs)('a step from %s to %s is taken or refused by the table', (from, to) => {
  const subject = { state: from }
  const isLegal = legal.some(([a, b]) => a === from && b === to)
  const refused = isLegal ? '' : `Lane invariant broken: a command went from ${from} to ${to}`
  expect(textOf(() => transition(subject, to))).toBe(refused)
  expect(subject.state).toBe(isLegal ? to : from)
})
