/** The events of one turn: what `session.stream` gives. */
import { type SessionEvent, type SessionEventPayloads, SessionEventStream } from '../session/index.js'

/**
 * The events of one turn, from its start to `end` or `error`, which are ordinary values. Read it with `for await`, or with
 * `next()`. It may be awaited too, and is then itself.
 */
export class AgentEventStream implements AsyncIterableIterator<SessionEvent> {
  readonly #source: Promise<SessionEventStream>
  readonly #timestamp: () => string
  #resolve: (source: SessionEventStream) => void = () => undefined
  #opened: SessionEventStream | undefined
  #isClosed = false

  /** @internal Streams come from `session.stream`. */
  constructor(timestamp: () => string) {
    this.#timestamp = timestamp
    this.#source = new Promise((resolve) => {
      this.#resolve = resolve
    })
  }

  /** @internal The turn begins: from now on its events are taken, unless nobody wants them any more. */
  begin(subscribe: () => SessionEventStream): void {
    if (!this.#isClosed) this.#open(subscribe())
  }

  /** @internal The turn is over. */
  end(): void {
    this.#opened?.end()
  }

  /** @internal For a message that never was a turn of its own: what came of it is all that there is to tell. */
  endWith<K extends 'end' | 'error'>(type: K, payload: SessionEventPayloads[K]): void {
    if (this.#opened !== undefined || this.#isClosed) return
    const only = new SessionEventStream(1, this.#timestamp, () => undefined)
    only.tell(type, payload)
    only.end()
    this.#open(only)
  }

  /** The next event; waits for it. `done` after `end` or `error`, and after `close`. */
  async next(): Promise<IteratorResult<SessionEvent, undefined>> {
    return this.#isClosed ? { done: true, value: undefined } : (await this.#source).next()
  }

  /** Reads no more; the turn goes on. */
  close(): void {
    this.#isClosed = true
    if (this.#opened === undefined) this.#open(new SessionEventStream(1, this.#timestamp, () => undefined))
    this.#opened?.close()
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
    throw new TypeError('Events of a turn are read with `for await (const event of stream)`, not with `for … of`')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close()
  }

  #open(source: SessionEventStream): void {
    this.#opened = source
    this.#resolve(source)
  }
}
