/** Lanes as they are kept on Postgres. */

import type { EngineLane } from '../../core/index.js'
import { laneIdOf, queueNameOf } from '../ids.js'
import { countedLimits, limitsText } from '../lane-limits.js'
import type { CancelQuestion, CancelReply, LaneNews, LaneStore } from '../lanes.js'
import type { Announcement } from '../messages.js'
import { cancelledText } from '../submit-answers.js'
import { type Database, type Transaction, tell } from './database.js'
import { cancelWaiting } from './pg-holds.js'
import { COLUMNS, type JobRow, keepFields, wake } from './pg-jobs.js'

/** Names of limits, as on Redis. */
const NAMES = { own: '~', prefixOf: (laneId: string): string => `${queueNameOf(laneId)}:` }

export function pgLanes(database: Database, now: () => number): LaneStore {
  return {
    open: (lanes, isForced) => database.run((tx) => openIn(tx, database.channel, lanes, isForced)),
    pause: (laneId, isPaused, announcement) =>
      database.run(async ({ query, now: at }) => {
        await query('SELECT pause($1, $2)', [queueNameOf(laneId), isPaused])
        await tell(query, database.channel, JSON.stringify(announcement), at)
      }),
    look: (laneIds) => database.run((tx) => lookIn(tx, laneIds)),
    hold: (laneId, ms) =>
      database.run(({ query, now: at }) =>
        query('UPDATE lane_limits SET held_until_ms = GREATEST(held_until_ms, $2) WHERE queue = $1', [
          queueNameOf(laneId),
          at + ms,
        ]),
      ),
    cancel: (question) => database.run((tx) => cancelIn(tx, question, Math.floor(now()))),
  }
}

async function openIn(
  { query, now }: Transaction,
  channel: string,
  lanes: readonly EngineLane[],
  isForced: boolean,
): Promise<ReadonlyMap<string, string>> {
  const rows = await query<{ queue: string; limits: string }>(
    'SELECT queue, limits FROM lane_limits WHERE queue = ANY($1)',
    [lanes.map(({ laneId }) => queueNameOf(laneId))],
  )
  const known = new Map(rows.map(({ queue, limits }) => [laneIdOf(queue), limits]))
  const others = new Map(
    lanes.flatMap((lane): [string, string][] => {
      const limits = known.get(lane.laneId)
      return limits === undefined || limits === limitsText(lane) ? [] : [[lane.laneId, limits]]
    }),
  )
  if (!isForced && others.size > 0) return others
  for (const lane of lanes) {
    await takeIn(query, lane)
    if (!others.has(lane.laneId)) continue
    const announcement: Announcement = { kind: 'lane', laneId: lane.laneId, limits: limitsText(lane) }
    await tell(query, channel, JSON.stringify(announcement), now)
    await wake(query, queueNameOf(lane.laneId))
  }
  return others
}

async function takeIn(query: Transaction['query'], lane: EngineLane): Promise<void> {
  const queue = queueNameOf(lane.laneId)
  const rates = countedLimits(lane, NAMES)
  await query(
    `INSERT INTO lane_limits (queue, limits, capacity, rates) VALUES ($1, $2, $3, $4::jsonb)
     ON CONFLICT (queue) DO UPDATE SET limits = $2, capacity = $3, rates = $4::jsonb`,
    [queue, limitsText(lane), finite(lane.capacity), rates.length === 0 ? null : JSON.stringify(rates)],
  )
  const concurrency = finite(lane.maxConcurrency)
  if (concurrency === null) await query("DELETE FROM meta WHERE queue = $1 AND field = 'concurrency'", [queue])
  else {
    await query(
      `INSERT INTO meta (queue, field, value) VALUES ($1, 'concurrency', $2)
       ON CONFLICT (queue, field) DO UPDATE SET value = $2`,
      [queue, String(concurrency)],
    )
  }
}

const finite = (value: number): number | null => (Number.isFinite(value) ? value : null)

async function lookIn({ query }: Transaction, laneIds: readonly string[]): Promise<readonly LaneNews[]> {
  const rows = await query<{ queue: string; paused: boolean; limits: string | null }>(
    `SELECT t.queue, l.limits,
       EXISTS (SELECT 1 FROM meta m WHERE m.queue = t.queue AND m.field = 'paused' AND m.value = '1') AS paused
     FROM unnest($1::text[]) AS t(queue) LEFT JOIN lane_limits l ON l.queue = t.queue`,
    [laneIds.map(queueNameOf)],
  )
  return rows.map(({ queue, paused, limits }) => ({
    laneId: laneIdOf(queue),
    isPaused: paused,
    ...(limits === null ? {} : { limits }),
  }))
}

async function cancelIn(
  { query }: Transaction,
  { jobId, laneId, isForeign, reason }: CancelQuestion,
  now: number,
): Promise<CancelReply> {
  const rows = await query<JobRow>(
    `SELECT ${COLUMNS} FROM job j WHERE j.id = $1 AND j.queue IN (SELECT queue FROM lane_limits)
     AND ($2::text IS NULL OR j.queue = $2)`,
    [jobId, laneId === undefined ? null : queueNameOf(laneId)],
  )
  const row = rows.find(({ fields }) => (fields?.['lane'] === undefined) === isForeign)
  if (row === undefined || row.finished_at_ms !== null) return 'too_late'
  const told = await cancelWaiting(query, row, { reason, failure: cancelledText(reason), now })
  if (told !== undefined) {
    return { laneId: laneIdOf(told.queue), jobId: told.id, replyTo: told.replyTo, waiters: told.waiters }
  }
  if (row.state !== 'active') return 'too_late'
  await keepFields(query, row.queue, row.id, { laneCancel: reason === '' ? ' ' : reason })
  return 'requested'
}
