/** Thirty traces: `npm run torture -- --engine bullmq --traces 2000` compares as many as it is asked for. */
import { expect, onTestFinished, test } from 'vitest'
import { redisMissing, startRedis } from '../support/redis.js'
import { inMemory, onSQLite, overMemory, overRedis, withOtherLanes } from './back-ends.js'
import { compareTraces } from './compare.js'
import { lanes } from './trace.js'

const skip = redisMissing() !== undefined
const TRACES_MS = 60_000
const some = { firstSeed: 1, count: 30, together: 30 }

test('a trace has the same outcomes in memory, on SQLite and over a broker in memory', {
  timeout: TRACES_MS,
}, async () => {
  const { submits, differences } = await compareTraces({ ...some, backEnds: [inMemory, onSQLite(), overMemory] })
  expect(differences).toEqual([])
  expect(submits).toBeGreaterThan(150)
})

test('a trace has the same outcomes in memory and over a Redis server', { timeout: TRACES_MS, skip }, async () => {
  const server = await startRedis()
  onTestFinished(() => server.stop())
  const { differences } = await compareTraces({ ...some, backEnds: [inMemory, overRedis(server.url)] })
  expect(differences).toEqual([])
})

test('what retries otherwise, or puts commands off less often, is found out', { timeout: TRACES_MS }, async () => {
  const withoutRetries = withOtherLanes('without retries', { ...lanes, wide: { priority: 2, maxConcurrency: 8 } })
  const impatient = withOtherLanes('impatient', { ...lanes, narrow: { ...lanes.narrow, maxDeferrals: 1 } })
  const { differences } = await compareTraces({ ...some, backEnds: [inMemory, withoutRetries, impatient] })
  for (const name of ['without retries', 'impatient'])
    expect(differences.filter((text) => text.startsWith(name))).not.toEqual([])
})
