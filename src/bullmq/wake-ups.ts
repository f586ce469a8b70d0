/**
 * Waits for work without asking for it: a blocking read of the markers of the lanes in which this process could start
 * something. BullMQ sets a marker when a command is added and when one was claimed, with an instant when the next one is
 * only due then. A look at every watched lane each 5 s makes up for a marker that was taken by a process that died.
 */
import type { Clock, EngineUse, Timer } from '../core/index.js'
import type { Connections } from './connections.js'
import type { Namespace } from './server-calls.js'

const BLOCK_SECONDS = 5
/** Where it cannot be ended earlier. */
const SHORT_BLOCK_SECONDS = 1
const LOOK_MS = 5000
/** How much later than asked for a blocking read may answer before its connection is taken for dead. */
const DEAD_MS = 5000
/** Markers carry an instant of now or earlier as 0. */
const NOW = 0

export class WakeUps {
  readonly #connections: Connections
  readonly #names: Namespace
  readonly #use: EngineUse
  readonly #clock: Clock
  #watched: readonly string[] = []
  #watchedSet = new Set<string>()
  /** The lanes of the read under way. */
  #blockedOn: ReadonlySet<string> | undefined
  /** When something delayed of a lane is due. */
  readonly #due = new Map<string, { readonly at: number; readonly timer: Timer }>()
  #look: Timer | undefined
  #wake: (() => void) | undefined
  #isClosed = false

  constructor(connections: Connections, names: Namespace, use: EngineUse, clock: Clock) {
    this.#connections = connections
    this.#names = names
    this.#use = use
    this.#clock = clock
  }

  start(): void {
    this.#lookLater()
    this.#wait().catch((error: unknown) => this.#use.onFault(error))
  }

  watch(laneIds: readonly string[]): void {
    this.#watched = laneIds
    this.#watchedSet = new Set(laneIds)
    this.#wake?.()
    const blockedOn = this.#blockedOn
    if (blockedOn === undefined || laneIds.every((laneId) => blockedOn.has(laneId))) return
    // told once: the next read is over all that is watched then
    this.#blockedOn = undefined
    this.#connections.unblock()
  }

  /** Looks at every watched lane. */
  lookAtAll(): void {
    for (const laneId of this.#watched) this.#use.onWork(laneId)
  }

  close(): void {
    this.#isClosed = true
    for (const { timer } of this.#due.values()) this.#clock.clearTimer(timer)
    this.#due.clear()
    if (this.#look !== undefined) this.#clock.clearTimer(this.#look)
    this.#wake?.()
  }

  #lookLater(): void {
    this.#look = this.#clock.setTimer(
      LOOK_MS,
      () => {
        this.lookAtAll()
        this.#lookLater()
      },
      true,
    )
  }

  async #wait(): Promise<void> {
    while (!this.#isClosed) {
      if (this.#watched.length === 0) await this.#changed()
      else if (this.#connections.blocking.status === 'ready') await this.#read()
      else await this.#connections.whenChanged(LOOK_MS)
    }
  }

  #changed(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = () => {
        this.#wake = undefined
        resolve()
      }
    })
  }

  /** One blocking read. */
  async #read(): Promise<void> {
    const laneIds = this.#watched
    const byKey = new Map(laneIds.map((laneId) => [`${this.#names.prefixOf(laneId)}marker`, laneId]))
    this.#blockedOn = this.#watchedSet
    const { blocking } = this.#connections
    const guard = this.#clock.setTimer(BLOCK_SECONDS * 1000 + DEAD_MS, () => blocking.disconnect(true), true)
    try {
      const seconds = this.#connections.canUnblock ? BLOCK_SECONDS : SHORT_BLOCK_SECONDS
      const marker = await blocking.bzpopmin([...byKey.keys()], seconds)
      if (marker !== null) this.#marked(marker[0], marker[1], Number(marker[2]), byKey.get(marker[0]) as string)
    } catch (error) {
      if (!this.#isClosed && blocking.status === 'ready') {
        this.#use.onFault(error)
        await this.#connections.whenChanged(1000)
      }
    } finally {
      this.#clock.clearTimer(guard)
      this.#blockedOn = undefined
    }
  }

  #marked(key: string, member: string, score: number, laneId: string): void {
    if (this.#isClosed || !this.#watchedSet.has(laneId)) {
      // others may have a place for it
      this.#connections.main.zadd(key, score, member).catch(() => undefined)
      return
    }
    const inMs = score - this.#use.now()
    if (score === NOW || inMs <= 0) this.#use.onWork(laneId)
    else this.#wakeAt(laneId, score, inMs)
  }

  #wakeAt(laneId: string, at: number, inMs: number): void {
    const known = this.#due.get(laneId)
    if (known !== undefined) {
      if (known.at <= at) return
      this.#clock.clearTimer(known.timer)
    }
    const timer = this.#clock.setTimer(
      inMs,
      () => {
        this.#due.delete(laneId)
        this.#use.onWork(laneId)
      },
      true,
    )
    this.#due.set(laneId, { at, timer })
  }
}
