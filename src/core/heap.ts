/** A binary heap whose items know their place in it, so that any of them can be taken out in O(log n). */

/** An item of a heap; `heapIndex` belongs to the heap and is -1 outside it. One item is in one heap at a time. */
export type HeapItem = { heapIndex: number }

export class Heap<T extends HeapItem> {
  readonly #items: T[] = []
  readonly #before: (a: T, b: T) => boolean

  constructor(before: (a: T, b: T) => boolean) {
    this.#before = before
  }

  get size(): number {
    return this.#items.length
  }

  /** The first item, left in place. */
  peek(): T | undefined {
    return this.#items[0]
  }

  items(): readonly T[] {
    return this.#items
  }

  push(item: T): void {
    this.#place(item, this.#items.length)
    this.#rise(item)
  }

  /** Takes the first item out. */
  pop(): T | undefined {
    const first = this.#items[0]
    if (first !== undefined) this.remove(first)
    return first
  }

  remove(item: T): void {
    const index = item.heapIndex
    const last = this.#items.pop() as T
    item.heapIndex = -1
    if (last === item) return
    this.#place(last, index)
    this.#rise(last)
    this.#sink(last)
  }

  #place(item: T, index: number): void {
    this.#items[index] = item
    item.heapIndex = index
  }

  #rise(item: T): void {
    while (item.heapIndex > 0) {
      const index = item.heapIndex
      const parent = this.#items[(index - 1) >> 1] as T
      if (!this.#before(item, parent)) return
      this.#place(item, parent.heapIndex)
      this.#place(parent, index)
    }
  }

  #sink(item: T): void {
    for (;;) {
      const index = item.heapIndex
      const left = this.#items[2 * index + 1]
      if (left === undefined) return
      const right = this.#items[2 * index + 2]
      const child = right !== undefined && this.#before(right, left) ? right : left
      if (!this.#before(child, item)) return
      this.#place(item, child.heapIndex)
      this.#place(child, index)
    }
  }
}
