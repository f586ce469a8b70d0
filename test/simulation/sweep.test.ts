/** A part of the sweep of failing calls; `npm run sim -- --sweep` plays every case. */
import { expect, test } from 'vitest'
import { runStorageSweep } from './durable/index.js'
import { availableFeatures } from './features.js'
import { runSweep } from './sweep/index.js'

/** Of so many cases one is played here: about 3 s. */
const EVERY = 11

test('whichever call fails, everything settles, no slot is lost and nobody hears of a success that was none', async () => {
  const lines: string[] = []
  const isRight = await runSweep({ print: (line) => lines.push(line), every: EVERY })
  expect(isRight, lines.join('\n')).toBe(true)
  expect(lines.at(-1)).toMatch(/^sweep: \d{3} cases, 0 violated$/)
}, 60_000)

test('a single case is played again by its scenario, kind, number and mode', async () => {
  const lines: string[] = []
  const wanted = ['dead letters', 'handler', '2', 'rejects']
  expect(await runSweep({ print: (line) => lines.push(line), wanted })).toBe(true)
  expect(lines).toEqual([`'dead letters and redrive' handler 2 rejects: nothing is violated`])
})

test('whichever call to a storage fails, nothing that was accepted is lost and nothing is told that is not written', async () => {
  const lines: string[] = []
  const settings = { print: (line: string) => lines.push(line), available: await availableFeatures(), every: EVERY }
  expect(await runStorageSweep(settings), lines.join('\n')).toBe(true)
  expect(lines.at(-1)).toMatch(/^storage sweep: \d+ cases, 0 violated$/)
}, 60_000)
