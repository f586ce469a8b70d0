/** Claims the next command of a lane: BullMQ's `move_to_active`, and what it does not know: holds and rate limits. */
import type { CountedLimit } from '../lane-limits.js'
import type { Transaction } from './database.js'
import { COLUMNS, type JobRow, keepFields } from './pg-jobs.js'
import { Rates } from './pg-rates.js'

export type ClaimUse = {
  readonly token: string
  readonly leaseMs: number
  readonly worker: string
  /** An earlier claim with the token may have been made. */
  readonly isAgain: boolean
}

export type Refusal = {
  readonly why: 'empty' | 'full' | 'paused' | 'rate_limited'
  readonly retryAt: number | undefined
}

type LaneRow = {
  readonly rates: readonly CountedLimit[] | null
  readonly held_until_ms: number | null
  readonly paused: boolean
  readonly concurrency: string | null
  readonly active: string
  readonly due: string | null
}

const LANE = `SELECT l.rates, l.held_until_ms,
  EXISTS (SELECT 1 FROM meta WHERE queue = $1 AND field = 'paused' AND value = '1') AS paused,
  (SELECT value FROM meta WHERE queue = $1 AND field = 'concurrency') AS concurrency,
  (SELECT count(*) FROM job WHERE queue = $1 AND state = 'active') AS active,
  next_delay($1) AS due
  FROM (SELECT 1) AS one LEFT JOIN lane_limits l ON l.queue = $1`

export async function claimIn(tx: Transaction, queue: string, use: ClaimUse): Promise<JobRow | Refusal> {
  const { query, now } = tx
  if (use.isAgain) {
    const before = await jobWhere(tx, "j.queue = $1 AND j.state = 'active' AND j.lock_token = $2", [queue, use.token])
    if (before !== undefined) return before
  }
  const args = [queue, use.token, use.leaseMs, Math.floor(now), use.worker]
  const [plain] = await query<JobRow>(PLAIN, args)
  if (plain !== undefined) return await restored(tx, plain)
  const [lane] = await query<LaneRow>(LANE, [queue])
  const shut = lane === undefined ? undefined : shutBy(lane, now)
  if (shut !== undefined) return shut
  const limits = lane?.rates ?? []
  const first = limits.length === 0 ? undefined : await jobWhere(tx, FIRST, [queue, Math.floor(now)])
  if (first === undefined) return { why: 'empty', retryAt: dueOf(lane) }
  const rates = await Rates.read(query, limits, now)
  const cost = first.fields?.['laneCost']
  const waitMs = rates.waitMs(cost)
  if (waitMs > 0) return { why: 'rate_limited', retryAt: now + waitMs }
  const [claimed] = await query<JobRow>(CLAIMED, args)
  if (claimed === undefined) return { why: 'empty', retryAt: dueOf(lane) }
  await rates.take(query, cost)
  await keepFields(query, queue, claimed.id, { laneTaken: use.token })
  return await restored(tx, claimed)
}

const CLAIMED = `SELECT ${COLUMNS} FROM move_to_active($1, $2, $3, $4, $5, NULL, NULL) j`

/**
 * Where nothing but BullMQ's own rules is in the way. What claims takes the queue from what asks, which stays a query of its
 * own (OFFSET 0): so no plan can claim first.
 */
const PLAIN = `SELECT ${COLUMNS} FROM (SELECT $1::text AS queue WHERE NOT EXISTS (SELECT 1 FROM lane_limits
    WHERE queue = $1 AND (rates IS NOT NULL OR held_until_ms > $4::bigint)) OFFSET 0) AS open
  CROSS JOIN LATERAL move_to_active(open.queue, $2, $3, $4, $5, NULL, NULL) j`

const FIRST = `j.queue = $1 AND (j.state = 'waiting' OR (j.state = 'delayed' AND j.process_at_ms <= $2))
  ORDER BY j.priority, j.seq`

async function jobWhere(
  { query }: Transaction,
  where: string,
  values: readonly unknown[],
): Promise<JobRow | undefined> {
  return (await query<JobRow>(`SELECT ${COLUMNS} FROM job j WHERE ${where} LIMIT 1`, values))[0]
}

const dueOf = (lane: LaneRow | undefined): number | undefined => (lane?.due ? Number(lane.due) : undefined)

function shutBy(lane: LaneRow, now: number): Refusal | undefined {
  if (lane.paused) return { why: 'paused', retryAt: undefined }
  if (lane.concurrency !== null && Number(lane.active) >= Number(lane.concurrency)) {
    return { why: 'full', retryAt: undefined }
  }
  if (lane.held_until_ms !== null && lane.held_until_ms > now) {
    return { why: 'rate_limited', retryAt: lane.held_until_ms }
  }
  return undefined
}

/** What was released stands at the head of its lane, as if it had no priority: from now on it has its own again. */
async function restored({ query }: Transaction, row: JobRow): Promise<JobRow> {
  const { queue, id, priority, fields } = row
  const own = fields?.['lanePriority']
  if (own === undefined || own === '' || priority !== 0) return row
  await query('UPDATE job SET priority = $3 WHERE queue = $1 AND id = $2', [queue, id, Number(own)])
  await keepFields(query, queue, id, { lanePriority: '' })
  return row
}
