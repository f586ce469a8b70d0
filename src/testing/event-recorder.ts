import type { EventFilter, EventKey, LaneEvent, SubscribeOptions } from '../core/index.js'

/** Whatever events can be recorded from: a queue, or an emitter. */
export interface EventSource {
  subscribeFiltered(filter: EventFilter, options?: SubscribeOptions): { close(): void }
}

/** Events as they happened, from the moment the recorder was made. Complete: a recorder is never too slow. */
export interface EventRecorder {
  readonly events: readonly LaneEvent[]
  /** The keys in order; only those of one command when an id is given. */
  keys(commandId?: string): EventKey[]
  /** The events with this key. */
  of<K extends EventKey>(key: K): Extract<LaneEvent, { readonly key: K }>[]
  /** Forgets what was recorded. */
  clear(): void
  /** Stops recording. */
  stop(): void
}

/** Records every event of a queue, at the moment it happens. */
export function recordEvents(source: EventSource): EventRecorder {
  const events: LaneEvent[] = []
  const isAbout = (event: LaneEvent, commandId: string): boolean =>
    (event.payload as { readonly command_id?: string } | null)?.command_id === commandId
  // The predicate sees each event when it is published, so nothing has to be read and nothing can be lost.
  const stream = source.subscribeFiltered((event) => {
    events.push(event)
    return false
  })
  return {
    events,
    keys: (commandId) =>
      events.filter((event) => commandId === undefined || isAbout(event, commandId)).map((event) => event.key),
    of: (key) => events.filter((event) => event.key === key) as never,
    clear: () => void events.splice(0),
    stop: () => stream.close(),
  }
}
