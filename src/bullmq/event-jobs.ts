/**
 * Entries of BullMQ's event streams as events of commands. What an entry does not say is looked up in its job, as that is
 * by then; of a job that is gone the entry alone tells.
 */
import type { Redis } from 'ioredis'
import type { EngineEvent, FinalState } from '../core/index.js'
import type { StreamEntry } from './event-streams.js'
import { commandIdOf, foreignIdOf } from './ids.js'
import { type JobFields, namedFields } from './job-form.js'
import type { Namespace } from './server-calls.js'

const INTEGER = /^\d+$/
const ALWAYS: readonly string[] = ['lane', 'name']
/** What is looked up of the job, by the name of the entry. Entries with other names are of no job, or not told. */
const LOOKED_UP: ReadonlyMap<string, readonly string[]> = new Map([
  ['added', ALWAYS],
  ['active', ALWAYS],
  ['stalled', ALWAYS],
  ['progress', ALWAYS],
  ['completed', ALWAYS],
  ['failed', [...ALWAYS, 'laneState', 'laneError']],
  ['delayed', ALWAYS],
])

/** What was looked up: the jobs of entries, and ids of commands that have dead letters. */
type Found = { readonly jobs: ReadonlyMap<StreamEntry, JobFields>; readonly letters: ReadonlySet<string> }

export class EventJobs {
  readonly #client: Redis
  readonly #names: Namespace

  constructor(client: Redis, names: Namespace) {
    this.#client = client
    this.#names = names
  }

  async eventsOf(entries: readonly StreamEntry[]): Promise<readonly EngineEvent[]> {
    const found = await this.#lookUp(entries.filter(isTold))
    return entries.flatMap((entry) => eventOf(entry, found) ?? [])
  }

  /** All in one pipeline. */
  async #lookUp(entries: readonly StreamEntry[]): Promise<Found> {
    if (entries.length === 0) return { jobs: new Map(), letters: new Set() }
    const pipeline = this.#client.pipeline()
    for (const { laneId, fields } of entries) {
      const names = LOOKED_UP.get(nameOf(fields)) as readonly string[]
      pipeline.hmget(this.#names.prefixOf(laneId) + jobOf(fields), ...names)
    }
    const failed = entries.filter(({ fields }) => nameOf(fields) === 'failed')
    const ids = failed.flatMap(({ laneId, fields }) => [commandIdOf(jobOf(fields)), foreignIdOf(jobOf(fields), laneId)])
    if (ids.length > 0) pipeline.zmscore(`${this.#names.own}letterorder`, ...ids)
    const replies = ((await pipeline.exec()) ?? []).map(([error, reply]) => {
      if (error !== null) throw error
      return reply as (string | null)[]
    })
    const jobs = new Map<StreamEntry, JobFields>()
    for (const [at, entry] of entries.entries()) {
      jobs.set(entry, namedFields(LOOKED_UP.get(nameOf(entry.fields)) as readonly string[], replies[at] ?? []))
    }
    const scores = replies[entries.length] ?? []
    return { jobs, letters: new Set(ids.filter((_, at) => scores[at] !== null)) }
  }
}

/** Whether an entry is of a job, and told. */
export const isTold = ({ fields }: StreamEntry): boolean => LOOKED_UP.has(nameOf(fields))

const nameOf = (fields: JobFields): string => fields.get('event') ?? ''
const jobOf = (fields: JobFields): string => fields.get('jobId') ?? ''

/** Undefined for an entry that says nothing of a command or a lane. */
export function eventOf(entry: StreamEntry, { jobs, letters }: Found): EngineEvent | undefined {
  const { laneId, fields } = entry
  const at = Number(entry.id.split('-')[0])
  const event = nameOf(fields)
  if (event === 'paused' || event === 'resumed') return { kind: event, laneId, at }
  const job = jobs.get(entry)
  if (job === undefined) return undefined
  const id = idOf(jobOf(fields), laneId, job)
  const commandType = job.get('name') ?? fields.get('name') ?? ''
  const about = { laneId, id, at }
  switch (event) {
    case 'added':
      return { kind: 'added', ...about }
    case 'active':
      return { kind: 'started', ...about, commandType }
    case 'stalled':
      return { kind: 'recovered', ...about }
    case 'progress':
      return { kind: 'reported', ...about, value: fields.get('data') ?? 'null' }
    case 'delayed': {
      const delayMs = Math.max(0, Number(fields.get('delay')) - at)
      return { kind: 'delayed', ...about, delayMs, cause: fields.get('laneCause') }
    }
    case 'completed':
      return { kind: 'settled', ...about, commandType, state: 'completed', error: undefined, hasLetter: false }
    default:
      return { kind: 'settled', ...about, commandType, ...failureOf(fields, job), hasLetter: letters.has(id) }
  }
}

/** Of a job that is gone: what Lane adds under its own ids has no number for an id. */
function idOf(jobId: string, laneId: string, job: JobFields): string {
  const isOurs = job.has('lane') || (!job.has('name') && !INTEGER.test(jobId))
  return isOurs ? commandIdOf(jobId) : foreignIdOf(jobId, laneId)
}

function failureOf(fields: JobFields, job: JobFields): { readonly state: FinalState; readonly error: string } {
  const state = (job.get('laneState') ?? 'failed') as FinalState
  const error = job.get('laneError') ?? JSON.stringify({ name: 'Error', message: fields.get('failedReason') ?? '' })
  return { state: state === 'completed' ? 'failed' : state, error }
}
