import assert from 'node:assert/strict'
import { VirtualClock } from '@a3s-lab/lane/testing'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type Alarm, Alarms } from '../../src/core/alarms.js'

type Expected = { readonly name: number; readonly at: number; readonly alarm: Alarm }

/** What an alarm does when it rings: nothing, set another one, or take one back. */
const ringing = fc.oneof(
  { weight: 3, arbitrary: fc.constant({ kind: 'nothing' as const, at: 0 }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('set' as const), at: fc.constantFrom(0, 0, 1, 5) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('clear' as const), at: fc.nat() }) },
)

const operation = fc.oneof(
  fc.record({ kind: fc.constant('set' as const), at: fc.constantFrom(0, 1, 2, 5, 10), ringing }),
  fc.record({ kind: fc.constant('clear' as const), at: fc.nat() }),
  fc.record({ kind: fc.constant('advance' as const), at: fc.constantFrom(0, 1, 2, 7) }),
)

test('alarms go off in order of time and of setting, behind one timer at most', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(operation, { maxLength: 40, size: 'max' }), async (operations) => {
      const clock = new VirtualClock()
      const alarms = new Alarms(clock)
      const rung: string[] = []
      /** Set and not gone off, in order of setting. */
      let waiting: Expected[] = []
      let count = 0

      function set(delayMs: number, then: { readonly kind: string; readonly at: number }): void {
        const name = count++
        const at = clock.now() + delayMs
        const alarm = alarms.set(at, () => {
          // the earliest of those that wait, and among them the one that was set first
          const [first] = [...waiting].sort((a, b) => a.at - b.at || a.name - b.name)
          rung.push(`${name} at ${clock.now()}`)
          assert.equal(`${name} at ${clock.now()}`, `${first?.name} at ${first?.at}`)
          waiting = waiting.filter((one) => one.name !== name)
          if (then.kind === 'set') set(then.at, { kind: 'nothing', at: 0 })
          else if (then.kind === 'clear') clear(then.at)
        })
        waiting.push({ name, at, alarm })
      }

      function clear(index: number): void {
        if (waiting.length === 0) return
        const [{ alarm }] = waiting.splice(index % waiting.length, 1) as [Expected]
        alarms.clear(alarm)
        alarms.clear(alarm) // a second time: left alone
      }

      for (const one of operations) {
        if (one.kind === 'set') set(one.at, one.ringing)
        else if (one.kind === 'clear') clear(one.at)
        else {
          await clock.advance(one.at)
          assert.equal(
            waiting.every(({ at }) => at > clock.now()),
            true,
          )
        }
        assert.equal(alarms.size, waiting.length)
        assert.equal(clock.timers, waiting.length > 0 ? 1 : 0)
      }
      await clock.advanceToEnd()
      expect([waiting, clock.timers]).toEqual([[], 0])
    }),
  )
})
