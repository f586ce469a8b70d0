/**
 * The waiting commands of one priority in one lane, in order of arrival or of the reverse.
 *
 * New ones are appended to a list of chunks, so a waiting command costs no object beyond its run. A command that comes
 * back (a retry that is due) stands in the heap `returns` under its original place.
 */
import type { Cost } from '../policy/index.js'
import { Chunk, FIRST_CHUNK, firstIndex, LARGEST_CHUNK, lastIndex } from './chunk.js'
import { Entry, type EntryDetails } from './entry.js'
import { Heap } from './heap.js'
import type { LaneState } from './lane.js'
import type { AttemptPolicy } from './lane-limits.js'
import type { Run } from './run.js'

/** What is known of a command that waits. */
export type Waiting = {
  readonly run: Run
  readonly body: unknown
  readonly priority: number
  readonly arrivedAt: number
}

/** Waiting commands of one priority, as the backlog of their lane sees them: plainly in line, or in lines by key. */
export interface Bucket {
  /** Kept by the backlog. */
  heapIndex: number
  readonly priority: number
  readonly size: number
  /** Whether one of them may be taken: not when each one's key is at its limit. */
  readonly canTake: boolean
  /** No place from here on has been given out. */
  readonly nextPlace: number
  /** How many could be taken one after the other, counted up to `most` or a little beyond. */
  startable(most: number): number
  /** Appends a new command and gives its place. */
  push(run: Run, body: unknown, policy: AttemptPolicy, now: number, seq: number): number
  /** Keeps a place for a command that has to wait for its time. */
  reserve(policy: AttemptPolicy, now: number, seq: number): number
  /** Puts a command back under its original place. */
  putBack(entry: Entry): void
  /** Takes the next command. Only when `canTake`. */
  take(): Entry
  /** What the next command costs, if it says so. Only when `canTake`. */
  nextCost(): Cost | undefined
  /** Takes out a command that stands as an entry; false when it does not. */
  extractEntry(entry: Entry): boolean
  /** Takes out a command by its number in the queue; false when it is not here. */
  extractRun(run: Run, seq: number): boolean
  /** The entry of a waiting command by its number; it stays in its place. */
  find(seq: number, isIt: (run: Run) => boolean): Entry | undefined
  /** The waiting commands from number `fromSeq` on; about `limit` of them, and never fewer. */
  waiting(fromSeq: number, limit: number): Iterable<Waiting>
  /** The entry of every waiting command, made where it has none; they stay in their places. */
  entries(): Iterable<Entry>
  /** How many of them go before this one, as things stand. */
  ahead(entry: Entry): number
  /** Since when the one that has waited longest waits; Infinity when there is none. */
  oldestSince(): number
  setLifo(lifo: boolean): void
}

type Found = { readonly chunk: Chunk; readonly index: number }

export const oldestFirst = (a: EntryDetails, b: EntryDetails): boolean => a.entry.place < b.entry.place
export const newestFirst = (a: EntryDetails, b: EntryDetails): boolean => a.entry.place > b.entry.place

/** A heap of returned commands in another order. */
export function reordered(returns: Heap<EntryDetails>, lifo: boolean): Heap<EntryDetails> {
  const heap = new Heap(lifo ? newestFirst : oldestFirst)
  while (returns.size > 0) heap.push(returns.pop() as EntryDetails)
  return heap
}

/** Since when the one of these returned commands waits that has waited longest; Infinity when there is none. */
export function oldestOf(returns: Heap<EntryDetails> | undefined): number {
  let oldest = Number.POSITIVE_INFINITY
  for (const { entry } of returns?.items() ?? []) oldest = Math.min(oldest, entry.readySince)
  return oldest
}

/** Commands plainly in line. */
export class PlainBucket implements Bucket {
  heapIndex = -1
  size = 0
  #first: Chunk | undefined
  #last: Chunk | undefined
  #returns: Heap<EntryDetails> | undefined
  /** Commands in the next chunk. */
  #chunkSize = FIRST_CHUNK
  nextPlace: number
  readonly priority: number
  #lifo: boolean
  readonly #lane: LaneState

  constructor(lane: LaneState, priority: number, nextPlace: number, lifo: boolean) {
    this.#lane = lane
    this.priority = priority
    this.nextPlace = nextPlace
    this.#lifo = lifo
    this.#first = undefined
    this.#last = undefined
    this.#returns = undefined
  }

  get canTake(): boolean {
    return this.size > 0
  }

  startable(): number {
    return this.size
  }

  push(run: Run, body: unknown, policy: AttemptPolicy, now: number, seq: number): number {
    const chunk = this.#openChunk(policy, now, seq)
    const index = chunk.tail++
    chunk.cells[2 * index] = run
    chunk.cells[2 * index + 1] = body
    chunk.live++
    this.size++
    return chunk.base + index
  }

  reserve(policy: AttemptPolicy, now: number, seq: number): number {
    const chunk = this.#openChunk(policy, now, seq)
    return chunk.base + chunk.tail++
  }

  putBack(entry: Entry): void {
    this.#returns ??= new Heap(this.#lifo ? newestFirst : oldestFirst)
    this.#returns.push(entry.more)
    this.size++
  }

  take(): Entry {
    if (this.#lifo || this.#returns !== undefined) return this.#takeSpecial()
    const chunk = this.#first as Chunk
    return this.#takeAt(chunk, firstIndex(chunk))
  }

  nextCost(): Cost | undefined {
    const returned = this.#returnedNext()
    if (returned !== undefined) return returned.traits?.cost
    const chunk = this.#nextChunk() as Chunk
    const run = chunk.runAt(this.#nextIndex(chunk)) as Run
    return typeof run.inner === 'object' ? run.inner.details?.traits?.cost : undefined
  }

  extractEntry({ details }: Entry): boolean {
    if (details === undefined || details.heapIndex < 0 || this.#returns === undefined) return false
    this.#returns.remove(details)
    this.size--
    return true
  }

  extractRun(run: Run, seq: number): boolean {
    const found = this.#locate(seq, (candidate) => candidate === run)
    if (found === undefined) return false
    this.#takeAt(found.chunk, found.index)
    return true
  }

  find(seq: number, isIt: (run: Run) => boolean): Entry | undefined {
    const found = this.#locate(seq, isIt)
    return found === undefined ? undefined : this.#entryAt(found.chunk, found.index)
  }

  *waiting(fromSeq: number, limit: number): Generator<Waiting> {
    const { priority } = this
    // The first chunk may begin with commands before `fromSeq`: they do not count.
    let left = limit + LARGEST_CHUNK
    for (let chunk = this.#first; chunk !== undefined && left > 0; chunk = chunk.next) {
      if (chunk.next !== undefined && chunk.next.firstSeq <= fromSeq) continue
      for (let index = chunk.head; index < chunk.tail; index++) {
        const run = chunk.runAt(index)
        if (run === undefined) continue
        left--
        yield { run, body: chunk.cells[2 * index + 1], priority, arrivedAt: chunk.timeAt(index) }
      }
    }
    for (const { entry } of this.#returns?.items() ?? []) {
      yield { run: entry.run, body: entry.body, priority, arrivedAt: entry.arrivedAt as number }
    }
  }

  *entries(): Generator<Entry> {
    for (let chunk = this.#first; chunk !== undefined; chunk = chunk.next) {
      for (let index = chunk.head; index < chunk.tail; index++) {
        if (chunk.runAt(index) !== undefined) yield this.#entryAt(chunk, index)
      }
    }
    for (const { entry } of this.#returns?.items() ?? []) yield entry
  }

  ahead({ place }: Entry): number {
    let older = 0
    for (const { entry } of this.#returns?.items() ?? []) if (entry.place < place) older++
    for (let chunk = this.#first; chunk !== undefined && chunk.base <= place; chunk = chunk.next) {
      if (chunk.base + chunk.tail <= place) older += chunk.live
      else for (let at = chunk.head; chunk.base + at < place; at++) if (chunk.runAt(at) !== undefined) older++
    }
    return this.#lifo ? this.size - older - 1 : older
  }

  oldestSince(): number {
    let chunk = this.#first
    while (chunk?.live === 0) chunk = chunk.next
    const inLine = chunk === undefined ? Number.POSITIVE_INFINITY : chunk.timeAt(firstIndex(chunk))
    return Math.min(inLine, oldestOf(this.#returns))
  }

  setLifo(lifo: boolean): void {
    this.#lifo = lifo
    if (this.#returns !== undefined) this.#returns = reordered(this.#returns, lifo)
  }

  /** `take` where the next command may be the newest, or one that has come back. */
  #takeSpecial(): Entry {
    const returned = this.#returnedNext()
    if (returned === undefined) {
      const chunk = this.#nextChunk() as Chunk
      return this.#takeAt(chunk, this.#nextIndex(chunk))
    }
    this.#returns?.remove(returned)
    this.size--
    return returned.entry
  }

  /** The command that has come back and is next; undefined when the next one stands in a chunk. */
  #returnedNext(): EntryDetails | undefined {
    const returned = this.#returns?.peek()
    if (returned === undefined) return undefined
    const chunk = this.#nextChunk()
    return chunk === undefined || this.#isBefore(returned.entry.place, chunk) ? returned : undefined
  }

  /** Whether the place comes before the next command of the chunk that is to be served. */
  #isBefore(place: number, chunk: Chunk): boolean {
    if (chunk.live === 0) return true
    return this.#lifo ? place > chunk.base + lastIndex(chunk) : place < chunk.base + firstIndex(chunk)
  }

  /** The chunk that is served next: the last one is kept for arrivals even when it holds no command. */
  #nextChunk(): Chunk | undefined {
    if (!this.#lifo) return this.#first
    const last = this.#last
    return last?.live === 0 ? (last.previous ?? last) : last
  }

  #nextIndex(chunk: Chunk): number {
    return this.#lifo ? lastIndex(chunk) : firstIndex(chunk)
  }

  #entryAt(chunk: Chunk, index: number): Entry {
    const run = chunk.cells[2 * index] as Run
    const body = chunk.cells[2 * index + 1]
    if (typeof run.inner === 'object') return run.inner
    return new Entry(run, this.#lane, body, chunk.base + index, this.priority, chunk.policy, chunk.timeAt(index))
  }

  #takeAt(chunk: Chunk, index: number): Entry {
    const entry = this.#entryAt(chunk, index)
    chunk.cells[2 * index] = undefined
    chunk.cells[2 * index + 1] = undefined
    if (index === chunk.head) chunk.head = index + 1
    if (--chunk.live === 0) this.#emptied(chunk)
    this.size--
    return entry
  }

  /** Walks chunks, not commands: the numbers of a bucket's commands only ever grow. */
  #locate(seq: number, isIt: (run: Run) => boolean): Found | undefined {
    let chunk = this.#first
    while (chunk?.next !== undefined && chunk.next.firstSeq <= seq) chunk = chunk.next
    if (chunk === undefined) return undefined
    for (let index = chunk.head; index < chunk.tail; index++) {
      const run = chunk.runAt(index)
      if (run !== undefined && isIt(run)) return { chunk, index }
    }
    return undefined
  }

  /** The chunk that takes the next arrival. */
  #openChunk(policy: AttemptPolicy, now: number, seq: number): Chunk {
    const chunk = this.#last
    if (chunk === undefined || chunk.tail === chunk.capacity || chunk.policy !== policy) {
      return this.#addChunk(policy, now, seq)
    }
    if (chunk.lastTime !== now) chunk.addTime(chunk.tail, now)
    return chunk
  }

  #addChunk(policy: AttemptPolicy, now: number, seq: number): Chunk {
    const last = this.#last
    if (last !== undefined && last.live > last.capacity / 2) {
      this.#chunkSize = Math.min(2 * this.#chunkSize, LARGEST_CHUNK)
    }
    const chunk = new Chunk(this.#chunkSize, this.nextPlace, seq, policy, now)
    this.nextPlace += chunk.capacity
    chunk.previous = last
    this.#last = chunk
    if (last === undefined) this.#first = chunk
    else {
      last.next = chunk
      if (last.live === 0) this.#unlink(last)
    }
    return chunk
  }

  /** The last chunk goes on taking arrivals until it is full; any other without commands is done with. */
  #emptied(chunk: Chunk): void {
    if (chunk.tail === chunk.capacity || chunk !== this.#last) this.#unlink(chunk)
  }

  #unlink(chunk: Chunk): void {
    if (chunk.previous === undefined) this.#first = chunk.next
    else chunk.previous.next = chunk.next
    if (chunk.next === undefined) this.#last = chunk.previous
    else chunk.next.previous = chunk.previous
  }
}
