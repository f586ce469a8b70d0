/**
 * A fresh queue for one test: virtual time, seeded random, a recorder of every event and of every fault. Disposed by
 * `await using`, with a leak guard: afterwards no timer may be set and no slot may be held.
 */
import {
  type EventKey,
  type FunctionCommand,
  type LaneDefinition,
  type LaneEvent,
  QueueManager,
  type QueueOptions,
} from '@a3s-lab/lane'
import { type EventRecorder, recordEvents, seededRandom, VirtualClock } from '@a3s-lab/lane/testing'
import { expect } from 'vitest'

/** Options of the queue under test; it is started unless `start` is false. */
export type SetupOptions = Omit<QueueOptions, 'lanes' | 'clock' | 'random'> & { readonly start?: boolean }

/** Lanes of the queue under test; a priority left out is the lane's place in the list. */
export type SetupLanes<L extends string> = Readonly<Record<L, Partial<LaneDefinition>>>

export class Setup<L extends string = string> implements AsyncDisposable {
  readonly clock = new VirtualClock()
  readonly queue: QueueManager<L>
  readonly recorder: EventRecorder
  /** What `onFault` was told. */
  readonly faults: unknown[] = []
  /** What bodies made by `noting` have written, in order. */
  readonly notes: string[] = []
  readonly #timers = new Set<object>()

  constructor(lanes: SetupLanes<L>, { start: _start, ...options }: SetupOptions) {
    const definitions = Object.entries<Partial<LaneDefinition>>(lanes).map(([id, lane], index) => [
      id,
      lane.priority === undefined ? { ...lane, priority: index } : lane,
    ])
    this.queue = new QueueManager<L>({
      onFault: (error) => this.faults.push(error),
      ...options,
      lanes: Object.fromEntries(definitions) as Record<L, LaneDefinition>,
      clock: this.clock,
      random: seededRandom(1),
    })
    this.recorder = recordEvents(this.queue)
  }

  /** Waits in virtual time; what still waits when the test ends is forgotten. */
  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = this.clock.setTimer(ms, () => {
        this.#timers.delete(timer)
        resolve()
      }) as object
      this.#timers.add(timer)
    })
  }

  /** A body that takes its time. */
  takes<R = undefined>(ms: number, value?: R): FunctionCommand<R> {
    return async () => {
      await this.sleep(ms)
      return value as R
    }
  }

  /** A body that writes its name down when it starts, and takes its time. */
  noting(name: string, ms = 0): FunctionCommand<string> {
    return () => {
      this.notes.push(name)
      return ms === 0 ? name : this.sleep(ms).then(() => name)
    }
  }

  /** Keys and payloads of the events so far; only those of one command when an id is given. */
  events(commandId?: string): [EventKey, unknown][] {
    const isAbout = ({ payload }: LaneEvent): boolean =>
      commandId === undefined || (payload as { command_id?: string } | null)?.command_id === commandId
    return this.recorder.events.filter(isAbout).map(({ key, payload }) => [key, payload])
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = this.queue.close({ timeoutMs: 1 })
    await this.clock.advance(1)
    await closed
    this.recorder.stop()
    for (const timer of this.#timers) this.clock.clearTimer(timer)
    // A drain that has nothing to wait for sets no timer, so what is counted next is what the queue left behind.
    const drained = this.queue.drain(0).catch((error: unknown) => error)
    const timersLeft = this.clock.timers
    await this.clock.advance(0)
    expect(await drained, 'slots that are held after the end').toBeUndefined()
    expect(timersLeft, 'timers that are set after the queue has ended').toBe(0)
    const { totalPending, totalActive, totalDelayed, totalSlots } = this.queue.stats()
    const left = { totalPending, totalActive, totalDelayed, totalSlots }
    expect(left, 'what is left after the end').toEqual({
      totalPending: 0,
      totalActive: 0,
      totalDelayed: 0,
      totalSlots: 0,
    })
  }
}

/** A fresh queue with these lanes, by default one called `work`. */
export async function setup<L extends string = 'work'>(
  lanes?: SetupLanes<L>,
  options: SetupOptions = {},
): Promise<Setup<L>> {
  const t = new Setup<L>(lanes ?? ({ work: {} } as SetupLanes<L>), options)
  if (options.start !== false) await t.queue.start()
  return t
}

/** A promise with its ends in the test's hands. */
export type Gate<T> = {
  readonly promise: Promise<T>
  readonly open: (value: T) => void
  readonly fail: (error: unknown) => void
}

export function gate<T = void>(): Gate<T> {
  let open: (value: T) => void = () => {}
  let fail: (error: unknown) => void = () => {}
  const promise = new Promise<T>((resolve, reject) => {
    open = resolve
    fail = reject
  })
  return { promise, open, fail }
}

/** The error of something that rejects; fails the test when it does not. */
export async function errorOf(promise: PromiseLike<unknown>): Promise<Error & Record<string, unknown>> {
  const value = await promise.then(
    (fulfilled) => ({ fulfilled }),
    (error: unknown) => error,
  )
  expect(value, 'a rejection').toBeInstanceOf(Error)
  return value as Error & Record<string, unknown>
}

/** The error that a call throws; fails the test when it throws none. */
export function thrownBy(call: () => unknown): Error & Record<string, unknown> {
  try {
    call()
  } catch (error) {
    return error as Error & Record<string, unknown>
  }
  throw new Error('Nothing was thrown')
}
