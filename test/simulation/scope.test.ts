/** The small scopes, less deep than `npm run sim -- --scope` explores them. */
import { expect, test } from 'vitest'
import { runScope } from './scope/index.js'

/** Operations in a row: about 3 s. */
const DEPTH = 4

test('every path of the small scopes keeps every invariant and comes to its end', async () => {
  const lines: string[] = []
  const isRight = await runScope({ print: (line) => lines.push(line), depth: DEPTH })
  expect(isRight, lines.join('\n')).toBe(true)
  expect(lines[0]).toBe('49 pairs of states, 11 legal steps, 0 against the design')
  expect(lines.at(-1)).toMatch(/ transitions, \d+ compared with their double, 0 violated; /)
}, 60_000)

test('a path is walked again by the name of its scope and its operations', async () => {
  const lines: string[] = []
  const wanted = ['one preempts one', 'submit 1, submit 0, throw 1, return 0']
  expect(await runScope({ print: (line) => lines.push(line), wanted })).toBe(true)
  expect(lines).toHaveLength(5)
})
