/** A session's events on their way to its readers: each has a bounded line of its own, telling never waits. */
import {
  Channel,
  type Clock,
  checkInteger,
  checkObject,
  configInvalid,
  instantText,
  refuseUnknown,
} from '../core/index.js'
import { type SessionEvent, type SessionEventPayloads, type SessionEventType, sessionEvent } from './events.js'

/** Events that a reader may lag behind before it loses the oldest. */
const CAPACITY = 2048

/** Options of `session.subscribe`. */
export type SessionSubscribeOptions = {
  /** Events that the reader may lag behind before it loses the oldest. Default 2,048. */
  readonly capacity?: number | undefined
  /** Ends the subscription when it aborts. */
  readonly signal?: AbortSignal | undefined
  /** Only events of these types. Default: all but the `queue.command.` ones, which are told to those who name them. */
  readonly types?: readonly SessionEventType[] | undefined
}

/**
 * A bounded line of events to one reader: iterate it with `for await`, or take one event at a time with `next()`. A reader
 * that is too slow loses its oldest events and is told how many (`events.dropped`).
 */
export class SessionEventStream implements AsyncIterableIterator<SessionEvent> {
  readonly #channel: Channel<SessionEvent>
  readonly #onEnd: (stream: SessionEventStream) => void
  readonly #timestamp: () => string

  /** @internal Streams come from `subscribe` and `stream`. */
  constructor(capacity: number, timestamp: () => string, onEnd: (stream: SessionEventStream) => void) {
    this.#channel = new Channel(capacity)
    this.#timestamp = timestamp
    this.#onEnd = onEnd
  }

  /** @internal */
  offer(event: SessionEvent): void {
    this.#channel.push(event)
  }

  /** @internal An event for this reader alone. */
  tell<K extends SessionEventType>(type: K, payload: SessionEventPayloads[K]): void {
    this.offer(sessionEvent(type, payload, this.#timestamp()))
  }

  /** @internal No more events come; those in the line can still be read. */
  end(): void {
    this.#channel.close()
    this.#onEnd(this)
  }

  /** The next event; waits for it. `done` when the session has ended, or after `close`. */
  async next(): Promise<IteratorResult<SessionEvent, undefined>> {
    const count = this.#channel.takeDropped()
    if (count > 0) return { done: false, value: sessionEvent('events.dropped', { count }, this.#timestamp()) }
    const value = this.#channel.poll() ?? (await this.#channel.wait())
    return value === undefined ? { done: true, value: undefined } : { done: false, value }
  }

  /** Ends the subscription; what was not read is forgotten. */
  close(): void {
    this.#channel.discard()
    this.#onEnd(this)
  }

  async return(): Promise<IteratorResult<SessionEvent, undefined>> {
    this.close()
    return { done: true, value: undefined }
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  /** Events come in time: plain `for … of` cannot wait for them. */
  [Symbol.iterator](): never {
    throw new TypeError('Events of a session are read with `for await (const event of stream)`, not with `for … of`')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close()
  }
}

type Reader = { readonly stream: SessionEventStream; readonly types: ReadonlySet<string> | undefined }

/** Tells a session's events to whoever reads them. */
export class SessionEvents {
  readonly #clock: Clock
  #readers: readonly Reader[] = []
  #ended = false
  /** Who wants the events of the commands too: they are not even made for nobody. */
  readsCommands = false
  /** Told when the first reader comes, and when the last has gone. */
  onReaders: (hasReaders: boolean) => void = () => undefined

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Whether anybody reads: nothing is built for an event otherwise. */
  get hasReaders(): boolean {
    return this.#readers.length > 0
  }

  /** All events from now on. `CONFIG_INVALID` for a bad option. */
  subscribe(options: SessionSubscribeOptions = {}): SessionEventStream {
    checkObject('subscribe options', options)
    refuseUnknown('subscribe', options, ['capacity', 'signal', 'types'])
    const { capacity = CAPACITY, signal, types } = options
    checkInteger('subscribe capacity', capacity, 1)
    if (types !== undefined && !Array.isArray(types)) throw configInvalid('subscribe types', 'a list of types', types)
    const close = (): void => stream.close()
    const stream = new SessionEventStream(
      capacity,
      () => this.now(),
      (ended) => {
        this.#set(this.#readers.filter((reader) => reader.stream !== ended))
        signal?.removeEventListener('abort', close)
      },
    )
    if (signal?.aborted === true || this.#ended) {
      stream.close()
      return stream
    }
    this.#set([...this.#readers, { stream, types: types === undefined ? undefined : new Set(types) }])
    signal?.addEventListener('abort', close, { once: true })
    return stream
  }

  /** Tells everybody. Never waits, never throws. */
  emit<K extends SessionEventType>(type: K, payload: SessionEventPayloads[K]): void {
    if (this.#readers.length > 0) this.deliver(sessionEvent(type, payload, this.now()))
  }

  /** An event that was made already. */
  deliver(event: SessionEvent): void {
    const isCommands = event.type.startsWith('queue.command.')
    for (const { stream, types } of this.#readers) {
      if (types === undefined ? !isCommands : types.has(event.type)) stream.offer(event)
    }
  }

  /** RFC 3339. */
  now(): string {
    return instantText(this.#clock.wallNow())
  }

  /** Ends every subscription; what is in the lines can still be read. */
  end(): void {
    this.#ended = true
    for (const { stream } of this.#readers) stream.end()
  }

  #set(readers: readonly Reader[]): void {
    const hadReaders = this.hasReaders
    this.#readers = readers
    if (hadReaders !== this.hasReaders) this.onReaders(this.hasReaders)
    this.readsCommands = readers.some(({ types }) =>
      [...(types ?? [])].some((type) => type.startsWith('queue.command.')),
    )
  }
}
