/** Values handed from one that makes them to one that reads them, in order and without a limit of its own. */
export class Handover<T> implements AsyncIterableIterator<T> {
  readonly #values: T[] = []
  #wake: (() => void) | undefined
  #end: Promise<unknown> | undefined
  #isOver = false

  give(value: T): void {
    this.#values.push(value)
    this.#wake?.()
  }

  /** Nothing more comes when this has settled; if it rejects, so does the reader's last `next`. */
  endWith(end: Promise<unknown>): void {
    this.#end = end
    const over = (): void => {
      this.#isOver = true
      this.#wake?.()
    }
    end.then(over, over)
  }

  async next(): Promise<IteratorResult<T, undefined>> {
    while (this.#values.length === 0 && !this.#isOver) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
    if (this.#values.length > 0) return { done: false, value: this.#values.shift() as T }
    await this.#end
    return { done: true, value: undefined }
  }

  [Symbol.asyncIterator](): this {
    return this
  }
}
