/** Submits: all of one call are added in one transaction, each wholly or not at all. */
import type { AddAnswer, EngineCommand, EngineUse } from '../../core/index.js'
import { commandIdOf, foreignIdOf, jobIdOf, laneIdOf, queueNameOf } from '../ids.js'
import { jobData, outcomeOf, ownFields } from '../job-form.js'
import type { Messages } from '../messages.js'
import {
  ACCEPTED,
  cancelledOutcome,
  cancelledText,
  foreign,
  idTaken,
  isPlain,
  isSame,
  partsOf,
  queueFull,
  refused,
  replacedBy,
} from '../submit-answers.js'
import type { Database, Transaction } from './database.js'
import { awaitOutcome, cancelWaiting, type Owner, ownerOf, ownHold, type Told } from './pg-holds.js'
import { COLUMNS, fieldsOfRow, fieldsText, type JobRow, jobOf, jsonbText, objectOf, plainText } from './pg-jobs.js'

type Query = Transaction['query']

export class PgSubmissions {
  readonly #database: Database
  readonly #messages: Messages
  readonly #use: EngineUse

  constructor(database: Database, messages: Messages, use: EngineUse) {
    this.#database = database
    this.#messages = messages
    this.#use = use
  }

  async add(commands: readonly EngineCommand[]): Promise<readonly AddAnswer[]> {
    const now = Math.floor(this.#use.now())
    const { answers, told } = await this.#database.run(async ({ query }, isAgain) => {
      const adding = new Adding(query, now)
      for (const part of partsOf(commands)) {
        const [first] = part as [EngineCommand, ...EngineCommand[]]
        if (isPlain(first)) await adding.addMany(part, isAgain)
        else await adding.addOne(first, isAgain)
      }
      return adding
    })
    for (const { told: one, by } of told) {
      const outcome = cancelledOutcome(commandIdOf(one.id), laneIdOf(one.queue), replacedBy(by))
      this.#messages.outcome(one.replyTo, one.waiters, outcome)
    }
    return commands.map((command) => answers.get(command) ?? refused(foreign(command)))
  }
}

/** The submits of one call. */
class Adding {
  readonly answers = new Map<EngineCommand, AddAnswer>()
  readonly told: { readonly told: Told; readonly by: string }[] = []
  readonly #query: Query
  readonly #now: number

  constructor(query: Query, now: number) {
    this.#query = query
    this.#now = now
  }

  /** Commands of one lane that need nothing looked at but its room. */
  async addMany(commands: readonly EngineCommand[], isAgain: boolean): Promise<void> {
    const queue = queueNameOf((commands[0] as EngineCommand).laneId)
    const known = isAgain ? await this.#known(queue, commands) : new Set()
    for (const command of commands)
      if (known.has(jobIdOf(command.id, command.laneId))) this.answers.set(command, ACCEPTED)
    const left = commands.filter((command) => !this.answers.has(command))
    const { room, capacity } = await this.#roomOf(queue)
    const accepted = left.slice(0, room)
    for (const command of left.slice(room)) {
      this.answers.set(command, refused(queueFull(command.laneId, capacity)))
    }
    await this.#insert(queue, accepted, false)
    for (const command of accepted) this.answers.set(command, ACCEPTED)
  }

  async addOne(command: EngineCommand, isAgain: boolean): Promise<void> {
    this.answers.set(command, (await this.#answerKnown(command, isAgain)) ?? (await this.#addNew(command)))
  }

  /** The answer when there is a job with its id. */
  async #answerKnown(command: EngineCommand, isAgain: boolean): Promise<AddAnswer | undefined> {
    if (!command.hasOwnId && !isAgain) return undefined
    const [row] = await this.#query<JobRow>(
      `SELECT ${COLUMNS} FROM job j WHERE j.queue IN (SELECT queue FROM lane_limits) AND j.id = $1`,
      [jobIdOf(command.id, command.laneId)],
    )
    if (row === undefined) return undefined
    const { laneReply, timestamp } = row.fields ?? {}
    const isMine = laneReply === command.replyTo && Number(timestamp) === command.createdAt
    if (isAgain && (isMine || !command.hasOwnId)) return ACCEPTED
    const fields = fieldsOfRow(row)
    if (!isSame(command, fields)) return refused(idTaken(command.id, laneIdOf(row.queue)))
    return this.#duplicate(row, command)
  }

  /** That one's outcome counts. */
  async #duplicate(row: JobRow, { replyTo = '' }: EngineCommand): Promise<AddAnswer> {
    const laneId = laneIdOf(row.queue)
    const fields = fieldsOfRow(row)
    const id = fields.has('lane') ? commandIdOf(row.id) : foreignIdOf(row.id, laneId)
    const outcome = outcomeOf(id, laneId, fields)
    if (outcome === undefined) await awaitOutcome(this.#query, row, replyTo)
    return { kind: 'duplicate', id, laneId, ...(outcome === undefined ? {} : { outcome }) }
  }

  async #addNew(command: EngineCommand): Promise<AddAnswer> {
    const { dedupe, laneId } = command
    const queue = queueNameOf(laneId)
    const owner = dedupe === undefined ? undefined : await ownerOf(this.#query, dedupe.id, this.#now)
    const owning = owner === undefined ? undefined : await jobOf(this.#query, owner.queue, owner.job)
    const hasStarted = (owning?.attempts_started ?? 0) > 0
    const keepsOut = dedupe?.mode === 'drop' || owner?.isSettled === true || (dedupe?.mode === 'replace' && hasStarted)
    if (owner !== undefined && keepsOut) {
      if (owning !== undefined) return this.#duplicate(owning, command)
      return { kind: 'duplicate', id: commandIdOf(owner.job), laneId: laneIdOf(owner.queue) }
    }
    const isReplacing = owner !== undefined && !hasStarted
    if (!isReplacing) {
      const { room, capacity } = await this.#roomOf(queue)
      if (room < 1) return refused(queueFull(laneId, capacity))
    }
    const isFollowing = owner !== undefined && !isReplacing
    await this.#insert(queue, [command], isFollowing)
    if (dedupe !== undefined) await this.#takeHold(command, queue, owner, isFollowing)
    return ACCEPTED
  }

  /** It owns its dedupe id, in the place of another perhaps, or follows the owner. */
  async #takeHold(
    command: EngineCommand,
    queue: string,
    owner: Owner | undefined,
    isFollowing: boolean,
  ): Promise<void> {
    const { id: dedupeId, until = 0 } = command.dedupe as NonNullable<EngineCommand['dedupe']>
    const job = jobIdOf(command.id, command.laneId)
    if (!isFollowing) {
      const kept = owner === undefined ? until : owner.hold.until_ms
      await ownHold(this.#query, dedupeId, { queue, job, until: kept })
      if (owner !== undefined) await this.#replace(owner.queue, owner.job, command)
      return
    }
    const { next_queue: nextQueue, next_job: nextJob } = (owner as Owner).hold
    await this.#query('UPDATE lane_hold SET next_queue = $2, next_job = $3, next_until_ms = $4 WHERE id = $1', [
      JSON.stringify(dedupeId),
      queue,
      job,
      until,
    ])
    if (nextQueue !== null && nextJob !== null) await this.#replace(nextQueue, nextJob, command)
  }

  async #replace(queue: string, id: string, { id: by }: EngineCommand): Promise<void> {
    const reason = replacedBy(by)
    const why = { reason, failure: cancelledText(reason), now: this.#now }
    const told = await cancelWaiting(this.#query, { queue, id }, why)
    if (told !== undefined) this.told.push({ told, by })
  }

  async #known(queue: string, commands: readonly EngineCommand[]): Promise<ReadonlySet<string>> {
    const ids = commands.map(({ id, laneId }) => jobIdOf(id, laneId))
    const rows = await this.#query<{ id: string }>('SELECT id FROM job WHERE queue = $1 AND id = ANY($2)', [queue, ids])
    return new Set(rows.map(({ id }) => id))
  }

  async #roomOf(queue: string): Promise<{ readonly room: number; readonly capacity: number }> {
    const [row] = await this.#query<{ capacity: string; waiting: string }>(
      `SELECT capacity, (SELECT count(*) FROM job WHERE queue = $1 AND state IN ('waiting', 'delayed')) AS waiting
       FROM lane_limits WHERE queue = $1 AND capacity IS NOT NULL`,
      [queue],
    )
    const capacity = row === undefined ? Number.POSITIVE_INFINITY : Number(row.capacity)
    return { room: Math.max(0, capacity - Number(row?.waiting ?? 0)), capacity }
  }

  async #insert(queue: string, commands: readonly EngineCommand[], isParked: boolean): Promise<void> {
    if (commands.length === 0) return
    const jobs = commands.map((command) => jobForm(command))
    await this.#query(
      `SELECT add_job($1, e->>'id', e->>'name', e->'data', e->'opts', (e->>'priority')::integer, (e->>'delay')::bigint,
         (e->>'at')::bigint, 1, NULL, NULL, NULL, NULL, NULL, false)
       FROM jsonb_array_elements($2::jsonb) WITH ORDINALITY AS t(e, n) ORDER BY n`,
      [queue, `[${jobs.map(({ text }) => text).join(',')}]`],
    )
    await this.#query(
      `INSERT INTO lane_command (queue, id, place, is_parked, deadline_ms, fields)
       SELECT j.queue, j.id, j.seq, $5, t.deadline, t.fields
       FROM unnest($2::text[], $3::jsonb[], $4::bigint[]) AS t(id, fields, deadline)
       JOIN job j ON j.queue = $1 AND j.id = t.id`,
      [
        queue,
        jobs.map(({ id }) => id),
        jobs.map(({ fields }) => fields),
        jobs.map(({ deadline }) => deadline),
        isParked,
      ],
    )
    // it follows another: kept, and nobody claims it
    if (isParked) {
      await this.#query("UPDATE job SET state = 'delayed', process_at_ms = NULL WHERE queue = $1 AND id = ANY($2)", [
        queue,
        jobs.map(({ id }) => id),
      ])
    }
  }
}

/** A command as `add_job` takes it, and what is kept beside. */
function jobForm(command: EngineCommand) {
  const { laneId, priority, createdAt, dueAt, commandType, deadlineAt } = command
  const id = jobIdOf(command.id, laneId)
  const data = jobData(command)
  const delay = dueAt === undefined ? 0 : Math.max(0, Math.ceil(dueAt - createdAt))
  const opts = `{"priority":${priority + 1},"attempts":1}`
  const facts = JSON.stringify({
    id,
    name: plainText(commandType),
    priority: priority + 1,
    delay,
    at: Math.floor(createdAt),
  })
  return {
    id,
    text: `${jsonbText(facts).slice(0, -1)},"opts":${opts},"data":${jsonbText(data)}}`,
    fields: fieldsText({
      ...objectOf(ownFields(command)),
      data,
      priority: String(priority + 1),
      timestamp: String(createdAt),
    }),
    deadline: deadlineAt === undefined ? null : Math.floor(deadlineAt),
  }
}
