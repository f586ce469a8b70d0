/** `npm run torture -- --engine bullmq --traces N`: compares outcomes, and prints where they differ. */
import { startRedis } from '../support/redis.js'
import { inMemory, onSQLite, overMemory, overRedis } from './back-ends.js'
import { compareTraces } from './compare.js'

export type TracesCommand = {
  readonly count: number
  readonly firstSeed: number
  readonly print: (line: string) => void
}

/** Traces that one queue is put through at once. */
const TOGETHER = 40
const SHOWN = 20

/** Whether all back ends agree. */
export async function runTraces({ count, firstSeed, print }: TracesCommand): Promise<boolean> {
  const startedAt = performance.now()
  const server = await startRedis()
  try {
    const backEnds = [inMemory, onSQLite(), overMemory, overRedis(server.url)]
    const { submits, differences } = await compareTraces({ backEnds, firstSeed, count, together: TOGETHER })
    for (const text of differences.slice(0, SHOWN)) print(text)
    const seconds = ((performance.now() - startedAt) / 1000).toFixed(1)
    const names = backEnds.map(({ name }) => name).join(', ')
    print(`${count} traces of ${submits} submits from seed ${firstSeed} on, ${names}: ${seconds} s`)
    print(`${differences.length === 0 ? 'right' : 'WRONG'}: ${differences.length} outcomes differ`)
    return differences.length === 0
  } finally {
    await server.stop()
  }
}
