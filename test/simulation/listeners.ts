/** Readers that nobody may feel: one that throws, one that never keeps up, one that uses the queue from inside. */
import type { EventStream } from '@a3s-lab/lane'
import type { World } from './world.js'

/** What the slow reader may lag behind. */
const CAPACITY = 8

/** Told in the middle of a step whose own event is still to come: counts and what was announced differ meanwhile. */
const MID_STEP = new Set<string>([
  'queue.lane.starving',
  'queue.lane.relieved',
  'queue.lane.breaker',
  'queue.lane.pressure',
])

/** Made once: with its stack it costs more than all that it is thrown at. */
const useless = new Error('a listener of no use')

export class Listeners {
  readonly #world: World
  readonly #slow: EventStream | undefined
  readonly #seenBefore: number
  /** What the slow reader read, and what it was told that it lost. */
  #read = 0
  #lost = 0
  isMeddling = false
  /** How often a listener has used the queue. */
  meddled = 0

  constructor(world: World) {
    this.#world = world
    const { queue } = world
    this.#seenBefore = world.observer.events
    this.#slow = world.has('slow') ? queue.subscribe({ capacity: CAPACITY }) : undefined
    queue.subscribeFiltered(() => {
      throw useless
    })
    if (world.has('meddling')) {
      queue.subscribeFiltered(({ key }) => {
        if (key !== 'queue.shutdown.complete') this.#meddle(MID_STEP.has(key))
        return false
      })
    }
  }

  /** Now and then the slow reader reads one. */
  readOne(): void {
    void this.#slow?.recv().then((event) => {
      if (event === undefined) return
      if (event.key === 'events.dropped') this.#lost += event.payload.count
      else this.#read++
    })
  }

  /** I22: what was read, lost and announced has to add up once the queue has ended. */
  async judge(): Promise<void> {
    const slow = this.#slow
    if (slow === undefined) return
    for (let event = await slow.recv(); event !== undefined; event = await slow.recv()) {
      if (event.key === 'events.dropped') this.#lost += event.payload.count
      else this.#read++
    }
    const { picture, observer } = this.#world
    const all = observer.events - this.#seenBefore
    if (this.#read + this.#lost !== all)
      picture.report('I22', `a slow reader read ${this.#read} and was told of ${this.#lost} lost, of ${all} events`)
  }

  #meddle(isMidStep: boolean): void {
    const { draw, picture } = this.#world
    if (this.isMeddling || picture.isQuiet || !draw.chance(0.02)) return
    this.isMeddling = true
    this.meddled++
    picture.isMidStep = isMidStep
    this.#world.meddle()
    picture.isMidStep = false
    this.isMeddling = false
  }
}
