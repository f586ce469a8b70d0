/** The token budget against a provider that refuses what exceeds its limits: the figures hold, and its exit code says so. */
import { beforeAll, expect, test } from 'vitest'
import { BUILD_MS, build, run } from './built.js'

/** It works for twelve seconds of real time, and some more on a busy machine. */
const LIMIT_MS = 60_000

beforeAll(build, BUILD_MS)

test(
  'under 1 % of the calls are refused, and above 90 % of the granted tokens are used',
  async () => {
    const { code, stdout, stderr } = await run('token-budget/main')
    expect({ code, stderr }, stdout).toEqual({ code: 0, stderr: '' })
    const [free = '', budgeted = ''] = stdout.split('With both limits as a group')
    expect(free).toMatch(/refused +[\d,]+, \d+\.\d %/)
    expect(share(budgeted, /refused +[\d,]+, ([\d.]+) %/)).toBeLessThan(1)
    expect(share(budgeted, /tokens used +[\d,]+ of [\d,]+, ([\d.]+) %/)).toBeGreaterThan(90)
  },
  LIMIT_MS,
)

/** The percentage that a line of the report shows. */
const share = (report: string, line: RegExp): number => Number(line.exec(report)?.[1] ?? Number.NaN)
