/** Gives back what nobody holds any more, and removes what is kept too long. */
import type { CheckedOptions } from '../options.js'
import { SWEPT_MS } from '../sweep.js'
import type { Transaction } from './database.js'
import { recover } from './pg-leases.js'

/** Most that are removed of a lane at once. */
const REMOVED = 2000
/** Long messages are kept for whoever has been told their number. */
const MESSAGE_MS = 60_000

export async function sweepIn(
  tx: Transaction,
  queues: readonly string[],
  { keepCount, keepAgeSeconds }: Pick<CheckedOptions, 'keepCount' | 'keepAgeSeconds'>,
): Promise<void> {
  const { query } = tx
  const now = Math.floor(tx.now)
  const first = await query(
    `INSERT INTO meta (queue, field, value) VALUES ('~lane', 'swept', $1::text)
     ON CONFLICT (queue, field) DO UPDATE SET value = $1::text WHERE meta.value::bigint <= $1::bigint - ${SWEPT_MS}
     RETURNING value`,
    [now],
  )
  if (first.length === 0) return
  await recover(tx, queues)
  await query(
    `DELETE FROM job WHERE (queue, id) IN (SELECT queue, id FROM job WHERE queue = ANY($1)
       AND state IN ('completed', 'failed') AND finished_at_ms <= $2 LIMIT ${REMOVED})`,
    [queues, now - keepAgeSeconds * 1000],
  )
  for (const queue of queues) {
    for (const state of ['completed', 'failed']) {
      await query(
        `DELETE FROM job WHERE queue = $1 AND id IN (SELECT id FROM job WHERE queue = $1 AND state = $2::job_state
           ORDER BY finished_at_ms DESC, seq DESC OFFSET $3 LIMIT ${REMOVED})`,
        [queue, state, keepCount],
      )
    }
  }
  await query('DELETE FROM lane_message WHERE at_ms < $1', [now - MESSAGE_MS])
  await query('DELETE FROM lane_hold WHERE is_settled AND until_ms < $1', [now])
}
