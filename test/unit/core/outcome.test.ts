import { discard, snooze } from '@a3s-lab/lane'
import { expect, test } from 'vitest'
import { outcomeOf } from '../../../src/core/outcome.js'

test('outcomes are recognised by what made them', () => {
  expect(outcomeOf(snooze(5))).toEqual({ kind: 'snooze', delayMs: 5 })
  expect(outcomeOf(discard('x'))).toEqual({ kind: 'discard', reason: 'x' })
  expect(outcomeOf(discard())).toEqual({ kind: 'discard', reason: 'discarded by its handler' })
})

test.each([[undefined], [null], ['snooze'], [5], [{ kind: 'snooze', delayMs: 5 }], [() => {}]])(
  '%s is a value',
  (value) => {
    expect(outcomeOf(value)).toBeUndefined()
  },
)
