/**
 * The commands that wait in one lane, in the order in which they are to start: those that gave up their slot first, then
 * best command priority, then arrival (or the reverse of it, for a `lifo` lane), or the turn of their key.
 *
 * Commands of one priority stand in a bucket. Every place is known when the command arrives, and a delayed command
 * reserves its own, so arrival order is a number and never a clock's.
 *
 * Cost: O(1) for a lane with one priority, O(log n) in the number of different priorities and of returned commands.
 */
import type { Cost } from '../policy/index.js'
import { type Bucket, PlainBucket, type Waiting } from './bucket.js'
import type { Entry } from './entry.js'
import { Front } from './front.js'
import { Heap } from './heap.js'
import { KeyedBucket } from './keyed-bucket.js'
import { Keys } from './keys.js'
import type { LaneState } from './lane.js'
import type { AttemptPolicy, KeyRules } from './lane-limits.js'
import type { Run } from './run.js'

const byPriority = (a: Bucket, b: Bucket): boolean => a.priority < b.priority

export class Backlog {
  /** Commands waiting. */
  size = 0
  /** The keys of the lane, where they matter. */
  readonly keys: Keys | undefined
  #lifo: boolean
  readonly #lane: LaneState
  readonly #buckets = new Map<number, Bucket>()
  /** Buckets that a command can be taken from, best priority first. */
  readonly #filled = new Heap<Bucket>(byPriority)
  /** The bucket used last: most lanes know one priority only. */
  #recent: Bucket | undefined
  /** Places given out in buckets that are gone; a new bucket starts above them, so that a late return stays first. */
  #placesUsed: number
  /** Commands that gave up their slot and go on before all others. */
  #front: Front | undefined

  constructor(lane: LaneState, lifo: boolean, rules?: KeyRules, placesUsed = 0) {
    this.#lane = lane
    this.#lifo = lifo
    this.keys = rules === undefined ? undefined : new Keys(rules, (bucket) => this.#sync(bucket))
    this.#placesUsed = placesUsed
    this.#front = undefined
  }

  /** Whether the next command only waits inside `ctx.yield`: its body is alive, it goes on where others have to start. */
  get nextGoesOn(): boolean {
    return this.#front?.next(this.keys)?.slot !== undefined
  }

  /** Whether a command can be taken. */
  get hasNext(): boolean {
    return this.#filled.size > 0 || (this.#front !== undefined && this.#front.next(this.keys) !== undefined)
  }

  /** Above every place that was given out. */
  get placesUsed(): number {
    let used = this.#placesUsed
    for (const bucket of this.#buckets.values()) used = Math.max(used, bucket.nextPlace)
    return used
  }

  /** Appends a new command and gives its place. `seq` is its number in the queue, which only ever grows. */
  // biome-ignore lint/complexity/useMaxParams: called for every command; an options object would be an object each
  push(run: Run, body: unknown, priority: number, policy: AttemptPolicy, now: number, seq: number): number {
    const bucket = this.#bucket(priority)
    const place = bucket.push(run, body, policy, now, seq)
    this.size++
    if (bucket.heapIndex < 0 && bucket.canTake) this.#filled.push(bucket)
    return place
  }

  /** Keeps the place of a command that arrives now but has to wait for its time; gives the place. */
  reserve(priority: number, policy: AttemptPolicy, now: number, seq: number): number {
    const bucket = this.#bucket(priority)
    const place = bucket.reserve(policy, now, seq)
    if (bucket.size === 0) this.#drop(bucket)
    return place
  }

  /** Puts a command back under its original place: a retry or a delay that is due. */
  putBack(entry: Entry): void {
    this.warm(entry)
    this.size++
    this.#lane.cold?.came(entry)
  }

  /** Brings a command into memory that was counted already: it waited in the storage. */
  warm(entry: Entry): void {
    const bucket = this.#bucket(entry.priority)
    bucket.putBack(entry)
    this.#sync(bucket)
  }

  /** Takes a command out of memory that goes on waiting in the storage; false when it does not stand in its place here. */
  cool(entry: Entry): boolean {
    const bucket = this.#buckets.get(entry.priority)
    if (bucket?.extractEntry(entry) !== true) return false
    if (!bucket.canTake) this.#cannotTake(bucket)
    return true
  }

  /** Whether it stands in its place here. */
  holds({ details }: Entry): boolean {
    return details !== undefined && details.heapIndex >= 0
  }

  /** So many more, or fewer, wait in the storage only. */
  countCold(more: number): void {
    this.size += more
  }

  /** The entry of every command that stands in its place, so not of those in front. */
  *inPlaces(): Generator<Entry> {
    for (const bucket of this.#buckets.values()) yield* bucket.entries()
  }

  /** Puts a command before all others: it gave up its slot. `seq` is its number in the queue. */
  putFirst(entry: Entry, seq: number, isYielded: boolean): void {
    this.#front ??= new Front()
    this.#front.add(entry, seq, isYielded)
    this.size++
  }

  /** Takes the command that is to start next. */
  take(): Entry | undefined {
    if (this.#front !== undefined) {
      const first = this.#front.take(this.keys)
      if (first !== undefined) return this.#left(first)
    }
    const bucket = this.#filled.peek()
    if (bucket === undefined) return undefined
    const entry = bucket.take()
    this.size--
    if (!bucket.canTake) this.#cannotTake(bucket)
    this.#lane.cold?.left(entry)
    return entry
  }

  /** Takes any command, also one whose key has no room. */
  takeAny(): Entry | undefined {
    const next = this.take()
    if (next !== undefined || this.size === 0) return next
    const first = this.#front?.takeAny()
    if (first !== undefined) return this.#left(first)
    const [entry] = this.entries()
    this.extractReturned(entry as Entry)
    return entry
  }

  /** What the next command costs, where it says so. Only when `hasNext`. */
  nextCost(): Cost | undefined {
    const first = this.#front?.next(this.keys)
    if (first !== undefined) return first.details?.traits?.cost
    return (this.#filled.peek() as Bucket).nextCost()
  }

  /** How many commands could be taken one after the other, counted up to `most`. */
  startable(most: number): number {
    let count = this.#front?.size ?? 0
    for (const bucket of this.#filled.items()) {
      if (count >= most) break
      count += bucket.startable(most - count)
    }
    return Math.min(count, most)
  }

  /** Takes out a command that waits in its chunk, wherever it stands; false when it does not. `seq` is its number in the queue. */
  extract(run: Run, seq: number): boolean {
    for (const bucket of this.#buckets.values()) {
      if (!bucket.extractRun(run, seq)) continue
      this.#shrank(bucket)
      return true
    }
    return false
  }

  /** Takes out a command that stands elsewhere than in a chunk: put back, first of all, or in a line by key. */
  extractReturned(entry: Entry): boolean {
    if (this.#front?.remove(entry) === true) {
      this.#left(entry)
      return true
    }
    const bucket = this.#buckets.get(entry.priority)
    if (bucket?.extractEntry(entry) !== true) return false
    this.#shrank(bucket)
    this.#lane.cold?.left(entry)
    return true
  }

  /** The entry of a waiting command, which stays in its place. */
  find(seq: number, isIt: (run: Run) => boolean): Entry | undefined {
    for (const bucket of this.#buckets.values()) {
      const entry = bucket.find(seq, isIt)
      if (entry !== undefined) return entry
    }
    return undefined
  }

  /** Every waiting command, bucket by bucket; of each about `limit` from number `fromSeq` on, and never fewer. */
  *waiting(fromSeq = 0, limit = Number.POSITIVE_INFINITY): Generator<Waiting> {
    for (const { run, body, priority, arrivedAt } of this.#front?.entries() ?? []) {
      yield { run, body, priority, arrivedAt: arrivedAt as number }
    }
    for (const bucket of this.#buckets.values()) yield* bucket.waiting(fromSeq, limit)
  }

  /** How many commands of the lane go before a waiting one, as things stand; with keys, those of its own key. */
  ahead(entry: Entry): number {
    const inFront = this.#front?.ahead(entry)
    if (inFront !== undefined && inFront >= 0) return inFront
    let ahead = this.#front?.size ?? 0
    for (const bucket of this.#buckets.values()) {
      if (bucket.priority < entry.priority) ahead += bucket.size
      if (bucket.priority === entry.priority) ahead += bucket.ahead(entry)
    }
    return ahead
  }

  /** Since when the command that has waited longest waits; undefined when none waits. */
  oldestSince(): number | undefined {
    let oldest = Number.POSITIVE_INFINITY
    for (const entry of this.#front?.entries() ?? []) oldest = Math.min(oldest, entry.readySince)
    for (const bucket of this.#buckets.values()) oldest = Math.min(oldest, bucket.oldestSince())
    return oldest === Number.POSITIVE_INFINITY ? undefined : oldest
  }

  /** Changes which end is served first. */
  setLifo(lifo: boolean): void {
    if (this.#lifo === lifo) return
    this.#lifo = lifo
    for (const bucket of this.#buckets.values()) bucket.setLifo(lifo)
  }

  /** The entry of every waiting command, made where it has none. */
  *entries(): Generator<Entry> {
    yield* this.#front?.entries() ?? []
    for (const bucket of this.#buckets.values()) yield* bucket.entries()
  }

  /** Moves everything into another backlog of the lane, each under its own place. */
  moveTo(other: Backlog): void {
    this.#front?.moveTo(other)
    for (const bucket of this.#buckets.values()) {
      for (const entry of [...bucket.entries()]) {
        bucket.extractEntry(entry)
        other.putBack(entry)
      }
    }
  }

  #bucket(priority: number): Bucket {
    const recent = this.#recent
    if (recent !== undefined && recent.priority === priority) return recent
    let bucket = this.#buckets.get(priority)
    if (bucket === undefined) {
      bucket = this.#newBucket(priority)
      this.#buckets.set(priority, bucket)
    }
    this.#recent = bucket
    return bucket
  }

  #newBucket(priority: number): Bucket {
    return this.keys === undefined
      ? new PlainBucket(this.#lane, priority, this.#placesUsed, this.#lifo)
      : new KeyedBucket(this.keys, priority, this.#placesUsed, this.#lifo)
  }

  /** Keeps a bucket among those that can be taken from, or out of them. */
  #sync(bucket: Bucket): void {
    if (bucket.canTake === bucket.heapIndex >= 0) return
    if (bucket.canTake) this.#filled.push(bucket)
    else this.#filled.remove(bucket)
  }

  #shrank(bucket: Bucket): void {
    this.size--
    if (!bucket.canTake) this.#cannotTake(bucket)
  }

  #cannotTake(bucket: Bucket): void {
    if (bucket.heapIndex >= 0) this.#filled.remove(bucket)
    if (bucket.size === 0) this.#drop(bucket)
  }

  /** A command has left the front. */
  #left(entry: Entry): Entry {
    this.size--
    if (this.#front?.size === 0) this.#front = undefined
    return entry
  }

  /** Forgets an empty bucket unless it is the only one: commands may come in any number of priorities. */
  #drop(bucket: Bucket): void {
    if (this.#buckets.size === 1) return
    this.#placesUsed = Math.max(this.#placesUsed, bucket.nextPlace)
    this.#buckets.delete(bucket.priority)
    if (this.#recent === bucket) this.#recent = undefined
  }
}
