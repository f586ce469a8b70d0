/** Claims, and what becomes of their leases. */
import type {
  Claim,
  ClaimAnswer,
  EndAnswer,
  EngineCharge,
  EngineProgress,
  EngineUse,
  Lease,
  LeaseEnd,
  RenewAnswer,
} from '../../core/index.js'
import { jobIdOf, queueNameOf } from '../ids.js'
import { claimOfFields, failedReasonOf, progressFields } from '../job-form.js'
import { renewAnswer, settledOutcome } from '../leases.js'
import type { Messages } from '../messages.js'
import type { CheckedOptions } from '../options.js'
import type { Database, Transaction } from './database.js'
import { chargeIn } from './pg-charges.js'
import { type ClaimUse, claimIn, type Refusal } from './pg-claims.js'
import { keyOf, settleHold } from './pg-holds.js'
import {
  fieldsOfRow,
  type JobRow,
  jobOf,
  jsonbText,
  keepFields,
  objectOf,
  plainText,
  publish,
  wake,
} from './pg-jobs.js'

type Ended = {
  readonly isLost: boolean
  readonly fields: Readonly<Record<string, string>>
  readonly next: JobRow | Refusal | undefined
}

export class PgLeases {
  readonly #database: Database
  readonly #messages: Messages
  readonly #use: EngineUse
  readonly #options: CheckedOptions
  /** Tokens of what runs here, by command. */
  readonly #running = new Map<string, string>()
  /** Tokens of ends that were told without an answer. */
  readonly #unsure = new Set<string>()

  constructor(database: Database, messages: Messages, use: EngineUse, options: CheckedOptions) {
    this.#database = database
    this.#messages = messages
    this.#use = use
    this.#options = options
  }

  get count(): number {
    return this.#running.size
  }

  has(id: string): boolean {
    return this.#running.has(id)
  }

  async claim(laneId: string, token: string): Promise<ClaimAnswer> {
    const queue = queueNameOf(laneId)
    const found = await this.#database.run((tx, isAgain) => claimIn(tx, queue, this.#claimUse(token, isAgain)))
    return this.#taken(laneId, token, found)
  }

  async end(lease: Lease, end: LeaseEnd, nextToken: string | undefined): Promise<EndAnswer> {
    const { laneId, token } = lease
    const { isLost, fields, next } = await this.#database
      .run((tx, isAgain) => this.#endIn(tx, lease, end, { nextToken, isAgain: isAgain || this.#unsure.has(token) }))
      .catch((error: unknown) => {
        this.#unsure.add(token)
        throw error
      })
    this.#unsure.delete(token)
    this.#forget(lease)
    if (!isLost && end.kind === 'settle') {
      this.#messages.outcome(fields['laneReply'] ?? '', fields['laneWaiters'], settledOutcome(lease, end))
    }
    return { isLost, next: next === undefined ? undefined : this.#taken(laneId, nextToken as string, next) }
  }

  async renew(leases: readonly Lease[]): Promise<readonly RenewAnswer[]> {
    const held = await this.#database.runNow<{ lock_token: string; reason: string | null }>(RENEW, [
      leases.map(({ laneId }) => queueNameOf(laneId)),
      leases.map(({ id, laneId }) => jobIdOf(id, laneId)),
      leases.map(({ token }) => token),
      this.#options.leaseMs,
    ])
    const byToken = new Map(held.map(({ lock_token: token, reason }) => [token, reason ?? undefined]))
    return leases.map((lease) => {
      const isHeld = byToken.has(lease.token)
      if (!isHeld) this.#forget(lease)
      return renewAnswer(isHeld, byToken.get(lease.token))
    })
  }

  save(lease: Lease, progress: EngineProgress): Promise<boolean> {
    const queue = queueNameOf(lease.laneId)
    const job = jobIdOf(lease.id, lease.laneId)
    return this.#database.run(async ({ query, now }) => {
      if (!isHeldBy(await jobOf(query, queue, job), lease.token, now)) return false
      await keepFields(query, queue, job, objectOf(progressFields(progress, true)))
      return true
    })
  }

  async charge({ id, laneId, token }: Lease, charge: EngineCharge): Promise<void> {
    const laneIds = await this.#database.run(async (tx) => {
      const row = await jobOf(tx.query, queueNameOf(laneId), jobIdOf(id, laneId))
      return row !== undefined && isHeldBy(row, token, tx.now) ? await chargeIn(tx, row, charge) : []
    })
    if (laneIds.length > 0) this.#messages.announce({ kind: 'rate', laneIds })
  }

  #claimUse(token: string, isAgain: boolean): ClaimUse {
    return { token, leaseMs: this.#options.leaseMs, worker: this.#use.instanceId, isAgain }
  }

  #taken(laneId: string, token: string, found: JobRow | Refusal): ClaimAnswer {
    if ('why' in found) return { claim: undefined, ...found }
    const claim: Claim = claimOfFields(found.id, laneId, token, fieldsOfRow(found))
    this.#running.set(claim.command.id, token)
    return { claim }
  }

  /** It may run here again, under another token. */
  #forget({ id, token }: Lease): void {
    if (this.#running.get(id) === token) this.#running.delete(id)
  }

  async #endIn(
    tx: Transaction,
    lease: Lease,
    end: LeaseEnd,
    { nextToken, isAgain }: { readonly nextToken: string | undefined; readonly isAgain: boolean },
  ): Promise<Ended> {
    const queue = queueNameOf(lease.laneId)
    const row = await jobOf(tx.query, queue, jobIdOf(lease.id, lease.laneId))
    const isHeld = isHeldBy(row, lease.token, tx.now)
    // told before, it has been done before: what became of the command since is not touched
    const isDone = isAgain && row?.fields?.['laneToken'] === lease.token
    if (isHeld) await this.#endHeld(tx, lease, end, row as JobRow)
    const next = nextToken === undefined ? undefined : await claimIn(tx, queue, this.#claimUse(nextToken, isAgain))
    if (nextToken === undefined && isHeld) await wakeIfLimited(tx, queue)
    return { isLost: !isHeld && !isDone, fields: row?.fields ?? {}, next }
  }

  async #endHeld(tx: Transaction, lease: Lease, end: LeaseEnd, row: JobRow): Promise<void> {
    const { query } = tx
    const { queue, id, fields } = row
    const kept = { ...objectOf(progressFields(end.progress, true)), laneToken: lease.token }
    if (end.kind === 'settle') await this.#settle(query, lease, end, { row, kept })
    else {
      await keepFields(query, queue, id, { ...kept, laneLost: '' })
      if (end.kind === 'delay') await delay(query, row, end, Math.floor(this.#use.now()))
      else await release(query, row)
    }
    if (end.kind === 'settle' && fields?.['laneDedupe'] !== undefined) {
      await settleHold(query, row, fields['laneDedupe'], this.#use.now())
    }
  }

  async #settle(
    query: Transaction['query'],
    lease: Lease,
    { state, result, error, letter }: Extract<LeaseEnd, { kind: 'settle' }>,
    { row: { queue, id }, kept }: { readonly row: JobRow; readonly kept: Readonly<Record<string, string>> },
  ): Promise<void> {
    const now = Math.floor(this.#use.now())
    if (state === 'completed') {
      const value = result === undefined ? 'null' : jsonbText(result)
      await query('SELECT move_to_completed($1, $2, $3, $4::jsonb, $5, false, NULL, NULL)', [
        queue,
        id,
        lease.token,
        value,
        now,
      ])
      const bare: Record<string, string> = result === undefined ? { laneBareResult: '1' } : {}
      await keepFields(query, queue, id, { ...kept, laneState: state, returnvalue: result ?? 'null', ...bare })
    } else {
      const reason = plainText(failedReasonOf(error, state))
      await query('SELECT move_to_failed($1, $2, $3, $4, NULL, $5, false, NULL, NULL)', [
        queue,
        id,
        lease.token,
        reason,
        now,
      ])
      await keepFields(query, queue, id, {
        ...kept,
        laneState: state,
        ...(error === undefined ? {} : { laneError: error }),
      })
    }
    if (letter === undefined) return
    await query(
      `INSERT INTO lane_letter (id, lane_id, letter) VALUES ($1, $2, $3)
       ON CONFLICT (id) DO UPDATE SET letter = EXCLUDED.letter, place = nextval('lane_letter_place_seq')`,
      [keyOf(lease.id), keyOf(lease.laneId), letter],
    )
  }
}

/**
 * Waits for no row: two that waited for each other's would stand still for a second, until the server finds out. A job
 * that is locked is being ended, saved or given back: if it is not lost, the next renewal finds it.
 */
const RENEW = `WITH now AS MATERIALIZED (SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS ms),
  asked AS (SELECT * FROM unnest($1::text[], $2::text[], $3::text[]) AS t(queue, id, token)),
  held AS (SELECT j.queue, j.id, j.lock_token FROM job j JOIN asked a ON a.queue = j.queue AND a.id = j.id, now
    WHERE j.lock_token = a.token AND j.state = 'active' AND j.locked_until_ms > now.ms),
  free AS (SELECT j.queue, j.id FROM job j JOIN asked a ON a.queue = j.queue AND a.id = j.id, now
    WHERE j.lock_token = a.token AND j.state = 'active' AND j.locked_until_ms > now.ms
    FOR NO KEY UPDATE OF j SKIP LOCKED),
  renewed AS (UPDATE job j SET locked_until_ms = now.ms + $4 FROM free f, now WHERE j.queue = f.queue AND j.id = f.id)
  SELECT h.lock_token,
    (SELECT c.fields->>'laneCancel' FROM lane_command c WHERE c.queue = h.queue AND c.id = h.id) AS reason
  FROM held h`

const isHeldBy = (row: JobRow | undefined, token: string, now: number): boolean =>
  row?.state === 'active' && row.lock_token === token && Number(row.locked_until_ms) > now

async function delay(
  query: Transaction['query'],
  { queue, id, lock_token: token, fields }: JobRow,
  { delayMs, cause }: Extract<LeaseEnd, { kind: 'delay' }>,
  now: number,
): Promise<void> {
  // somebody wants it cancelled: it is claimed at once to be ended as that
  const ms = fields?.['laneCancel'] === undefined ? Math.ceil(delayMs) : 0
  await query('SELECT move_to_delayed($1, $2, $3, $4, $5, true, NULL, NULL)', [queue, id, token, now + ms, ms])
  await atItsPlace(query, queue, id)
  await query(
    `UPDATE event SET data = data || jsonb_build_object('laneCause', $3::text)
     WHERE queue = $1 AND id = (SELECT max(id) FROM event WHERE queue = $1 AND event = 'delayed' AND data->>'jobId' = $2)`,
    [queue, id, plainText(cause)],
  )
}

/** To the head of its lane, whatever its priority, as what waits without one. */
async function release(query: Transaction['query'], { queue, id, priority }: JobRow): Promise<void> {
  await query('SELECT move_active_to_wait($1, $2, $3, 0)', [queue, id, '0'])
  await query(
    `UPDATE job SET priority = 0, seq = (SELECT LEAST(0, min(seq)) - 1 FROM job WHERE queue = $1 AND state = 'waiting' AND id <> $2)
     WHERE queue = $1 AND id = $2`,
    [queue, id],
  )
  await keepFields(query, queue, id, { lanePriority: String(priority) })
}

/** BullMQ makes a new place for what comes back: it has its old one among those of its priority. */
const atItsPlace = (query: Transaction['query'], queue: string, id: string): Promise<unknown> =>
  query(
    'UPDATE job j SET seq = c.place FROM lane_command c WHERE j.queue = $1 AND j.id = $2 AND c.queue = $1 AND c.id = $2',
    [queue, id],
  )

/** Where the number of those that run is limited, others may go on now. */
async function wakeIfLimited({ query }: Transaction, queue: string): Promise<void> {
  const limited = await query(
    `SELECT 1 FROM meta WHERE queue = $1 AND field = 'concurrency'
     AND EXISTS (SELECT 1 FROM job WHERE queue = $1 AND state = 'waiting')`,
    [queue],
  )
  if (limited.length > 0) await wake(query, queue)
}

/** Gives back what nobody holds any more. */
export async function recover(tx: Transaction, queues: readonly string[]): Promise<void> {
  const { query, now } = tx
  const lost = await query<{ queue: string; id: string }>(
    `UPDATE job SET state = 'waiting', lock_token = NULL, locked_until_ms = NULL, stalled_marked = false,
       stalled_count = stalled_count + 1
     WHERE queue = ANY($1) AND state = 'active' AND locked_until_ms <= $2 RETURNING queue, id`,
    [queues, Math.floor(now)],
  )
  for (const { queue, id } of lost) {
    await keepFields(query, queue, id, { laneLost: '1' })
    await atItsPlace(query, queue, id)
    await publish(query, queue, 'stalled', { jobId: id })
    await wake(query, queue)
  }
}
