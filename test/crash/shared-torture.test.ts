/** A few kills: `npm run torture -- --engine bullmq` makes as many as it is asked for. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { BUILD_MS, build } from '../examples/built.js'
import { redisMissing } from '../support/redis.js'
import { checkHistory, isRight, VIOLATIONS } from './check-history.js'
import { buildPrograms, newProgramFolder } from './programs.mjs'
import { sharedLimits } from './shared-plan.js'
import { type SharedTorture, type SharedTortureOptions, tortureShared } from './shared-torture.js'

const skip = redisMissing() !== undefined
const TORTURE_MS = 120_000
let programs: string

describe.concurrent('processes that share lanes and are killed', () => {
  beforeAll(async () => {
    if (skip) return
    await build()
    programs = newProgramFolder()
    await buildPrograms(programs)
  }, BUILD_MS)

  afterAll(() => {
    if (!skip) rmSync(programs, { recursive: true, force: true })
  })

  async function tortured(options: Omit<SharedTortureOptions, 'program' | 'folder'>): Promise<SharedTorture> {
    const folder = mkdtempSync(join(tmpdir(), 'lane-torture-'))
    try {
      return await tortureShared({ ...options, program: join(programs, 'shared.mjs'), folder })
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  }

  test('lose nothing, settle nothing twice and run again only what was in flight', {
    timeout: TORTURE_MS,
    skip,
  }, async () => {
    const done = await tortured({ kills: 7, seed: 5 })
    const judgement = checkHistory(done.records, sharedLimits)
    expect(judgement.violations).toEqual(Object.fromEntries(VIOLATIONS.map((name) => [name, []])))
    expect(done.accidents).toEqual([])
    expect(done.deeds['server killed']).toBeGreaterThan(0)
    expect(judgement.accepted).toBeGreaterThan(100)
  })

  test('are found out when their engine forgets outcomes', { timeout: TORTURE_MS, skip }, async () => {
    const done = await tortured({ kills: 3, seed: 2, fault: 'forgets outcomes' })
    expect(isRight(checkHistory(done.records, sharedLimits))).toBe(false)
  })
})
