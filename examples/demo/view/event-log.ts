/**
 * The last events that are worth a line. An ordinary reader of `queue.subscribe()`: it has a bounded line of its own,
 * and when it falls behind it is told how many events it lost instead of slowing the queue down.
 */
import type { EventKey, EventPayloads, EventStream, LaneEvent } from '@a3s-lab/lane'
import type { Queue } from '../figures.js'
import type { Memory } from '../memory.js'
import { printable } from '../tree.js'
import type { Colour } from './paint.js'

export type Entry = {
  readonly at: number
  readonly lane: string
  readonly what: string
  readonly colour: Colour
  readonly about: string
  /** How many of its kind came one after the other. */
  times: number
}

type Line = Omit<Entry, 'at' | 'times' | 'lane'>

/** Entries that are kept. */
const KEPT = 60

export class EventLog {
  readonly entries: Entry[] = []
  /** Events that came faster than they were read. */
  dropped = 0
  readonly #memory: Memory
  readonly #events: EventStream
  readonly #onEntry: (entry: Entry) => void
  readonly #retried = new Set<string>()

  /** What to say of which event. Most come too often to be read one by one: those are in the figures only. */
  readonly #words: { readonly [K in EventKey]?: (payload: EventPayloads[K]) => Line | undefined } = {
    'queue.command.completed': (command) => this.#completed(command),
    'queue.command.recovered': ({ command_id }) =>
      line('recovered', 'yellow', this.#memory.label(command_id) || command_id),
    'queue.command.retry': (command) => {
      this.#retried.add(command.command_id)
      return line(`retry ${command.attempt}`, 'yellow', this.#about(command))
    },
    'queue.command.failed': (command) => line('failed', 'red', `${this.#about(command)}: ${command.error}`),
    'queue.command.timeout': (command) => line('timeout', 'red', `${this.#about(command)}: ${command.error}`),
    'queue.command.cancelled': (command) => this.#cancelled(command),
    'queue.command.dead_lettered': (command) => line('dead letter', 'red', this.#about(command)),
    'queue.dead_letter.redriven': (command) => line('redriven', 'green', this.#about(command)),
    'queue.lane.pressure': () => line('pressure', 'blue', 'the backlog is long'),
    'queue.lane.idle': () => line('idle', 'blue', 'nothing waits'),
    'queue.lane.paused': () => line('paused', 'magenta', ''),
    'queue.lane.resumed': () => line('resumed', 'magenta', ''),
    'queue.fault': ({ error }) => line('fault', 'red', error),
    'events.dropped': (notice) => this.#dropped(notice),
  }

  constructor(queue: Queue, memory: Memory, onEntry: (entry: Entry) => void) {
    this.#memory = memory
    this.#onEntry = onEntry
    this.#events = queue.subscribe({ capacity: 2048 })
    void this.#read()
  }

  close(): void {
    this.#events.close()
  }

  async #read(): Promise<void> {
    for await (const event of this.#events) {
      const worth = this.#lineOf(event)
      if (worth !== undefined) this.#add(laneOf(event), worth)
    }
  }

  #add(lane: string, { what, colour, about }: Line): void {
    const last = this.entries.at(-1)
    if (last !== undefined && last.lane === lane && last.what === what && last.about === about) {
      last.times++
      return
    }
    const entry = { at: performance.now(), lane, what, colour, about, times: 1 }
    this.entries.push(entry)
    if (this.entries.length > KEPT) this.entries.shift()
    this.#onEntry(entry)
  }

  #lineOf({ key, payload }: LaneEvent): Line | undefined {
    const words = this.#words[key] as ((fields: typeof payload) => Line | undefined) | undefined
    return words?.(payload)
  }

  #about({ command_id }: { readonly command_id: string }): string {
    return this.#memory.label(command_id)
  }

  #completed(command: { readonly lane_id: string; readonly command_id: string }): Line | undefined {
    const wasRetried = this.#retried.delete(command.command_id)
    const about = this.#about(command)
    if (wasRetried) return line('completed', 'green', `${about}, after a retry`)
    const isRare = command.lane_id === 'prompt' || (command.lane_id === 'control' && about !== '')
    return isRare ? line('completed', 'green', about) : undefined
  }

  /** Commands that were cancelled in one go become one entry. */
  #cancelled(command: EventPayloads['queue.command.cancelled']): Line {
    const why = command.reason === 'skipped' ? `${this.#about(command)}: skipped` : command.reason
    const about = command.lane_id === 'session' ? 'notes of that draft, which still waited' : why
    return line('cancelled', 'magenta', about)
  }

  #dropped({ count }: EventPayloads['events.dropped']): Line {
    this.dropped += count
    return line('dropped', 'red', `${count} events were lost to this view`)
  }
}

const line = (what: string, colour: Colour, about: string): Line => ({ what, colour, about: printable(about) })

const laneOf = ({ payload }: LaneEvent): string => (payload as { readonly lane_id?: string } | null)?.lane_id ?? 'queue'
