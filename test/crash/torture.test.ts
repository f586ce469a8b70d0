/** Fifty kills: `npm run torture` makes as many as it is asked for. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { BUILD_MS, build } from '../examples/built.js'
import { checkHistory, isRight, VIOLATIONS } from './check-history.js'
import { judgePoisoning, poison } from './poison.js'
import { buildPrograms, newProgramFolder } from './programs.mjs'
import { buildRecorder, whyNoRecorder } from './recorder.js'
import { torture } from './torture.js'
import { openSecond } from './torture-command.js'
import { limits } from './torture-plan.js'

const TORTURE_MS = 120_000
let programs: string
let program: string

beforeAll(async () => {
  await build()
  programs = newProgramFolder()
  await buildPrograms(programs)
  program = join(programs, 'torture.mjs')
}, BUILD_MS)

afterAll(() => rmSync(programs, { recursive: true, force: true }))

function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'lane-torture-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

describe('processes on one file that are killed', () => {
  test('lose nothing, settle nothing twice and run again only what was in flight', {
    timeout: TORTURE_MS,
  }, async () => {
    const workplace = newFolder()
    const library = whyNoRecorder() === undefined ? buildRecorder(workplace) : undefined
    const done = await torture({ program, folder: join(workplace, 'data'), kills: 50, seed: 1, library, openSecond })
    const judgement = checkHistory(done.records, limits)
    expect(judgement.violations).toEqual(Object.fromEntries(VIOLATIONS.map((name) => [name, []])))
    expect([...done.accidents, ...done.intruders]).toEqual([])
    expect(Object.values(done.endings).reduce((sum, count) => sum + count, 0) - done.endings.SIGTERM).toBe(50)
    expect(judgement.accepted).toBeGreaterThan(500)
    expect(judgement.duplicateRuns).toBeLessThanOrEqual(judgement.inFlightAtKills)
  })

  test.each(['answers before it writes', 'forgets what begins'] as const)(
    'are found out when their storage %s',
    { timeout: TORTURE_MS },
    async (fault) => {
      const done = await torture({ program, folder: newFolder(), kills: 12, seed: 2, fault })
      expect(isRight(checkHistory(done.records, limits)) && done.accidents.length === 0).toBe(false)
    },
  )
})

test('a command that kills its process is given up after three recoveries', { timeout: TORTURE_MS }, async () => {
  expect(judgePoisoning(await poison(program, newFolder()))).toBeUndefined()
})
