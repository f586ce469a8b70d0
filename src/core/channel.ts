/**
 * A bounded line from one writer to one reader. Writing never waits: when the line is full its oldest item is dropped
 * and counted. Reading waits for the next item and ends when the line is closed and read empty.
 */
export class Channel<T> {
  readonly #capacity: number
  #items: (T | undefined)[] = []
  #head = 0
  #size = 0
  #closed = false
  #waiting: ((item: T | undefined) => void)[] = []
  /** Items lost since somebody asked last. */
  #dropped = 0

  constructor(capacity: number) {
    this.#capacity = capacity
  }

  get closed(): boolean {
    return this.#closed
  }

  /** Appends an item; ignored once closed. */
  push(item: T): void {
    if (this.#closed) return
    const reader = this.#waiting.shift()
    if (reader !== undefined) return reader(item)
    if (this.#size === this.#capacity) {
      this.#head = (this.#head + 1) % this.#capacity
      this.#size--
      this.#dropped++
    }
    this.#items[(this.#head + this.#size) % this.#capacity] = item
    this.#size++
  }

  /** The number of items lost since the last call. */
  takeDropped(): number {
    const dropped = this.#dropped
    this.#dropped = 0
    return dropped
  }

  /** The next item, or undefined when none is there now. */
  poll(): T | undefined {
    if (this.#size === 0) return undefined
    const item = this.#items[this.#head]
    this.#items[this.#head] = undefined
    this.#head = (this.#head + 1) % this.#capacity
    this.#size--
    return item
  }

  /** The next item, left in the line. */
  peek(): T | undefined {
    return this.#items[this.#head]
  }

  get size(): number {
    return this.#size
  }

  /** Waits for the next item; undefined at the end. To be called when `size` is 0. */
  wait(signal?: AbortSignal): Promise<T | undefined> {
    if (this.#closed) return Promise.resolve(undefined)
    if (signal === undefined) return new Promise((resolve) => this.#waiting.push(resolve))
    if (signal.aborted) return Promise.reject(signal.reason)
    return new Promise((resolve, reject) => {
      const onAbort = (): void => {
        this.#waiting = this.#waiting.filter((one) => one !== onItem)
        reject(signal.reason)
      }
      const onItem = (item: T | undefined): void => {
        signal.removeEventListener('abort', onAbort)
        resolve(item)
      }
      signal.addEventListener('abort', onAbort, { once: true })
      this.#waiting.push(onItem)
    })
  }

  /** No more items come; what is in the line can still be read. */
  close(): void {
    this.#closed = true
    const waiting = this.#waiting
    this.#waiting = []
    for (const reader of waiting) reader(undefined)
  }

  /** Closes and forgets what was not read. */
  discard(): void {
    this.close()
    this.#items = []
    this.#head = 0
    this.#size = 0
    this.#dropped = 0
  }
}
