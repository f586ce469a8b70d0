/**
 * The waiting commands of one priority in a lane that knows keys: a line of commands per key, and an order among the
 * lines. Fair lanes give the keys turns; others go by arrival, past the keys that have no room. A line is forgotten when it
 * is empty.
 */
import { type Cost, FairRing, type Turn } from '../policy/index.js'
import { type Bucket, newestFirst, oldestFirst, oldestOf, reordered, type Waiting } from './bucket.js'
import type { Entry, EntryDetails, Traits } from './entry.js'
import { Heap } from './heap.js'
import { type Keys, type KeyUse, keyOf } from './keys.js'
import type { Run } from './run.js'

/** The waiting commands of one key: newcomers in a list through their traits, returned ones in a heap by place. */
export class KeyLine implements Turn {
  heapIndex = -1
  credit = 0
  weight = 1
  before: this | undefined
  after: this | undefined
  inRing = false
  size = 0
  /** Whether it stands among those that may be served. */
  isOpen = false
  #oldest: Entry | undefined
  #newest: Entry | undefined
  #returns: Heap<EntryDetails> | undefined
  readonly bucket: KeyedBucket
  /** Undefined for the commands without one. */
  readonly key: string | undefined
  /** Undefined where it does not matter how many of the key run. */
  readonly use: KeyUse | undefined

  constructor(bucket: KeyedBucket, key: string | undefined, use: KeyUse | undefined) {
    this.bucket = bucket
    this.key = key
    this.use = use
    this.before = undefined
    this.after = undefined
    this.#oldest = undefined
    this.#newest = undefined
    this.#returns = undefined
  }

  append(entry: Entry): void {
    const { traits } = entry
    traits.older = this.#newest
    traits.isInLine = true
    if (this.#newest === undefined) this.#oldest = entry
    else this.#newest.traits.newer = entry
    this.#newest = entry
    this.weight = traits.weight
    this.size++
  }

  putBack(entry: Entry, lifo: boolean): void {
    this.#returns ??= new Heap(lifo ? newestFirst : oldestFirst)
    this.#returns.push(entry.more)
    this.weight = entry.details?.traits?.weight ?? 1
    this.size++
  }

  /** The command that is next in the line. Never asked while it is empty. */
  head(lifo: boolean): Entry {
    const inLine = lifo ? this.#newest : this.#oldest
    const returned = this.#returns?.peek()?.entry
    if (returned === undefined) return inLine as Entry
    if (inLine === undefined) return returned
    return returned.place < inLine.place === lifo ? inLine : returned
  }

  remove(entry: Entry): boolean {
    const { details } = entry
    if (details === undefined) return false
    if (this.#returns !== undefined && details.heapIndex >= 0) this.#returns.remove(details)
    else if (details.traits?.isInLine === true) this.#unlink(details.traits)
    else return false
    this.size--
    return true
  }

  oldestSince(): number {
    return Math.min(this.#oldest?.readySince ?? Number.POSITIVE_INFINITY, oldestOf(this.#returns))
  }

  setLifo(lifo: boolean): void {
    if (this.#returns !== undefined) this.#returns = reordered(this.#returns, lifo)
  }

  *entries(): Generator<Entry> {
    for (let entry = this.#oldest; entry !== undefined; entry = entry.details?.traits?.newer) yield entry
    for (const { entry } of this.#returns?.items() ?? []) yield entry
  }

  #unlink(traits: Traits): void {
    const { older, newer } = traits
    if (older === undefined) this.#oldest = newer
    else older.traits.newer = newer
    if (newer === undefined) this.#newest = older
    else newer.traits.older = older
    traits.older = undefined
    traits.newer = undefined
    traits.isInLine = false
  }
}

/** Who is next among the open lines. */
interface LineOrder {
  add(line: KeyLine): void
  remove(line: KeyLine): void
  next(): KeyLine | undefined
  /** A command of the line was taken; it may be empty now. */
  served(line: KeyLine, share: number): void
  /** The head of the line is another. */
  changed(line: KeyLine): void
}

export class KeyedBucket implements Bucket {
  heapIndex = -1
  size = 0
  nextPlace: number
  readonly priority: number
  #lifo: boolean
  readonly #keys: Keys
  readonly #lines = new Map<string | undefined, KeyLine>()
  #order: LineOrder

  constructor(keys: Keys, priority: number, nextPlace: number, lifo: boolean) {
    this.#keys = keys
    this.priority = priority
    this.nextPlace = nextPlace
    this.#lifo = lifo
    this.#order = keys.rules.fair ? inTurn(lifo) : byArrival(lifo)
  }

  get canTake(): boolean {
    return this.#order.next() !== undefined
  }

  startable(most: number): number {
    let count = 0
    // Closed lines are few: the key of each has bodies that run.
    for (const line of this.#lines.values()) {
      if (count >= most) break
      if (line.isOpen) count += Math.min(line.size, line.use === undefined ? line.size : this.#keys.roomOf(line.use))
    }
    return count
  }

  push(run: Run): number {
    const entry = run.inner as Entry
    entry.place = this.nextPlace++
    const line = this.#line(entry)
    line.append(entry)
    this.#grew(line)
    return entry.place
  }

  reserve(): number {
    return this.nextPlace++
  }

  putBack(entry: Entry): void {
    const line = this.#line(entry)
    line.putBack(entry, this.#lifo)
    this.#grew(line)
  }

  take(): Entry {
    const line = this.#order.next() as KeyLine
    const entry = line.head(this.#lifo)
    line.remove(entry)
    this.size--
    this.#order.served(line, shareOf(entry))
    if (line.size === 0) this.#close(line, true)
    return entry
  }

  nextCost(): Cost | undefined {
    return (this.#order.next() as KeyLine).head(this.#lifo).details?.traits?.cost
  }

  extractEntry(entry: Entry): boolean {
    const line = this.#lines.get(keyOf(entry))
    if (line?.remove(entry) !== true) return false
    this.size--
    if (line.size === 0) this.#close(line, true)
    else if (line.isOpen) this.#order.changed(line)
    return true
  }

  extractRun(): boolean {
    return false
  }

  find(): Entry | undefined {
    return undefined
  }

  *waiting(): Generator<Waiting> {
    for (const { run, body, priority, arrivedAt } of this.entries()) {
      yield { run, body, priority, arrivedAt: arrivedAt as number }
    }
  }

  *entries(): Generator<Entry> {
    for (const line of this.#lines.values()) yield* line.entries()
  }

  oldestSince(): number {
    let oldest = Number.POSITIVE_INFINITY
    for (const line of this.#lines.values()) oldest = Math.min(oldest, line.oldestSince())
    return oldest
  }

  ahead(entry: Entry): number {
    const line = this.#lines.get(keyOf(entry)) as KeyLine
    let older = 0
    for (const other of line.entries()) if (other.place < entry.place) older++
    return this.#lifo ? line.size - older - 1 : older
  }

  setLifo(lifo: boolean): void {
    this.#lifo = lifo
    const open = [...this.#lines.values()].filter((line) => line.isOpen)
    for (const line of open) this.#order.remove(line)
    for (const line of this.#lines.values()) line.setLifo(lifo)
    this.#order = this.#keys.rules.fair ? inTurn(lifo) : byArrival(lifo)
    for (const line of open) this.#order.add(line)
  }

  /** The key has no room: its line waits. */
  close(line: KeyLine): void {
    this.#close(line, false)
  }

  /** The key has room again. */
  open(line: KeyLine): void {
    if (line.isOpen) return
    line.isOpen = true
    this.#order.add(line)
  }

  #close(line: KeyLine, isEmpty: boolean): void {
    if (line.isOpen) this.#order.remove(line)
    line.isOpen = false
    if (!isEmpty) return
    this.#lines.delete(line.key)
    if (line.use === undefined) return
    line.use.lines.delete(line)
    this.#keys.forgetUnused(line.use)
  }

  #line(entry: Entry): KeyLine {
    const key = keyOf(entry)
    const known = this.#lines.get(key)
    if (known !== undefined) return known
    const use = key === undefined || !this.#keys.areLimited ? undefined : this.#keys.use(key)
    const line = new KeyLine(this, key, use)
    use?.lines.add(line)
    this.#lines.set(key, line)
    return line
  }

  #grew(line: KeyLine): void {
    this.size++
    if (line.isOpen) this.#order.changed(line)
    else if (line.use === undefined || !this.#keys.isFull(line.use)) this.open(line)
  }
}

/** How much of its key's share a command uses up. */
const shareOf = (entry: Entry): number => entry.details?.traits?.share ?? 1

/** The keys take turns. */
function inTurn(lifo: boolean): LineOrder {
  const ring = new FairRing<KeyLine>()
  const costOf = (line: KeyLine): number => shareOf(line.head(lifo))
  return {
    add: (line) => ring.add(line),
    remove: (line) => ring.remove(line),
    next: () => ring.next(costOf),
    served: (line, share) => ring.served(line, share),
    changed: () => undefined,
  }
}

/** The line whose head has the best place goes first. */
function byArrival(lifo: boolean): LineOrder {
  const place = (line: KeyLine): number => line.head(lifo).place
  const heap = new Heap<KeyLine>(lifo ? (a, b) => place(a) > place(b) : (a, b) => place(a) < place(b))
  const changed = (line: KeyLine): void => {
    heap.remove(line)
    if (line.size > 0) heap.push(line)
  }
  return {
    add: (line) => heap.push(line),
    remove: (line) => {
      if (line.heapIndex >= 0) heap.remove(line)
    },
    next: () => heap.peek(),
    served: changed,
    changed,
  }
}
