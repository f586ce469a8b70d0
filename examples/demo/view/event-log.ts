/**
 * The last events that are worth a line. An ordinary reader of `queue.subscribe()`: it has a bounded line of its own,
 * and when it falls behind it is told how many events it lost instead of slowing the queue down.
 */
import type { EventStream, LaneEvent } from '@a3s-lab/lane'
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
      const line = this.#lineOf(event)
      if (line !== undefined) this.#add(laneOf(event), line)
    }
  }

  #add(lane: string, line: Line): void {
    const last = this.entries.at(-1)
    if (last !== undefined && last.lane === lane && last.what === line.what && last.about === line.about) {
      last.times++
      return
    }
    const entry = { at: performance.now(), lane, ...line, times: 1 }
    this.entries.push(entry)
    if (this.entries.length > KEPT) this.entries.shift()
    this.#onEntry(entry)
  }

  /** Most events come too often to be read one by one: those are in the figures only. */
  #lineOf(event: LaneEvent): Line | undefined {
    switch (event.key) {
      case 'queue.command.completed':
        return this.#completed(event.payload.lane_id, event.payload.command_id)
      case 'queue.command.retry':
        this.#retried.add(event.payload.command_id)
        return line(`retry ${event.payload.attempt}`, 'yellow', this.#memory.label(event.payload.command_id))
      case 'queue.command.failed':
      case 'queue.command.timeout':
        return line(wordOf(event.key), 'red', `${this.#memory.label(event.payload.command_id)}: ${event.payload.error}`)
      case 'queue.command.cancelled':
        return line('cancelled', 'magenta', this.#cancelled(event.payload.lane_id, event.payload))
      case 'queue.command.dead_lettered':
        return line('dead letter', 'red', this.#memory.label(event.payload.command_id))
      case 'queue.dead_letter.redriven':
        return line('redriven', 'green', this.#memory.label(event.payload.command_id))
      case 'queue.lane.pressure':
      case 'queue.lane.idle':
        return line(wordOf(event.key), 'blue', event.key.endsWith('idle') ? 'nothing waits' : 'the backlog is long')
      case 'queue.lane.paused':
      case 'queue.lane.resumed':
        return line(wordOf(event.key), 'magenta', '')
      case 'queue.fault':
        return line('fault', 'red', event.payload.error)
      case 'events.dropped':
        this.dropped += event.payload.count
        return line('dropped', 'red', `${event.payload.count} events were lost to this view`)
      default:
        return undefined
    }
  }

  #completed(lane: string, id: string): Line | undefined {
    const wasRetried = this.#retried.delete(id)
    const label = this.#memory.label(id)
    if (wasRetried) return line('completed', 'green', `${label}, after a retry`)
    const isRare = lane === 'prompt' || (lane === 'control' && label !== '')
    return isRare ? line('completed', 'green', label) : undefined
  }

  /** Commands that were cancelled in one go become one entry. */
  #cancelled(lane: string, { command_id, reason }: { command_id: string; reason: string }): string {
    if (lane === 'session') return 'notes of a draft that is not written any more'
    return reason === 'skipped' ? `${this.#memory.label(command_id)}: skipped` : reason
  }
}

const line = (what: string, colour: Colour, about: string): Line => ({ what, colour, about: printable(about) })

const wordOf = (key: string): string => key.slice(key.lastIndexOf('.') + 1)

const laneOf = ({ payload }: LaneEvent): string => (payload as { readonly lane_id?: string } | null)?.lane_id ?? 'queue'
