/**
 * How many histories are tried, and how one that failed is run again.
 *
 *   LANE_MODEL_RUNS=50000 npx vitest run test/model      more of them
 *   LANE_SEED=… LANE_PATH=… npx vitest run test/model/queue.test.ts      the one that a failure printed
 *
 * A seed that failed is kept in seeds.json, with the path that it had been shrunk to, and is run again every time.
 */
import { readFileSync } from 'node:fs'
import fc from 'fast-check'

const RUNS = Number(process.env['LANE_MODEL_RUNS'] ?? 300)

/** Set while planted bugs are tried: which history catches one matters, not how short it can be made. */
const DO_NOT_SHRINK = process.env['LANE_MODEL_SHRINK'] === '0'

export type KeptSeed = { readonly seed: number; readonly path: string; readonly found: string }

export const keptSeeds = (): KeptSeed[] =>
  JSON.parse(readFileSync(new URL('seeds.json', import.meta.url), 'utf8')) as KeptSeed[]

/** Runs a property and gives the number of its runs; a failure says how to replay and how to keep it. */
export async function checkHistories<T>(property: fc.IAsyncProperty<T>, kept?: KeptSeed): Promise<number> {
  const replay = kept === undefined ? {} : { seed: kept.seed, path: kept.path, endOnFailure: true }
  const options = { numRuns: RUNS, endOnFailure: DO_NOT_SHRINK, ...replay }
  const details = await fc.check(property, options)
  if (!details.failed) return details.numRuns
  const { seed, counterexamplePath: path } = details
  const how = [
    `Replay:  LANE_SEED=${seed} LANE_PATH=${path} npx vitest run test/model/queue.test.ts`,
    `Keep it: { "seed": ${seed}, "path": "${path}", "found": "what was wrong" } in test/model/seeds.json`,
  ]
  throw new Error(`${await fc.asyncDefaultReportMessage(details)}\n${how.join('\n')}`, { cause: details.errorInstance })
}
