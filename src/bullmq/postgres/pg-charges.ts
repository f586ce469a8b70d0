/** What an attempt has really cost, for the rate limits of its lane: what `lua/charge.ts` is for Redis. */
import type { EngineCharge } from '../../core/index.js'
import { laneIdOf } from '../ids.js'
import type { CountedLimit } from '../lane-limits.js'
import type { Transaction } from './database.js'
import { type JobRow, keepFields } from './pg-jobs.js'
import { Rates } from './pg-rates.js'

type Limited = { readonly queue: string; readonly rates: readonly CountedLimit[] }

/** The last charge under a lock: token, number, instant of its last debt, the cost. */
const KEPT = /^(\S+) (\d+) (\S+) (.*)$/s

/** Of a job whose lock is held. Gives the lanes that may start more. */
export async function chargeIn(
  { query, now }: Transaction,
  { queue, id, lock_token: token, processed_at_ms: processedAt, fields }: JobRow,
  { number, before, after }: EngineCharge,
): Promise<readonly string[]> {
  const [lane] = await query<Limited>('SELECT queue, rates FROM lane_limits WHERE queue = $1 AND rates IS NOT NULL', [
    queue,
  ])
  const [, by, told, debt, cost] = KEPT.exec(fields?.['laneCharged'] ?? '') ?? []
  const isOfLock = by === token
  if (lane === undefined || (isOfLock && Number(told) >= number)) return []
  const rates = await Rates.read(query, lane.rates, now)
  const taken = {
    // what began before there was a limit has taken nothing from it; the instant of a claim is kept in whole milliseconds
    before: fields?.['laneTaken'] === token ? (Number(processedAt) + 1) * 1000 : undefined,
    debtAt: isOfLock ? Number(debt) : 0,
  }
  const { richer, debtAt } = await rates.settle(query, { before: isOfLock ? cost : before, after }, taken)
  await keepFields(query, queue, id, { laneCharged: `${token} ${number} ${debtAt} ${after}` })
  return richer.length === 0 ? [] : await waitingFor(query, richer)
}

/** Lanes that have something to start and a limit of these. */
async function waitingFor(query: Transaction['query'], keys: readonly string[]): Promise<readonly string[]> {
  const lanes = await query<Limited>(
    `SELECT queue, rates FROM lane_limits l WHERE rates IS NOT NULL
     AND EXISTS (SELECT 1 FROM job j WHERE j.queue = l.queue AND j.state = 'waiting')`,
  )
  return lanes.filter(({ rates }) => rates.some(({ key }) => keys.includes(key))).map(({ queue }) => laneIdOf(queue))
}
