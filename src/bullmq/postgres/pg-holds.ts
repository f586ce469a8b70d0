/** Dedupe ids: whose each is, and what becomes of it when its command has settled. As on Redis (`lua/shared.ts`). */
import type { Transaction } from './database.js'
import { jobOf, keepFields, plainText, publish, wake } from './pg-jobs.js'

type Query = Transaction['query']

type Hold = {
  readonly queue: string
  readonly job: string
  readonly until_ms: number
  readonly is_settled: boolean
  readonly next_queue: string | null
  readonly next_job: string | null
  readonly next_until_ms: number | null
}

export type Owner = { readonly queue: string; readonly job: string; readonly isSettled: boolean; readonly hold: Hold }

/** A command that was cancelled on the way. */
export type Told = { readonly queue: string; readonly id: string; readonly replyTo: string; readonly waiters: string }

/** Whatever characters an id has, a column takes its JSON text. */
export const keyOf = (id: string): string => JSON.stringify(id)

/** Whose the id is, unless its window has ended or it is gone. */
export async function ownerOf(query: Query, id: string, now: number): Promise<Owner | undefined> {
  const [hold] = await query<Hold>('SELECT * FROM lane_hold WHERE id = $1', [keyOf(id)])
  if (hold === undefined) return undefined
  const isOver = hold.is_settled && hold.until_ms <= now
  if (isOver || (!hold.is_settled && (await jobOf(query, hold.queue, hold.job)) === undefined)) {
    await query('DELETE FROM lane_hold WHERE id = $1', [keyOf(id)])
    return undefined
  }
  return { queue: hold.queue, job: hold.job, isSettled: hold.is_settled, hold }
}

export async function ownHold(
  query: Query,
  id: string,
  owner: { readonly queue: string; readonly job: string; readonly until: number },
): Promise<void> {
  await query(
    `INSERT INTO lane_hold (id, queue, job, until_ms) VALUES ($1, $2, $3, $4)
     ON CONFLICT (id) DO UPDATE SET queue = $2, job = $3, until_ms = $4, is_settled = false,
       next_queue = NULL, next_job = NULL, next_until_ms = NULL`,
    [keyOf(id), owner.queue, owner.job, owner.until],
  )
}

/** The command of an id has settled: the next one follows, or its window goes on. */
export async function settleHold(
  query: Query,
  job: { readonly queue: string; readonly id: string },
  dedupeId: string,
  now: number,
): Promise<void> {
  const key = keyOf(dedupeId)
  const [hold] = await query<Hold>('SELECT * FROM lane_hold WHERE id = $1', [key])
  if (hold === undefined) return
  if (hold.queue !== job.queue || hold.job !== job.id) {
    if (hold.next_queue === job.queue && hold.next_job === job.id) {
      await query('UPDATE lane_hold SET next_queue = NULL, next_job = NULL, next_until_ms = NULL WHERE id = $1', [key])
    }
  } else if (hold.next_queue !== null && hold.next_job !== null) {
    await ownHold(query, dedupeId, { queue: hold.next_queue, job: hold.next_job, until: hold.next_until_ms ?? 0 })
    await enqueue(query, hold.next_queue, hold.next_job, now)
  } else if (hold.until_ms > now) await query('UPDATE lane_hold SET is_settled = true WHERE id = $1', [key])
  else await query('DELETE FROM lane_hold WHERE id = $1', [key])
}

/** Puts a command that stood aside among those that wait, or among the delayed ones. */
async function enqueue(query: Query, queue: string, id: string, now: number): Promise<void> {
  await query('UPDATE lane_command SET is_parked = false WHERE queue = $1 AND id = $2', [queue, id])
  const due = Number((await jobOf(query, queue, id))?.fields?.['laneDue'] ?? 0)
  if (due > now) {
    await query('UPDATE job SET process_at_ms = $3 WHERE queue = $1 AND id = $2', [queue, id, Math.ceil(due)])
  } else {
    await query(
      "UPDATE job SET state = 'waiting', delay_ms = 0, process_at_ms = NULL, seq = nextval('job_seq') WHERE queue = $1 AND id = $2",
      [queue, id],
    )
    await query(
      'UPDATE lane_command c SET place = j.seq FROM job j WHERE j.queue = $1 AND j.id = $2 AND c.queue = $1 AND c.id = $2',
      [queue, id],
    )
    await publish(query, queue, 'waiting', { jobId: id })
  }
  await wake(query, queue)
}

/** Gives a command that does not run the outcome 'cancelled'. Undefined when it does not wait. */
export async function cancelWaiting(
  query: Query,
  job: { readonly queue: string; readonly id: string },
  why: { readonly reason: string; readonly failure: string; readonly now: number },
): Promise<Told | undefined> {
  const { queue, id } = job
  const { reason, failure, now } = why
  const rows = await query(
    `UPDATE job SET state = 'failed', failed_reason = $3, finished_at_ms = $4, process_at_ms = NULL
     WHERE queue = $1 AND id = $2 AND state IN ('waiting', 'delayed') RETURNING id`,
    [queue, id, plainText(reason), now],
  )
  if (rows.length === 0) return undefined
  await keepFields(query, queue, id, { laneState: 'cancelled', laneError: failure })
  await query('UPDATE lane_command SET is_parked = false WHERE queue = $1 AND id = $2', [queue, id])
  await publish(query, queue, 'failed', { jobId: id, failedReason: plainText(reason), prev: 'waiting' })
  const fields = (await jobOf(query, queue, id))?.fields ?? {}
  const dedupe = fields['laneDedupe']
  if (dedupe !== undefined) await settleHold(query, job, dedupe, now)
  return { queue, id, replyTo: fields['laneReply'] ?? '', waiters: fields['laneWaiters'] ?? '' }
}

/** One more process waits for the outcome of a command. */
export async function awaitOutcome(
  query: Query,
  {
    queue,
    id,
    fields,
  }: { readonly queue: string; readonly id: string; readonly fields: Readonly<Record<string, string>> | null },
  instance: string,
): Promise<void> {
  const waiters = (fields?.['laneWaiters'] ?? '').split(',').filter((one) => one !== '')
  if (instance === '' || fields?.['laneReply'] === instance || waiters.includes(instance)) return
  await keepFields(query, queue, id, { laneWaiters: [...waiters, instance].join(',') })
}
