/** What a handler reports while it runs, as somebody reads it. */
import { Channel } from './channel.js'

/** Values that a reader may lag behind before it loses the oldest. */
export const PROGRESS_CAPACITY = 1024

export class ProgressReader implements AsyncIterableIterator<unknown> {
  readonly #channel: Channel<{ readonly value: unknown }>
  readonly #onEnd: (reader: ProgressReader) => void

  constructor(capacity: number, onEnd: (reader: ProgressReader) => void) {
    this.#channel = new Channel(capacity)
    this.#onEnd = onEnd
  }

  push(value: unknown): void {
    this.#channel.push({ value })
  }

  close(): void {
    this.#channel.close()
  }

  async next(): Promise<IteratorResult<unknown>> {
    const item = this.#channel.poll() ?? (await this.#channel.wait())
    return item === undefined ? { done: true, value: undefined } : { done: false, value: item.value }
  }

  async return(): Promise<IteratorResult<unknown>> {
    this.#channel.discard()
    this.#onEnd(this)
    return { done: true, value: undefined }
  }

  [Symbol.asyncIterator](): this {
    return this
  }
}
