/**
 * The commands that wait in one lane, in the order in which they are to start: best command priority first, then arrival
 * (or the reverse of it, for a `lifo` lane).
 *
 * Commands of one priority stand in a bucket. New ones are appended to a list of chunks with two columns, the run and
 * what it is to do, so a waiting command costs no object beyond its run, nothing is copied as the list grows, and what
 * many commands share (the lane's policy, the time of a burst) is noted once per chunk. A command that comes back (a
 * retry that is due) stands in the bucket's heap `returns` under its original place. Every place is known when the
 * command arrives, and a delayed command reserves its own, so arrival order is a number and never a clock's.
 *
 * Cost: O(1) for a lane with one priority, O(log n) in the number of different priorities and of returned commands.
 */
import { Entry, type EntryDetails } from './entry.js'
import { Heap } from './heap.js'
import type { LaneState } from './lane.js'
import type { AttemptPolicy } from './lane-config.js'
import type { Run } from './run.js'

/**
 * Commands per chunk. Small at first, so that a thousand quiet lanes stay in the processor's caches; doubled while a backlog
 * is deep, until a chunk's own bytes vanish in the commands' and it is still freed in steps.
 */
const FIRST_CHUNK = 16
const LARGEST_CHUNK = 256

/** A stretch of arrivals: those from place `base` on, submitted under one policy. */
class Chunk {
  /** Two columns in one array: the run at 2i, its body at 2i + 1. */
  readonly cells: unknown[]
  readonly capacity: number
  /** Time of the first arrivals. */
  readonly firstTime: number
  lastTime: number
  /** Later times: pairs of (index from which on, time). A burst shares one pair. */
  laterTimes: (number | undefined)[] | undefined
  /** First index that may hold a command, and the one that is filled next. */
  head = 0
  tail = 0
  /** Commands still in it. */
  live = 0
  previous: Chunk | undefined
  next: Chunk | undefined
  readonly base: number
  readonly firstSeq: number
  readonly policy: AttemptPolicy

  constructor(capacity: number, base: number, firstSeq: number, policy: AttemptPolicy, now: number) {
    this.capacity = capacity
    this.cells = new Array(2 * capacity)
    this.base = base
    this.firstSeq = firstSeq
    this.policy = policy
    this.firstTime = now
    this.lastTime = now
    this.laterTimes = undefined
    this.previous = undefined
    this.next = undefined
  }

  runAt(index: number): Run | undefined {
    return this.cells[2 * index] as Run | undefined
  }

  addTime(index: number, now: number): void {
    // No number first: V8 then keeps the times as pointers, and the commands of a burst share one boxed number.
    this.laterTimes ??= [undefined, undefined]
    this.laterTimes.push(index, now)
    this.lastTime = now
  }

  timeAt(index: number): number {
    return this.laterTimes === undefined ? this.firstTime : this.#searchTime(this.laterTimes, index)
  }

  #searchTime(times: readonly (number | undefined)[], index: number): number {
    let low = 0
    let high = times.length / 2 - 1
    while (low < high) {
      const middle = (low + high + 1) >> 1
      if ((times[middle * 2] as number) > index) high = middle - 1
      else low = middle
    }
    return low === 0 ? this.firstTime : (times[low * 2 + 1] as number)
  }
}

/** What is known of a command that waits. */
export type Waiting = {
  readonly run: Run
  readonly body: unknown
  readonly priority: number
  readonly arrivedAt: number
}

type Found = { readonly bucket: Bucket; readonly chunk: Chunk; readonly index: number }

class Bucket {
  heapIndex = -1
  size = 0
  first: Chunk | undefined
  last: Chunk | undefined
  returns: Heap<EntryDetails> | undefined
  /** Commands in the next chunk. */
  chunkSize = FIRST_CHUNK
  /** No place from here on has been given out. */
  nextBase: number
  readonly priority: number

  constructor(priority: number, nextBase: number) {
    this.priority = priority
    this.nextBase = nextBase
    this.first = undefined
    this.last = undefined
    this.returns = undefined
  }
}

const byPriority = (a: Bucket, b: Bucket): boolean => a.priority < b.priority
const oldestFirst = (a: EntryDetails, b: EntryDetails): boolean => a.entry.place < b.entry.place
const newestFirst = (a: EntryDetails, b: EntryDetails): boolean => a.entry.place > b.entry.place

export class Backlog {
  /** Commands waiting. */
  size = 0
  #lifo: boolean
  readonly #lane: LaneState
  readonly #buckets = new Map<number, Bucket>()
  /** Buckets that hold commands, best priority first. */
  readonly #filled = new Heap<Bucket>(byPriority)
  /** The bucket used last: most lanes know one priority only. */
  #recent: Bucket | undefined
  /** Places given out in buckets that are gone; a new bucket starts above them, so that a late return stays first. */
  #placesUsed = 0

  constructor(lane: LaneState, lifo: boolean) {
    this.#lane = lane
    this.#lifo = lifo
  }

  /** Appends a new command and gives its place. `seq` is its number in the queue, which only ever grows. */
  // biome-ignore lint/complexity/useMaxParams: called for every command; an options object would be an object each
  push(run: Run, body: unknown, priority: number, policy: AttemptPolicy, now: number, seq: number): number {
    const bucket = this.#bucket(priority)
    const chunk = this.#openChunk(bucket, policy, now, seq)
    const index = chunk.tail++
    chunk.cells[2 * index] = run
    chunk.cells[2 * index + 1] = body
    chunk.live++
    this.size++
    if (bucket.size++ === 0) this.#filled.push(bucket)
    return chunk.base + index
  }

  /** Keeps the place of a command that arrives now but has to wait for its time; gives the place. */
  reserve(priority: number, policy: AttemptPolicy, now: number, seq: number): number {
    const bucket = this.#bucket(priority)
    const chunk = this.#openChunk(bucket, policy, now, seq)
    const index = chunk.tail++
    if (bucket.size === 0) this.#drop(bucket)
    return chunk.base + index
  }

  /** Puts a command back under its original place: a retry or a delay that is due. */
  putBack(entry: Entry): void {
    const bucket = this.#bucket(entry.priority)
    bucket.returns ??= new Heap(this.#lifo ? newestFirst : oldestFirst)
    bucket.returns.push(entry.more)
    this.size++
    if (bucket.size++ === 0) this.#filled.push(bucket)
  }

  /** Takes the command that is to start next. */
  take(): Entry | undefined {
    const bucket = this.#filled.peek()
    if (bucket === undefined) return undefined
    if (this.#lifo || bucket.returns !== undefined) return this.#takeFrom(bucket)
    const chunk = bucket.first as Chunk
    return this.#takeAt(bucket, chunk, firstIndex(chunk))
  }

  /** Takes out a command that waits, wherever it stands; false when it does not. `seq` is its number in the queue. */
  extract(run: Run, seq: number): boolean {
    const found = this.#locate(seq, (candidate) => candidate === run)
    if (found === undefined) return false
    this.#takeAt(found.bucket, found.chunk, found.index)
    return true
  }

  /** Takes out a command that had been put back; false when it is not among those. */
  extractReturned(entry: Entry): boolean {
    const bucket = this.#buckets.get(entry.priority)
    if (entry.details === undefined || entry.details.heapIndex < 0 || bucket?.returns === undefined) return false
    bucket.returns.remove(entry.details)
    this.#shrank(bucket)
    return true
  }

  /** The entry of a waiting command, which stays in its place. */
  find(seq: number, isIt: (run: Run) => boolean): Entry | undefined {
    const found = this.#locate(seq, isIt)
    return found === undefined ? undefined : this.#entryAt(found.bucket, found.chunk, found.index)
  }

  /** Every waiting command, bucket by bucket; of each about `limit` from number `fromSeq` on, and never fewer. */
  *waiting(fromSeq = 0, limit = Number.POSITIVE_INFINITY): Generator<Waiting> {
    for (const bucket of this.#buckets.values()) {
      // The first chunk may begin with commands before `fromSeq`: they do not count.
      let left = limit + LARGEST_CHUNK
      for (let chunk = bucket.first; chunk !== undefined && left > 0; chunk = chunk.next) {
        if (chunk.next !== undefined && chunk.next.firstSeq <= fromSeq) continue
        for (let index = chunk.head; index < chunk.tail; index++) {
          const run = chunk.runAt(index)
          if (run === undefined) continue
          left--
          yield { run, body: chunk.cells[2 * index + 1], priority: bucket.priority, arrivedAt: chunk.timeAt(index) }
        }
      }
      for (const { entry } of bucket.returns?.items() ?? []) {
        yield { run: entry.run, body: entry.body, priority: entry.priority, arrivedAt: entry.arrivedAt as number }
      }
    }
  }

  /** Changes which end is served first. */
  setLifo(lifo: boolean): void {
    if (this.#lifo === lifo) return
    this.#lifo = lifo
    for (const bucket of this.#buckets.values()) {
      const returned = bucket.returns
      if (returned === undefined) continue
      const heap = new Heap(lifo ? newestFirst : oldestFirst)
      while (returned.size > 0) heap.push(returned.pop() as EntryDetails)
      bucket.returns = heap
    }
  }

  /** `take` where the next command may be the newest, or one that has come back. */
  #takeFrom(bucket: Bucket): Entry {
    const chunk = this.#lifo ? newestChunk(bucket) : bucket.first
    const returned = bucket.returns?.peek()
    if (returned === undefined || (chunk !== undefined && !this.#isBefore(returned.entry.place, chunk))) {
      const next = chunk as Chunk
      return this.#takeAt(bucket, next, this.#lifo ? lastIndex(next) : firstIndex(next))
    }
    bucket.returns?.remove(returned)
    this.#shrank(bucket)
    return returned.entry
  }

  /** Whether the place comes before the next command of the chunk that is to be served. */
  #isBefore(place: number, chunk: Chunk): boolean {
    if (chunk.live === 0) return true
    return this.#lifo ? place > chunk.base + lastIndex(chunk) : place < chunk.base + firstIndex(chunk)
  }

  #entryAt(bucket: Bucket, chunk: Chunk, index: number): Entry {
    const run = chunk.cells[2 * index] as Run
    const body = chunk.cells[2 * index + 1]
    if (typeof run.inner === 'object') return run.inner
    return new Entry(run, this.#lane, body, chunk.base + index, bucket.priority, chunk.policy, chunk.timeAt(index))
  }

  #takeAt(bucket: Bucket, chunk: Chunk, index: number): Entry {
    const entry = this.#entryAt(bucket, chunk, index)
    chunk.cells[2 * index] = undefined
    chunk.cells[2 * index + 1] = undefined
    if (index === chunk.head) chunk.head = index + 1
    if (--chunk.live === 0) this.#emptied(bucket, chunk)
    this.#shrank(bucket)
    return entry
  }

  /** Walks chunks, not commands: the numbers of a bucket's commands only ever grow. */
  #locate(seq: number, isIt: (run: Run) => boolean): Found | undefined {
    for (const bucket of this.#buckets.values()) {
      let chunk = bucket.first
      while (chunk?.next !== undefined && chunk.next.firstSeq <= seq) chunk = chunk.next
      if (chunk === undefined) continue
      for (let index = chunk.head; index < chunk.tail; index++) {
        const run = chunk.runAt(index)
        if (run !== undefined && isIt(run)) return { bucket, chunk, index }
      }
    }
    return undefined
  }

  #bucket(priority: number): Bucket {
    const recent = this.#recent
    if (recent !== undefined && recent.priority === priority) return recent
    let bucket = this.#buckets.get(priority)
    if (bucket === undefined) {
      bucket = new Bucket(priority, this.#placesUsed)
      this.#buckets.set(priority, bucket)
    }
    this.#recent = bucket
    return bucket
  }

  /** The chunk that takes the next arrival. */
  #openChunk(bucket: Bucket, policy: AttemptPolicy, now: number, seq: number): Chunk {
    const chunk = bucket.last
    if (chunk === undefined || chunk.tail === chunk.capacity || chunk.policy !== policy) {
      return this.#addChunk(bucket, policy, now, seq)
    }
    if (chunk.lastTime !== now) chunk.addTime(chunk.tail, now)
    return chunk
  }

  #addChunk(bucket: Bucket, policy: AttemptPolicy, now: number, seq: number): Chunk {
    const last = bucket.last
    if (last !== undefined && last.live > last.capacity / 2) {
      bucket.chunkSize = Math.min(2 * bucket.chunkSize, LARGEST_CHUNK)
    }
    const chunk = new Chunk(bucket.chunkSize, bucket.nextBase, seq, policy, now)
    bucket.nextBase += chunk.capacity
    chunk.previous = last
    bucket.last = chunk
    if (last === undefined) bucket.first = chunk
    else {
      last.next = chunk
      if (last.live === 0) unlink(bucket, last)
    }
    return chunk
  }

  /** The last chunk goes on taking arrivals until it is full; any other without commands is done with. */
  #emptied(bucket: Bucket, chunk: Chunk): void {
    if (chunk.tail === chunk.capacity || chunk !== bucket.last) unlink(bucket, chunk)
  }

  #shrank(bucket: Bucket): void {
    this.size--
    if (--bucket.size > 0) return
    this.#filled.remove(bucket)
    this.#drop(bucket)
  }

  /** Forgets an empty bucket unless it is the only one: commands may come in any number of priorities. */
  #drop(bucket: Bucket): void {
    if (this.#buckets.size === 1) return
    this.#placesUsed = Math.max(this.#placesUsed, bucket.nextBase)
    this.#buckets.delete(bucket.priority)
    if (this.#recent === bucket) this.#recent = undefined
  }
}

function unlink(bucket: Bucket, chunk: Chunk): void {
  if (chunk.previous === undefined) bucket.first = chunk.next
  else chunk.previous.next = chunk.next
  if (chunk.next === undefined) bucket.last = chunk.previous
  else chunk.next.previous = chunk.previous
}

/** The first command of a chunk that holds one; what is passed over is not looked at again. */
function firstIndex(chunk: Chunk): number {
  while (chunk.cells[2 * chunk.head] === undefined) chunk.head++
  return chunk.head
}

/** The last command of a chunk that holds one. */
function lastIndex(chunk: Chunk): number {
  let index = chunk.tail - 1
  while (chunk.cells[2 * index] === undefined) index--
  return index
}

/** The chunk of the newest command: the last one is kept for arrivals even when it holds none. */
const newestChunk = ({ last }: Bucket): Chunk | undefined => (last?.live === 0 ? (last.previous ?? last) : last)
