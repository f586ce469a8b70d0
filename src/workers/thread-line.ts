/**
 * Some threads and the bodies that wait for one of them, in the order in which they came. piscina runs the threads; the
 * line is ours, so that a body that is told to stop before its turn never starts, and order is kept.
 *
 * A body that waits inside `ctx.yield` or `ctx.run` occupies its thread, while those it waits for may stand in this very
 * line: for as long as it waits one more thread may run. Such spare threads end when nobody has used them for a while.
 */
import type { EventEmitter } from 'node:events'
import type { Worker } from 'node:worker_threads'
import type { Piscina } from 'piscina'
import { errorText, type Timer, UnrecoverableError } from '../core/index.js'
import { requirePeer } from '../peer/index.js'
import type { BodyOwner, RemoteBody } from './remote-body.js'
import { type BodyEnding, type BodyStart, contentOf, inEnvelope, type Order, type Report } from './thread-messages.js'
import type { ThreadSettings } from './thread-options.js'

type PiscinaModule = typeof import('piscina')
type Threads = Piscina & EventEmitter

/** How long a spare thread is kept for the next one who needs it. */
const SPARE_IDLE_MS = 1000

/** What all lines of a pool share. */
export interface LineHost {
  readonly settings: ThreadSettings
  /** The file that piscina runs in each thread. */
  readonly entry: string
  readonly stops: Int32Array
  /** Cells of `stops` that nobody uses. */
  readonly places: number[]
  readonly bodies: Map<number, RemoteBody>
  /** Lets a body hear of its abort a little later: most small ones have ended by then. */
  watchSoon(body: RemoteBody): void
  /** A body has left its line. */
  left(body: RemoteBody, how: 'done' | 'crashed' | 'killed' | 'never started'): void
}

export class ThreadLine implements BodyOwner {
  readonly #host: LineHost
  readonly #size: number
  readonly #waiting = new Set<RemoteBody>()
  readonly #running = new Map<RemoteBody, Threads>()
  #parked = 0
  #closedBy: Error | undefined
  #threads: Threads | undefined
  #spare: Threads | undefined

  constructor(size: number, host: LineHost) {
    this.#size = size
    this.#host = host
  }

  get waiting(): number {
    return this.#waiting.size
  }

  get running(): number {
    return this.#running.size
  }

  /** Threads that are there, running or not. */
  get alive(): number {
    return (this.#threads?.threads.length ?? 0) + (this.#spare?.threads.length ?? 0)
  }

  add(body: RemoteBody): void {
    body.join(this)
    if (this.#closedBy !== undefined) return this.#leave(body, 'never started', this.#closedBy)
    if (this.#waiting.size === 0 && this.#hasRoom()) {
      this.#handOver(body)
      return this.#host.watchSoon(body)
    }
    this.#waiting.add(body)
    body.watch()
  }

  /** Ends every thread; bodies that still run or wait fail. */
  async close(error: Error): Promise<void> {
    this.#closedBy = error
    for (const body of this.#waiting) this.#leave(body, 'never started', error)
    for (const body of [...this.#running.keys()]) this.#kill(body, error)
    await Promise.all([this.#threads?.destroy(), this.#spare?.destroy()])
  }

  stop(body: RemoteBody, order: Order): void {
    if (this.#waiting.has(body)) return this.#leave(body, 'never started', body.stopReason)
    // piscina still looks for a thread: there is none to end.
    if (body.threadId === undefined) return this.#kill(body, body.stopReason)
    this.tell(body, order)
    Atomics.store(this.#host.stops, body.place, body.number)
  }

  tell(body: RemoteBody, order: Order): void {
    this.#threadOf(body)?.postMessage(inEnvelope(order))
  }

  park(body: RemoteBody): void {
    if (body.parked++ === 0) this.#parked++
    this.#next()
  }

  unpark(body: RemoteBody): void {
    if (--body.parked === 0 && this.#running.has(body)) this.#parked--
  }

  kill(body: RemoteBody): void {
    this.#kill(body, body.stopReason)
  }

  setTimer(fire: () => void, leastMs = 0): Timer {
    const { clock, killAfterMs } = this.#host.settings
    return clock.setTimer(Math.max(killAfterMs, leastMs), fire)
  }

  clearTimer(timer: Timer): void {
    this.#host.settings.clock.clearTimer(timer)
  }

  /** Hands over as many as may run. */
  #next(): void {
    for (const body of this.#waiting) {
      if (!this.#hasRoom()) return
      this.#waiting.delete(body)
      this.#handOver(body)
    }
  }

  #hasRoom(): boolean {
    return this.#running.size - this.#parked < this.#size && this.#host.places.length > 0
  }

  #handOver(body: RemoteBody): void {
    const { Piscina: Threads, queueOptionsSymbol } = piscina()
    const threads = this.#running.size < this.#size ? this.#mainThreads(Threads) : this.#spareThreads(Threads)
    body.place = this.#host.places.pop() as number
    this.#running.set(body, threads)
    const { transfer } = this.#host.settings
    try {
      const start: BodyStart & { [queueOptionsSymbol]?: RemoteBody } = body.start()
      start[queueOptionsSymbol] = body
      const signal = body.killSwitch
      const options = transfer === undefined ? { signal } : { signal, transferList: [...transfer(body.payload)] }
      ;(threads.run(start, options) as Promise<BodyEnding | undefined>).then(
        (ending) => this.#ended(body, threads, ending),
        (error: unknown) => this.#ended(body, threads, undefined, error),
      )
    } catch (error) {
      this.#leave(body, 'never started', error)
    }
  }

  #ended(body: RemoteBody, threads: Threads, ending: BodyEnding | undefined, error?: unknown): void {
    if (!this.#running.has(body)) return
    if (ending?.how === undefined) {
      const isAlive = threads.threads.some(({ threadId }) => threadId === body.threadId)
      if (isAlive) return this.#leave(body, 'never started', unsendable(error))
      return this.#leave(body, 'crashed', crash(body, error))
    }
    body.answered(ending)
    // Its reports are on their way, and nothing else may hold the process.
    if (body.waitsForReports) return this.#threadOf(body)?.ref()
    this.#free(body)
    this.#host.left(body, 'done')
    this.#next()
  }

  #kill(body: RemoteBody, error: unknown): void {
    if (!this.#running.has(body)) return
    const how = body.threadId === undefined ? 'never started' : 'killed'
    const { killSwitch } = body
    this.#free(body)
    killSwitch.press()
    this.#leave(body, how, error)
  }

  #leave(body: RemoteBody, how: 'crashed' | 'killed' | 'never started', error: unknown): void {
    this.#waiting.delete(body)
    this.#free(body)
    body.lost(error)
    this.#host.left(body, how)
    this.#next()
  }

  #free(body: RemoteBody): void {
    if (!this.#running.delete(body)) return
    if (body.parked > 0) this.#parked--
    this.#host.places.push(body.place)
  }

  #heard(message: unknown): void {
    const report = contentOf<Report>(message)
    if (report === undefined) return
    const body = this.#host.bodies.get(report.body)
    if (body === undefined) return
    const { waitsForReports } = body
    body.heard(report)
    if (!waitsForReports || body.waitsForReports || !this.#running.has(body)) return
    this.#threadOf(body)?.unref()
    this.#free(body)
    this.#host.left(body, 'done')
    this.#next()
  }

  /** After threads have gone: nobody is left to wait for one that will not come, or for what it has not said. */
  #threadGone(threads: Threads, error?: unknown): void {
    const alive = new Set(threads.threads.map(({ threadId }) => threadId))
    for (const [body, its] of this.#running) {
      if (its !== threads) continue
      if (body.threadId === undefined && alive.size === 0) {
        body.killSwitch.press()
        this.#leave(body, 'crashed', crash(body, error))
      } else if (body.waitsForReports && !alive.has(body.threadId as number)) {
        this.#leave(body, 'crashed', crash(body, error))
      }
    }
  }

  #threadOf(body: RemoteBody): Worker | undefined {
    return this.#running.get(body)?.threads.find(({ threadId }) => threadId === body.threadId)
  }

  #mainThreads(Class: PiscinaModule['Piscina']): Threads {
    this.#threads ??= this.#newThreads(Class, this.#size, Number.POSITIVE_INFINITY)
    return this.#threads
  }

  #spareThreads(Class: PiscinaModule['Piscina']): Threads {
    this.#spare ??= this.#newThreads(Class, this.#host.stops.length, SPARE_IDLE_MS)
    return this.#spare
  }

  #newThreads(Class: PiscinaModule['Piscina'], maxThreads: number, idleTimeout: number): Threads {
    const { settings, entry, stops } = this.#host
    const threads = new Class({
      filename: entry,
      name: 'runBody',
      minThreads: 0,
      maxThreads,
      idleTimeout,
      recordTiming: false,
      stricterFIFO: true,
      workerData: { stops: stops.buffer },
      loadBalancer: chooseThread,
      ...(settings.resourceLimits === undefined ? {} : { resourceLimits: settings.resourceLimits }),
    }) as Threads
    threads.on('message', (message) => this.#heard(message))
    // A thread that fails while it runs nothing of ours harms no command.
    threads.on('error', (error) => this.#threadGone(threads, error))
    threads.on('workerDestroy', () => queueMicrotask(() => this.#threadGone(threads)))
    return threads
  }
}

let loaded: PiscinaModule | undefined

/** Loaded when the first body is handed over; kept, since to find a package again takes longer than to hand over. */
function piscina(): PiscinaModule {
  loaded ??= requirePeer<PiscinaModule>('piscina', '@a3s-lab/lane/workers')
  return loaded
}

type Chooser = NonNullable<NonNullable<ConstructorParameters<PiscinaModule['Piscina']>[0]>['loadBalancer']>

/** The first thread that runs nothing; and the body is told which it is. */
const chooseThread: Chooser = (start, threads) => {
  const free = threads.find(({ currentUsage }) => currentUsage === 0) ?? null
  const body = start[piscina().queueOptionsSymbol] as RemoteBody | null
  if (free !== null && body !== null) body.threadId = free.id
  return free
}

const unsendable = (error: unknown): Error =>
  new UnrecoverableError(`The payload cannot be sent to a thread: ${errorText(error)}`, { cause: error })

function crash(body: RemoteBody, error: unknown): Error {
  const how = error === undefined || error === null ? 'it was ended from outside' : errorText(error)
  return new Error(`The thread that ran ${body.file} ended: ${how}`, { cause: error })
}
