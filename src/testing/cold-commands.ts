/**
 * The cold commands of a storage in memory. A lane's stand in the order in which they are to start, from the first page that
 * is read of it: a queue reads its backlog page by page, and sorting all of it for each of them takes seconds.
 */
import type { ColdPage, StoredCommand } from '../core/index.js'

type Place = { readonly priority: number; readonly seq: number }

export class ColdCommands {
  readonly #bySeq = new Map<number, StoredCommand>()
  readonly #orders = new Map<string, ColdOrder>()

  get(seq: number): StoredCommand | undefined {
    return this.#bySeq.get(seq)
  }

  values(): Iterable<StoredCommand> {
    return this.#bySeq.values()
  }

  /** Each time it becomes cold a command is another object. */
  add(command: StoredCommand): void {
    this.#bySeq.set(command.seq, command)
    for (const lifo of [true, false]) this.#orders.get(orderKey(command.laneId, lifo))?.add(command)
  }

  delete(seq: number): void {
    this.#bySeq.delete(seq)
  }

  page({ laneId, key, lifo, after, limit }: ColdPage): StoredCommand[] {
    const found: StoredCommand[] = []
    if (limit <= 0) return found
    for (const command of this.#order(laneId, lifo).after(after)) {
      if (key !== null && command.key !== key) continue
      found.push(command)
      if (found.length === limit) break
    }
    return found
  }

  #order(laneId: string, lifo: boolean): ColdOrder {
    const known = this.#orders.get(orderKey(laneId, lifo))
    if (known !== undefined) return known
    const order = new ColdOrder(lifo, (command) => this.#bySeq.get(command.seq) === command)
    for (const command of this.#bySeq.values()) if (command.laneId === laneId) order.add(command)
    this.#orders.set(orderKey(laneId, lifo), order)
    return order
  }
}

const orderKey = (laneId: string, lifo: boolean): string => `${lifo ? 'lifo' : 'fifo'} ${laneId}`

/** Commands of one lane; those that are gone are left out when they are come across. */
class ColdOrder {
  readonly #compare: (a: Place, b: Place) => number
  readonly #isThere: (command: StoredCommand) => boolean
  #commands: StoredCommand[] = []
  /** Before this one all are gone. */
  #from = 0
  #isSorted = true

  constructor(lifo: boolean, isThere: (command: StoredCommand) => boolean) {
    this.#compare = (a, b) => a.priority - b.priority || (lifo ? b.seq - a.seq : a.seq - b.seq)
    this.#isThere = isThere
  }

  add(command: StoredCommand): void {
    const last = this.#commands.at(-1)
    if (last !== undefined && this.#compare(last, command) > 0) this.#isSorted = false
    this.#commands.push(command)
  }

  *after(place: Place | undefined): Iterable<StoredCommand> {
    this.#tidy()
    for (let at = place === undefined ? this.#from : this.#firstAfter(place); at < this.#commands.length; at++) {
      const command = this.#commands[at] as StoredCommand
      if (this.#isThere(command)) yield command
    }
  }

  #tidy(): void {
    const isThere = (at: number): boolean => this.#isThere(this.#commands[at] as StoredCommand)
    while (this.#from < this.#commands.length && !isThere(this.#from)) this.#from++
    if (this.#isSorted && this.#from * 2 <= this.#commands.length) return
    this.#commands = this.#commands.filter(this.#isThere)
    if (!this.#isSorted) this.#commands.sort(this.#compare)
    this.#from = 0
    this.#isSorted = true
  }

  #firstAfter(place: Place): number {
    let [low, high] = [this.#from, this.#commands.length]
    while (low < high) {
      const middle = (low + high) >> 1
      if (this.#compare(this.#commands[middle] as StoredCommand, place) > 0) high = middle
      else low = middle + 1
    }
    return low
  }
}
