/**
 * Events on their way from the queue to its readers. The emitter is a broadcast: each reader has a bounded line of its
 * own, publishing never waits, and a reader that is too slow loses its oldest events and is told how many, before the
 * next one it reads. What is in a line is compact; the event with its timestamp text is made when it is read, so a
 * command costs nothing here while nobody listens and little while somebody does.
 */
import { Channel } from './channel.js'
import { instantText } from './clock.js'
import { configInvalid } from './errors.js'
import type { EventKey, EventPayloads, LaneEvent } from './events.js'
import { checkInteger, checkObject, refuseUnknown } from './options.js'

/** Events that a reader may lag behind before it loses the oldest. */
export const EVENT_CAPACITY = 256

/** Options of a subscription. */
export type SubscribeOptions = {
  /** Events that the reader may lag behind before it loses the oldest. Default the emitter's (256). */
  readonly capacity?: number | undefined
  /** Ends the subscription when it aborts. */
  readonly signal?: AbortSignal | undefined
}

/** Which events a reader wants: exact keys, or a question asked of each. */
export type EventFilter = readonly EventKey[] | ((event: LaneEvent) => boolean)

type Notice = { readonly key: EventKey; readonly payload: unknown; readonly at: number }

/** A bounded line of events to one reader. Iterate it, or take one event at a time with `recv`. */
export class EventStream implements AsyncIterableIterator<LaneEvent> {
  readonly #channel: Channel<Notice>
  readonly #onEnd: (stream: EventStream) => void

  /** @internal Streams come from `subscribe`. */
  constructor(capacity: number, onEnd: (stream: EventStream) => void) {
    this.#channel = new Channel(capacity)
    this.#onEnd = onEnd
  }

  /** @internal */
  offer(notice: Notice): void {
    this.#channel.push(notice)
  }

  /** @internal No more events come; those in the line can still be read. */
  end(): void {
    this.#channel.close()
    this.#onEnd(this)
  }

  /** The next event; waits for it. Undefined when the queue has finished shutting down, or after `close`. */
  recv(options: { readonly signal?: AbortSignal } = {}): Promise<LaneEvent | undefined> {
    const ready = this.#ready()
    if (ready !== undefined) return Promise.resolve(ready)
    return this.#channel.wait(options.signal).then((notice) => (notice === undefined ? undefined : eventOf(notice)))
  }

  /** What can be read without waiting. */
  #ready(): LaneEvent | undefined {
    const dropped = this.#channel.takeDropped()
    // Items are dropped from a full line only, and forgotten with it: there is a next one.
    if (dropped > 0) {
      const { at } = this.#channel.peek() as Notice
      return eventOf({ key: 'events.dropped', payload: { count: dropped }, at })
    }
    const notice = this.#channel.poll()
    return notice === undefined ? undefined : eventOf(notice)
  }

  /** Ends the subscription; what was not read is forgotten. */
  close(): void {
    this.#channel.discard()
    this.#onEnd(this)
  }

  next(): Promise<IteratorResult<LaneEvent>> {
    const ready = this.#ready()
    if (ready !== undefined) return Promise.resolve({ done: false, value: ready })
    return this.recv().then((event) =>
      event === undefined ? { done: true, value: undefined } : { done: false, value: event },
    )
  }

  async return(): Promise<IteratorResult<LaneEvent>> {
    this.close()
    return { done: true, value: undefined }
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close()
  }
}

const eventOf = ({ key, payload, at }: Notice): LaneEvent => ({ key, payload, timestamp: instantText(at) }) as LaneEvent

/** @internal Hears events as they are told. */
export type EventListener = (key: EventKey, payload: EventPayloads[EventKey]) => void

type Subscriber = {
  readonly stream: EventStream
  readonly filter: EventFilter | undefined
  /** The queue whose end is the end of the subscription. */
  readonly owner: object | undefined
}

/** A bounded broadcast of events. The queue has one; make your own to share it between queues. */
export class EventEmitter {
  /** The capacity of subscriptions that do not say otherwise. */
  readonly capacity: number
  /** Whether anybody listens: nothing is built for an event otherwise. */
  hasSubscribers = false
  #subscribers: readonly Subscriber[] = []
  #listeners: readonly EventListener[] = []
  #onFilterFault: (error: unknown) => void = () => undefined
  #onUnheard: () => void = () => undefined
  readonly #ended = new WeakSet<object>()

  constructor(capacity = EVENT_CAPACITY) {
    checkInteger('EventEmitter capacity', capacity, 1)
    this.capacity = capacity
  }

  /** All events from now on. `CONFIG_INVALID` for a bad capacity. */
  subscribe(options: SubscribeOptions = {}): EventStream {
    return this.#add(undefined, options, undefined)
  }

  /** The same as `subscribe`, under the reference's name. */
  subscribeStream(options: SubscribeOptions = {}): EventStream {
    return this.#add(undefined, options, undefined)
  }

  /** Events with one of the keys, or for which the predicate answers true. A predicate that throws has answered no. */
  subscribeFiltered(filter: EventFilter, options: SubscribeOptions = {}): EventStream {
    return this.#add(checkFilter(filter), options, undefined)
  }

  /** @internal A subscription that ends with its owner. */
  subscribeFor(owner: object, filter: EventFilter | undefined, options: SubscribeOptions = {}): EventStream {
    return this.#add(filter === undefined ? undefined : checkFilter(filter), options, owner)
  }

  /** Tells everybody. Never waits, never throws. */
  emit(event: LaneEvent): void {
    this.publish(event.key, event.payload as never, Date.parse(event.timestamp))
  }

  /** @internal As `emit`, without an event object; to be called only while somebody listens. */
  publish<K extends EventKey>(key: K, payload: EventPayloads[K], at: number): void {
    const notice: Notice = { key, payload, at }
    for (const { stream, filter } of this.#subscribers) {
      if (filter === undefined || this.#wants(filter, notice)) stream.offer(notice)
    }
    for (const listener of this.#listeners) listener(key, payload)
  }

  /** @internal Calls a part of this package at once, for every event: quick, and without throwing. Gives the way to end it. */
  listen(listener: EventListener): () => void {
    this.#listeners = [...this.#listeners, listener]
    this.#count()
    return () => {
      this.#listeners = this.#listeners.filter((one) => one !== listener)
      this.#count()
    }
  }

  #count(): void {
    const wasHeard = this.hasSubscribers
    this.hasSubscribers = this.#subscribers.length + this.#listeners.length > 0
    if (wasHeard && !this.hasSubscribers) this.#onUnheard()
  }

  /** @internal Who is told when nobody listens any more. */
  onUnheard(tell: () => void): void {
    this.#onUnheard = tell
  }

  /** @internal Ends the subscriptions of an owner, later ones at once. */
  end(of: object): void {
    this.#ended.add(of)
    for (const { stream, owner } of this.#subscribers) if (owner === of) stream.end()
  }

  /** @internal Where the error of a predicate goes. */
  onFilterFault(report: (error: unknown) => void): void {
    this.#onFilterFault = report
  }

  #wants(filter: EventFilter, notice: Notice): boolean {
    if (typeof filter !== 'function') return filter.includes(notice.key)
    try {
      return filter(eventOf(notice))
    } catch (error) {
      this.#onFilterFault(error)
      return false
    }
  }

  #add(filter: EventFilter | undefined, options: SubscribeOptions, owner: object | undefined): EventStream {
    checkObject('subscribe options', options)
    refuseUnknown('subscribe', options, ['capacity', 'signal'])
    const { capacity = this.capacity, signal } = options
    checkInteger('subscribe capacity', capacity, 1)
    const close = (): void => stream.close()
    const stream = new EventStream(capacity, (ended) => {
      this.#subscribers = this.#subscribers.filter((one) => one.stream !== ended)
      this.#count()
      signal?.removeEventListener('abort', close)
    })
    this.#subscribers = [...this.#subscribers, { stream, filter, owner }]
    this.#count()
    if (signal?.aborted === true || (owner !== undefined && this.#ended.has(owner))) stream.close()
    else signal?.addEventListener('abort', close, { once: true })
    return stream
  }
}

function checkFilter(filter: EventFilter): EventFilter {
  if (typeof filter === 'function' || Array.isArray(filter)) return filter
  throw configInvalid('subscribeFiltered filter', 'a list of event keys or a predicate', filter)
}
