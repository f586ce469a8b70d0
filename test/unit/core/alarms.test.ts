import { expect, test } from 'vitest'
import { Alarms } from '../../../src/core/alarms.js'
import { VirtualClock } from '../../../src/testing/index.js'

const make = (): {
  clock: VirtualClock
  alarms: Alarms
  rung: string[]
  set: (at: number, name: string) => ReturnType<Alarms['set']>
} => {
  const clock = new VirtualClock()
  const alarms = new Alarms(clock)
  const rung: string[] = []
  return { clock, alarms, rung, set: (at, name) => alarms.set(at, () => rung.push(`${name} at ${clock.now()}`)) }
}

test('alarms go off at their instants, all behind one timer', async () => {
  const { clock, alarms, rung, set } = make()
  set(30, 'c')
  set(10, 'a')
  set(20, 'b')
  expect([alarms.size, clock.timers]).toEqual([3, 1])
  await clock.advance(30)
  expect(rung).toEqual(['a at 10', 'b at 20', 'c at 30'])
  expect([alarms.size, clock.timers]).toEqual([0, 0])
})

test('alarms of one instant go off in the order in which they were set', async () => {
  const { clock, rung, set } = make()
  for (const name of ['a', 'b', 'c', 'd', 'e']) set(10, name)
  await clock.advance(10)
  expect(rung.map((one) => one[0])).toEqual(['a', 'b', 'c', 'd', 'e'])
})

test('an alarm that is taken back stays silent, and the last one takes the timer with it', async () => {
  const { clock, alarms, rung, set } = make()
  const alarm = set(10, 'a')
  set(20, 'b')
  alarms.clear(alarm)
  alarms.clear(alarm)
  alarms.clear(undefined)
  await clock.advance(15)
  expect(rung).toEqual([])
  await clock.advance(5)
  expect(rung).toEqual(['b at 20'])
  alarms.clear(set(50, 'c'))
  expect(clock.timers).toBe(0)
})

test('an alarm that has passed already goes off at once', async () => {
  const { clock, rung, set } = make()
  await clock.advance(100)
  set(50, 'late')
  await clock.advance(0)
  expect(rung).toEqual(['late at 100'])
})

test('an alarm may set and take back others while it rings', async () => {
  const { clock, alarms, rung, set } = make()
  const victim = set(20, 'never')
  alarms.set(10, () => {
    alarms.clear(victim)
    set(10, 'at once')
    set(15, 'later')
  })
  await clock.advance(30)
  expect(rung).toEqual(['at once at 10', 'later at 15'])
  expect(clock.timers).toBe(0)
})

test('an alarm that throws does not silence the others', async () => {
  const { clock, alarms, rung, set } = make()
  alarms.set(10, () => {
    throw new Error('alarm broke')
  })
  set(20, 'b')
  await expect(clock.advance(10)).rejects.toThrow('alarm broke')
  await clock.advance(10)
  expect(rung).toEqual(['b at 20'])
})
