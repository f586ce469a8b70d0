/**
 * Backlogs beyond memory. Of a lane's waiting commands the best stand in memory; the others are *cold*: in the storage
 * only, in the order in which they will start.
 *
 * The border between them is one place in that order, the boundary: every command that is not in memory stands behind it.
 * Commands in memory that stand before it are *near*. While any is near, the best of the lane is in memory; when the last
 * of them leaves, the next page comes in, and the boundary moves back. When memory holds twice its window, the worse half is
 * cooled, and the boundary moves forward. In a lane that takes turns by key each key has its own boundary.
 *
 * What others depend on is never cold: delayed commands, those that have run, those with a dedupe id, a parent, a deadline.
 */
import type { Alarm } from './alarms.js'
import { ColdClearing, READ_AGAIN_MS } from './cold-clearing.js'
import type { QueueCore } from './core.js'
import type { Entry } from './entry.js'
import type { Journal } from './journal.js'
import type { LaneState } from './lane.js'
import type { StoredCommand } from './storage.js'
import { storageError } from './storage-errors.js'
import { storedOf } from './stored.js'

/** A place in the order of a lane. */
type Place = { readonly priority: number; readonly seq: number }

/** The cold commands of a lane, or of one key of it. */
type Group = {
  readonly key: string | undefined | null
  /** Commands in the storage only. */
  size: number
  /** Commands in memory before the boundary. */
  near: number
  /** Undefined before everything: nothing of it is in memory. Meaningless while nothing is cold. */
  boundary: Place | undefined
  /** No near command stands behind this place. */
  last: Place | undefined
  /** The same of commands that are not written yet. */
  lastArriving: Place | undefined
}

/** Makes a command of a row, unless it is in memory. */
type Adopt = (row: StoredCommand) => Entry | undefined

export class ColdLane {
  /** Commands that wait in the storage only. */
  size = 0
  readonly #core: QueueCore
  readonly #lane: LaneState
  readonly #adopt: Adopt
  readonly #journal: Journal
  readonly #groups = new Map<string | undefined | null, Group>()
  /** Commands on their way out of memory. */
  #cooling = 0
  /** Commands in memory, and of a page. */
  readonly #window: number
  readonly #page: number
  #readAlarm: Alarm | undefined
  /** No cold command that was accepted has a higher number. */
  #newest: number
  /** Cold commands up to this number are being cancelled. */
  #clearedUpTo = -1

  constructor(core: QueueCore, journal: Journal, lane: LaneState, adopt: Adopt) {
    this.#core = core
    this.#journal = journal
    this.#lane = lane
    this.#adopt = adopt
    this.#newest = core.lastSeq
    this.#window = journal.window
    this.#page = Math.max(1, Math.min(512, journal.window))
  }

  /** So many were found in the storage when it was opened. */
  found(key: string | undefined, count: number): void {
    const group = this.#group(this.#groupKey(key))
    group.size += count
    group.boundary = undefined
    this.#count(count)
  }

  /** Brings the first of each group into memory: after it was opened. */
  warmUp(): void {
    for (const group of this.#groups.values()) this.#refill(group)
  }

  /** Whether a new command stands behind others that are not in memory, or that fill it. */
  takes(entry: Entry): boolean {
    const { backlog, arriving } = this.#lane
    const isFull = backlog.size - this.size + arriving >= this.#window
    if ((this.size === 0 && !isFull) || !mayBeCold(entry)) return false
    const group = this.#group(this.#groupKey(entry.details?.traits?.key))
    if (group.size > 0) return !this.#isNear(group, entry)
    const place = placeOf(entry)
    const isBehind = group.lastArriving === undefined || !this.#precedes(place, group.lastArriving)
    // Of each key something stands in memory, so that the keys take turns.
    const isFirst = group.key !== null && group.near === 0
    if (!isFull || isFirst || !isBehind || !this.#isLast(group, entry)) return false
    group.lastArriving = place
    return true
  }

  /** A command that was written as cold is accepted. False when there is room for it in memory. */
  join(entry: Entry): boolean {
    const group = this.#groups.get(this.#groupKey(entry.details?.traits?.key))
    // Somebody may have come to depend on it since its submit.
    if (group === undefined || !mayBeCold(entry) || (group.size > 0 && this.#isNear(group, entry))) return false
    if (group.size === 0) {
      // What fills the memory may have gone meanwhile, or something may have come that stands behind this one.
      const isFull = this.#lane.backlog.size - this.size >= this.#window
      if (!isFull || group.near === 0 || !this.#isLast(group, entry)) return false
      group.boundary = this.#justBefore(group, placeOf(entry))
    }
    group.size++
    this.#newest = Math.max(this.#newest, seqOf(entry))
    this.#count(1)
    this.#leaveMemory(entry)
    return true
  }

  /** A command waits in memory from now on. */
  came(entry: Entry): void {
    const stored = entry.details?.stored
    if (stored === undefined) return
    const group = this.#group(this.#groupKey(entry.details?.traits?.key))
    if (group.size === 0 || this.#isNear(group, entry)) {
      stored.isNear = true
      group.near++
      if (this.#isLast(group, entry)) group.last = placeOf(entry)
    }
    if (this.#lane.backlog.size - this.size - this.#cooling > 2 * this.#window) this.#cool()
  }

  /** A command waits in memory no more. */
  left({ details }: Entry): void {
    const stored = details?.stored
    if (stored?.isNear !== true) return
    stored.isNear = false
    const group = this.#group(this.#groupKey(details?.traits?.key))
    group.near--
    if (group.near === 0) {
      group.last = undefined
      group.lastArriving = undefined
    }
    if (group.near === 0 && group.size > 0) this.#refill(group)
    else if (group.near === 0 && group.key !== null) this.#groups.delete(group.key)
  }

  /** Brings one command into memory, wherever it stands. */
  fetch(row: StoredCommand): Entry | undefined {
    // One that is about to be cancelled stands nowhere any more.
    if (row.seq <= this.#clearedUpTo) return this.#adopt(row)
    const entry = this.#warm(row)
    if (entry === undefined) return undefined
    const group = this.#group(this.#groupKey(row.key))
    group.size--
    this.#count(-1, true)
    this.came(entry)
    return entry
  }

  /** Cancels all that is cold now, a page at a time; nothing of it starts any more. Gives their number. */
  clear(cancel: (entry: Entry) => void): number {
    const { size } = this
    if (size === 0) return 0
    // Those whose submit is not written yet do not wait, so they are not meant.
    this.#clearedUpTo = this.#newest
    for (const group of this.#groups.values()) group.size = 0
    this.#count(-size)
    const clearing = new ColdClearing(this.#core, this.#journal, this.#lane, this.#adopt)
    clearing.run(this.#clearedUpTo, cancel).catch((error: unknown) => this.#core.fault(error))
    return size
  }

  /** The order of the lane, or its keys, cannot change while some of it is cold. */
  get isFixed(): boolean {
    return this.size > 0
  }

  /** Cools the worse half of what waits in memory. */
  #cool(): void {
    const kept = new Map<Group, number>()
    const victims: Entry[] = []
    const entries = [...this.#lane.backlog.inPlaces()].filter(isStored).sort((a, b) => (this.#isBefore(a, b) ? -1 : 1))
    const perGroup = Math.max(1, Math.floor(this.#window / new Set(entries.map((entry) => this.#groupOf(entry))).size))
    for (const entry of entries) {
      const group = this.#groupOf(entry)
      const count = kept.get(group) ?? 0
      kept.set(group, count + 1)
      if (count >= perGroup && isAtRest(entry)) victims.push(entry)
    }
    this.#cooling += victims.length
    for (const entry of victims) this.#journal.cool(seqOf(entry))
    void this.#journal.written().then(
      () => this.#cooled(victims),
      () => {
        this.#cooling -= victims.length
      },
    )
  }

  /** Their rows are cold: those that still wait leave memory. */
  #cooled(victims: readonly Entry[]): void {
    this.#cooling -= victims.length
    const firsts = new Map<Group, Place | undefined>()
    for (const entry of victims) {
      const stored = storedOf(entry)
      // What has happened to it meanwhile makes it hot again.
      if (!isAtRest(entry) || !this.#lane.backlog.cool(entry)) continue
      stored.isCold = true
      const group = this.#groupOf(entry)
      if (!firsts.has(group)) firsts.set(group, this.#justBefore(group, placeOf(entry)))
      group.size++
      this.#newest = Math.max(this.#newest, seqOf(entry))
      this.#count(1, true)
      this.#leaveMemory(entry)
    }
    for (const [group, place] of firsts) this.#redraw(group, place)
  }

  /** The place before that of the best command that leaves memory, unless the boundary stands before it already. */
  #justBefore({ size, boundary }: Group, { priority, seq }: Place): Place | undefined {
    const before = { priority, seq: this.#lane.limits.lifo ? seq + 1 : seq - 1 }
    return size > 0 && (boundary === undefined || this.#precedes(boundary, before)) ? boundary : before
  }

  /** Moves a boundary forward. */
  #redraw(group: Group, boundary: Place | undefined): void {
    group.near = 0
    group.boundary = boundary
    for (const entry of this.#lane.backlog.inPlaces()) {
      const stored = entry.details?.stored
      if (stored === undefined || this.#groupOf(entry) !== group) continue
      stored.isNear = this.#isNear(group, entry)
      if (stored.isNear) group.near++
    }
    this.#refill(group)
  }

  #refill(group: Group): void {
    while (group.size > 0 && group.near === 0) {
      const limit = Math.max(1, Math.floor(this.#page / this.#groups.size))
      const rows = this.#read(group.key, group.boundary, limit)
      if (rows === undefined) return this.#readLater()
      for (const row of rows) {
        group.boundary = { priority: row.priority, seq: row.seq }
        const entry = row.seq <= this.#clearedUpTo ? undefined : this.#warm(row)
        if (entry === undefined) continue
        group.size--
        this.#count(-1, true)
        storedOf(entry).isNear = true
        group.near++
      }
      group.last = group.boundary
      if (rows.length < limit && group.size > 0) this.#lost(group)
    }
  }

  /** The storage has fewer than it said: what is not there cannot be waited for. */
  #lost(group: Group): void {
    const { size } = group
    group.size = 0
    this.#count(-size)
    this.#core.fault(new Error(`${size} waiting commands of lane '${this.#lane.id}' are not in the storage`))
  }

  #warm(row: StoredCommand): Entry | undefined {
    if (this.#journal.bySeq.has(row.seq)) return undefined
    const entry = this.#adopt(row)
    if (entry === undefined) return undefined
    storedOf(entry).isCold = true
    this.#lane.backlog.warm(entry)
    this.#lane.policies?.waits(entry)
    return entry
  }

  /** A page of the storage; undefined when it could not be read, which is told and tried again. */
  #read(key: Group['key'], after: Place | undefined, limit: number): readonly StoredCommand[] | undefined {
    const { id, limits } = this.#lane
    try {
      return this.#journal.storage.page({ laneId: id, key, lifo: limits.lifo, after, limit })
    } catch (error) {
      this.#core.fault(storageError('Could not read waiting commands', error), { lane_id: id })
      return undefined
    }
  }

  /** Asks again for what could not be read. */
  #readLater(): void {
    const { alarms, clock } = this.#core
    this.#readAlarm ??= alarms.set(clock.now() + READ_AGAIN_MS, () => {
      this.#readAlarm = undefined
      for (const group of this.#groups.values()) this.#refill(group)
      this.#core.backlogGrew(this.#lane)
      this.#core.askForPass()
    })
  }

  /** Only its run stays, for whoever holds it. */
  #leaveMemory(entry: Entry): void {
    const { bySeq, coldRuns } = this.#journal
    const { seq } = storedOf(entry)
    bySeq.delete(seq)
    coldRuns.set(seq, entry.run)
    this.#core.unlist(entry)
    entry.run.inner = entry.settle
  }

  /** So many more are cold; with `isMove` they wait in the lane anyway. */
  #count(more: number, isMove = false): void {
    this.size += more
    if (!isMove) this.#lane.backlog.countCold(more)
  }

  #group(key: string | undefined | null): Group {
    let group = this.#groups.get(key)
    if (group === undefined) {
      group = { key, size: 0, near: 0, boundary: undefined, last: undefined, lastArriving: undefined }
      this.#groups.set(key, group)
    }
    return group
  }

  #groupOf({ details }: Entry): Group {
    return this.#group(this.#groupKey(details?.traits?.key))
  }

  #groupKey(key: string | undefined): string | undefined | null {
    return this.#lane.limits.keys === undefined ? null : key
  }

  #isNear({ boundary }: Group, entry: Entry): boolean {
    return boundary !== undefined && !this.#precedes(boundary, placeOf(entry))
  }

  /** Whether a command stands behind all near ones. */
  #isLast({ last }: Group, entry: Entry): boolean {
    return last === undefined || !this.#precedes(placeOf(entry), last)
  }

  #isBefore(a: Entry, b: Entry): boolean {
    return this.#precedes(placeOf(a), placeOf(b))
  }

  #precedes(a: Place, b: Place): boolean {
    if (a.priority !== b.priority) return a.priority < b.priority
    return this.#lane.limits.lifo ? a.seq > b.seq : a.seq < b.seq
  }
}

const isStored = ({ details }: Entry): boolean => details?.stored !== undefined

const seqOf = (entry: Entry): number => storedOf(entry).seq

const placeOf = (entry: Entry): Place => ({ priority: entry.priority, seq: seqOf(entry) })

/** Whether the storage knows all of a command that may be cold. */
function isAtRest(entry: Entry): boolean {
  const { batch, underWay } = storedOf(entry)
  return batch === undefined && underWay === 0 && mayBeCold(entry)
}

/** One that has run may have a body that goes on, and much to remember: it stays. */
function mayBeCold({ run, attempt, details }: Entry): boolean {
  if (run.state !== 'pending' || attempt > 0 || details === undefined) return false
  const { traits, parent, children, readers, unwatch, stored } = details
  const isWatched = readers !== undefined || unwatch !== undefined || parent !== undefined || children !== undefined
  const isKnown = stored === undefined || stored.writtenState === 'pending'
  return isKnown && !isWatched && traits?.dedupeId === undefined && traits?.deadlineMs === undefined
}
