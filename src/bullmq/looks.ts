/** What is asked about commands and lanes: one command, pages of them, counts, dead letters. */
import type {
  CommandState,
  EngineLaneCounts,
  EngineLetter,
  EnginePage,
  EngineQuery,
  EngineRecord,
} from '../core/index.js'
import { configInvalid } from '../core/index.js'
import { foreignIdOf, jobIdOf } from './ids.js'
import { fieldsOf, recordOf } from './job-form.js'
import type { ServerCalls } from './server-calls.js'

/** The sets of a lane in the order in which a list shows them, and what may stand in each. */
const SETS = [
  { set: 'wait', states: ['pending'] },
  { set: 'prioritized', states: ['pending'] },
  { set: '~parked', states: ['delayed'] },
  { set: 'delayed', states: ['delayed'] },
  { set: 'active', states: ['active'] },
  { set: 'completed', states: ['completed'] },
  { set: 'failed', states: ['failed', 'timed_out', 'cancelled'] },
] as const

/** What a set says of those in it that have no outcome. */
const STATES = { active: 'active', delayed: 'delayed', '~parked': 'delayed' } as const

/** Read at once when a page is filled. */
const MOST_AT_ONCE = 200

/** Where a page ends: lane, set and place in it. */
type Cursor = { lane: number; set: number; place: number }

type Found = readonly [
  prefix: string,
  state: 'pending' | 'active' | 'delayed',
  dueAt: string,
  fields: readonly string[],
]

export class Looks {
  readonly #calls: ServerCalls

  constructor(calls: ServerCalls) {
    this.#calls = calls
  }

  async find(id: string, laneIds: readonly string[]): Promise<EngineRecord | undefined> {
    const { names } = this.#calls
    const foreign = laneIds.find((candidate) => id.startsWith(foreignIdOf('', candidate)))
    const laneId = foreign ?? ''
    const prefix = foreign === undefined ? '' : names.prefixOf(foreign)
    const found = await this.#calls.run<Found | null>('laneFind', laneId, [jobIdOf(id, laneId), prefix])
    if (found === null) return undefined
    const [base, state, dueAt, flat] = found
    const stands = { state, dueAt: dueAt === '' ? undefined : Number(dueAt) }
    const record = recordOf(jobIdOf(id, laneId), names.laneOf(base), fieldsOf(flat), stands)
    return record.command.id === id ? record : undefined
  }

  async list({ laneIds, state, limit, cursor }: EngineQuery): Promise<EnginePage> {
    const items: EngineRecord[] = []
    const at = readCursor(cursor)
    while (at.lane < laneIds.length) {
      const { set, states } = SETS[at.set] as (typeof SETS)[number]
      const isWanted = state === undefined || (states as readonly CommandState[]).includes(state)
      const read = isWanted ? await this.#page(laneIds[at.lane] as string, set, at.place) : []
      for (const record of read) {
        if (items.length === limit) return { items, nextCursor: writeCursor(at) }
        at.place++
        if (state === undefined || record.state === state) items.push(record)
      }
      if (read.length === MOST_AT_ONCE) continue
      at.place = 0
      at.set = (at.set + 1) % SETS.length
      if (at.set === 0) at.lane++
    }
    return { items, nextCursor: undefined }
  }

  async counts(laneIds: readonly string[]): Promise<readonly EngineLaneCounts[]> {
    const { names } = this.#calls
    const answers = await this.#calls.pipeline(({ commands }) => {
      for (const laneId of laneIds) {
        const prefix = names.prefixOf(laneId)
        commands.llen(`${prefix}wait`).zcard(`${prefix}prioritized`).zcard(`${prefix}~parked`)
        commands.llen(`${prefix}active`).zcard(`${prefix}delayed`).hexists(`${prefix}meta`, 'paused')
        commands.zrange(`${prefix}~deadlines`, '0', '0', 'WITHSCORES').hget(`${names.own}lettercounts`, laneId)
      }
    })
    return laneIds.map((laneId, index) => countsOf(laneId, answers.slice(8 * index, 8 * index + 8)))
  }

  async letters(limit: number): Promise<readonly EngineLetter[]> {
    const { own } = this.#calls.names
    const last = Number.isFinite(limit) ? limit - 1 : -1
    if (limit < 1) return []
    const ids = await this.#calls.send((client) => client.zrange(`${own}letterorder`, '0', String(last)))
    if (ids.length === 0) return []
    const texts = await this.#calls.send((client) => client.hmget(`${own}letters`, ...ids))
    return ids.flatMap((id, index) => {
      const text = texts[index]
      if (text === null || text === undefined) return []
      const [laneId, letter] = JSON.parse(text) as [string, string]
      return [{ id, laneId, letter }]
    })
  }

  async removeLetters(ids: readonly string[]): Promise<readonly string[]> {
    return ids.length === 0 ? [] : this.#calls.run<string[]>('laneRemoveLetters', '', ids)
  }

  async #page(laneId: string, set: string, first: number): Promise<readonly EngineRecord[]> {
    const flat = await this.#calls.run<readonly (string | readonly string[])[]>('laneList', laneId, [
      set,
      first,
      first + MOST_AT_ONCE - 1,
    ])
    const records: EngineRecord[] = []
    for (let index = 0; index < flat.length; index += 3) {
      const fields = fieldsOf(flat[index + 2] as readonly string[])
      const state = STATES[set as keyof typeof STATES] ?? 'pending'
      const dueAt = set === 'delayed' ? Math.floor(Number(flat[index + 1]) / 4096) : undefined
      records.push(recordOf(flat[index] as string, laneId, fields, { state, dueAt }))
    }
    return records
  }
}

function countsOf(laneId: string, answers: readonly unknown[]): EngineLaneCounts {
  const [wait, prioritized, parked, active, delayed, paused, deadlines, letters] = answers
  const deadline = (deadlines as readonly string[])[1]
  return {
    laneId,
    pending: Number(wait) + Number(prioritized),
    active: Number(active),
    delayed: Number(delayed) + Number(parked),
    letters: Number(letters ?? 0),
    paused: paused === 1,
    deadlineAt: deadline === undefined ? undefined : Number(deadline),
  }
}

function readCursor(text: string | undefined): Cursor {
  if (text === undefined) return { lane: 0, set: 0, place: 0 }
  const parts = /^(\d+)\.([0-6])\.(\d+)$/.exec(text)
  if (parts === null) throw configInvalid('cursor', 'the nextCursor of the page before', text)
  return { lane: Number(parts[1]), set: Number(parts[2]), place: Number(parts[3]) }
}

const writeCursor = ({ lane, set, place }: Cursor): string => `${lane}.${set}.${place}`
