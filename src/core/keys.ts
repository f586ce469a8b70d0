/**
 * The keys of one lane: how many commands run under each, and where its waiting ones stand. A key that nothing waits or
 * runs under is forgotten.
 */
import type { Bucket } from './bucket.js'
import type { Entry } from './entry.js'
import type { KeyedBucket, KeyLine } from './keyed-bucket.js'
import type { KeyRules } from './lane-limits.js'
import type { Slot } from './slot.js'

/** One key in use. */
export class KeyUse {
  /** Bodies that hold one of its places. */
  running = 0
  /** Its waiting commands: a line in each bucket that has some. */
  readonly lines = new Set<KeyLine>()
  readonly key: string

  constructor(key: string) {
    this.key = key
  }
}

/** The key of a command, if it has one. */
export const keyOf = (entry: Entry): string | undefined => entry.details?.traits?.key

export class Keys {
  readonly rules: KeyRules
  readonly #uses = new Map<string, KeyUse>()
  readonly #onChange: (bucket: Bucket) => void

  /** `onChange` hears of a bucket whose keys have got room, or have none left. */
  constructor(rules: KeyRules, onChange: (bucket: Bucket) => void) {
    this.rules = rules
    this.#onChange = onChange
  }

  /** Whether it matters how many commands of a key run. Where it does not, nothing is counted and nothing kept here. */
  get areLimited(): boolean {
    return this.rules.limit !== Number.POSITIVE_INFINITY
  }

  /** Keys that are known, where they are limited. */
  get size(): number {
    return this.#uses.size
  }

  /** Whether one more command of the entry's key may run. Commands without a key are not limited. */
  hasRoom(entry: Entry): boolean {
    return keyOf(entry) === undefined || this.running(entry) < this.rules.limit
  }

  /** How many more commands of a key may run. */
  roomOf(use: KeyUse): number {
    return this.rules.limit - use.running
  }

  /** Commands that run under the entry's key. */
  running(entry: Entry): number {
    const key = keyOf(entry)
    return key === undefined ? 0 : (this.#uses.get(key)?.running ?? 0)
  }

  isFull(use: KeyUse): boolean {
    return this.roomOf(use) <= 0
  }

  use(key: string): KeyUse {
    let use = this.#uses.get(key)
    if (use === undefined) {
      use = new KeyUse(key)
      this.#uses.set(key, use)
    }
    return use
  }

  /** A command takes a place of its key. */
  acquire(key: string): void {
    const use = this.use(key)
    use.running++
    if (use.running === this.rules.limit) this.#tell(use, (bucket, line) => bucket.close(line))
  }

  /** A place of a key is free again. */
  release(key: string): void {
    const use = this.use(key)
    use.running--
    if (use.running === this.rules.limit - 1) this.#tell(use, (bucket, line) => bucket.open(line))
    this.forgetUnused(use)
  }

  forgetUnused(use: KeyUse): void {
    if (use.running === 0 && use.lines.size === 0) this.#uses.delete(use.key)
  }

  #tell(use: KeyUse, act: (bucket: KeyedBucket, line: KeyLine) => void): void {
    for (const line of use.lines) {
      act(line.bucket, line)
      this.#onChange(line.bucket)
    }
  }
}

/** A body takes a place of its command's key, where keys are limited or take turns. */
export function holdKey(entry: Entry): void {
  const { keys } = entry.lane.backlog
  const traits = entry.details?.traits
  if (keys?.areLimited !== true || traits?.key === undefined || traits.holdsKey) return
  ;(entry.slot as Slot).isPlain = false
  traits.holdsKey = true
  keys.acquire(traits.key)
}

/** The same for a body that runs, after the rules of the lane's keys have changed. */
export function holdKeyAgain(entry: Entry): void {
  if (entry.details?.traits === undefined) return
  entry.traits.holdsKey = false
  holdKey(entry)
}

/** The place of its key goes back. */
export function freeKey(entry: Entry): void {
  const traits = entry.details?.traits
  if (traits?.holdsKey !== true) return
  traits.holdsKey = false
  entry.lane.backlog.keys?.release(traits.key as string)
}
