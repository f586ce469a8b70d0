/** A line of limited length between senders and receivers in one process. */

/** The end that takes. */
export interface ChannelReceiver<T> {
  /** The oldest value; undefined when there is none. */
  tryReceive(): T | undefined
  /** Waits for a value; undefined when the signal has aborted. */
  receive(signal?: AbortSignal): Promise<T | undefined>
  /** Values that wait to be taken. */
  readonly size: number
  /** Values that were dropped because nobody took them in time. */
  readonly dropped: number
}

/** The end that gives. */
export interface ChannelSender<T> {
  send(value: T): void
}

type Blocked<T> = { readonly value: T; readonly enter: () => void }

export class BoundedChannel<T> implements ChannelReceiver<T> {
  readonly #capacity: number
  readonly #values: T[] = []
  readonly #blocked: Blocked<T>[] = []
  readonly #waiting = new Set<() => void>()
  #dropped = 0

  constructor(capacity: number) {
    this.#capacity = capacity
  }

  get size(): number {
    return this.#values.length
  }

  get dropped(): number {
    return this.#dropped
  }

  /** Adds a value; waits while the line is full. */
  async enter(value: T): Promise<void> {
    if (this.#values.length < this.#capacity) this.#push(value)
    else await new Promise<void>((enter) => this.#blocked.push({ value, enter }))
  }

  /** Adds a value at once: the oldest one makes room for it. */
  displace(value: T): void {
    if (this.#values.length === this.#capacity) {
      this.#values.shift()
      this.#dropped++
    }
    this.#push(value)
  }

  tryReceive(): T | undefined {
    const value = this.#values.shift()
    const next = this.#blocked.shift()
    if (next !== undefined) {
      this.#push(next.value)
      next.enter()
    }
    return value
  }

  async receive(signal?: AbortSignal): Promise<T | undefined> {
    while (signal?.aborted !== true) {
      if (this.#values.length > 0) return this.tryReceive()
      await this.ready(signal)
    }
    return undefined
  }

  /** Resolves when there may be a value, or when the signal has aborted. */
  async ready(signal?: AbortSignal): Promise<void> {
    if (this.#values.length > 0 || signal?.aborted === true) return
    await new Promise<void>((resolve) => {
      const wake = (): void => {
        this.#waiting.delete(wake)
        signal?.removeEventListener('abort', wake)
        resolve()
      }
      this.#waiting.add(wake)
      signal?.addEventListener('abort', wake)
    })
  }

  #push(value: T): void {
    this.#values.push(value)
    for (const wake of this.#waiting) wake()
  }
}
