/** Threads that run handlers: made when they are first needed, shared by as many handlers as you like. */
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import {
  type CommandContext,
  checkMs,
  checkObject,
  type Handler,
  refuseUnknown,
  systemClock,
  UnrecoverableError,
} from '../core/index.js'
import { checkPeer } from '../peer/index.js'
import { checkedPartition } from './partitioner.js'
import { RemoteBody } from './remote-body.js'
import { type LineHost, ThreadLine } from './thread-line.js'
import { handlerFile, type ThreadPoolOptions, type ThreadSettings, threadSettings } from './thread-options.js'

/** Counts of a pool. */
export type ThreadPoolStats = {
  /** How many bodies may run at once. */
  readonly threads: number
  /** Threads that are there; they are made when they are needed. */
  readonly alive: number
  readonly running: number
  /** Bodies that wait for a thread. */
  readonly waiting: number
  /** Bodies that have ended by themselves, with a value or an error. */
  readonly completed: number
  /** Bodies whose thread has ended under them. */
  readonly crashed: number
  /** Bodies whose thread was ended because they did not stop. */
  readonly killed: number
}

/** Bodies that may run beyond the number of threads, because others wait inside `ctx.yield` or `ctx.run`. */
const SPARE_PLACES = 256

/**
 * How long a body may run before its abort signal is made: a signal takes half as long as handing a body over, and few of
 * those that end sooner are ever aborted. Real time whatever the pool's clock is, since it is a matter of cost.
 */
const WATCH_AFTER_MS = 1

/** How long `close` waits for what runs, unless told otherwise. */
const CLOSE_MS = 10_000

/**
 * Threads for CPU-bound handlers. An idle pool does not keep the process alive. A pool that is closed fails every attempt
 * for good.
 */
export class ThreadPool implements AsyncDisposable {
  readonly #settings: ThreadSettings
  readonly #lines: readonly ThreadLine[]
  readonly #host: LineHost
  readonly #bodies = new Map<number, RemoteBody>()
  #unwatched: RemoteBody[] = []
  readonly #counts = { completed: 0, crashed: 0, killed: 0 }
  #lastNumber = 0
  #isClosed = false
  #closing: Promise<void> | undefined
  #whenIdle: (() => void) | undefined

  /** `CONFIG_INVALID` names the option that is wrong, or the package that is missing. */
  constructor(options: ThreadPoolOptions = {}) {
    checkPeer('piscina', '@a3s-lab/lane/workers')
    this.#settings = threadSettings(options)
    const { threads, partitioner } = this.#settings
    const numPlaces = threads + SPARE_PLACES
    this.#host = {
      settings: this.#settings,
      entry: entryFile(),
      stops: new Int32Array(new SharedArrayBuffer(numPlaces * Int32Array.BYTES_PER_ELEMENT)),
      places: Array.from({ length: numPlaces }, (_, index) => index),
      bodies: this.#bodies,
      watchSoon: (body) => this.#watchSoon(body),
      left: (body, how) => this.#left(body, how),
    }
    this.#lines =
      partitioner === undefined
        ? [new ThreadLine(threads, this.#host)]
        : Array.from({ length: threads }, () => new ThreadLine(1, this.#host))
  }

  /**
   * A handler whose work is done by the default export of `file`: a URL, a path, or a path relative to the folder of the
   * process. `CONFIG_INVALID` when there is no such file.
   */
  handler<P = unknown, R = unknown>(file: URL | string): Handler<P, R> {
    const url = handlerFile(file)
    return (payload, context) => this.#run(url, payload, context as CommandContext) as Promise<R>
  }

  stats(): ThreadPoolStats {
    const sum = (count: (line: ThreadLine) => number): number =>
      this.#lines.reduce((total, line) => total + count(line), 0)
    return {
      threads: this.#settings.threads,
      alive: sum((line) => line.alive),
      running: sum((line) => line.running),
      waiting: sum((line) => line.waiting),
      ...this.#counts,
    }
  }

  /**
   * Takes no more work, lets what it has end, and ends all threads: after `timeoutMs` (default 10,000) also those that
   * still run, whose attempts fail. Every call gives the same promise.
   */
  close(options: { readonly timeoutMs?: number | undefined } = {}): Promise<void> {
    checkObject('close options', options)
    refuseUnknown('close', options, ['timeoutMs'])
    const { timeoutMs = CLOSE_MS } = options
    checkMs('timeoutMs', timeoutMs, 0)
    this.#isClosed = true
    this.#closing ??= this.#close(timeoutMs)
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #close(timeoutMs: number): Promise<void> {
    await this.#idle(timeoutMs)
    await Promise.all(this.#lines.map((line) => line.close(closed())))
  }

  async #idle(timeoutMs: number): Promise<void> {
    if (this.#bodies.size === 0) return
    const { clock } = this.#settings
    await new Promise<void>((resolve) => {
      const timer = clock.setTimer(timeoutMs, resolve)
      this.#whenIdle = () => {
        clock.clearTimer(timer)
        resolve()
      }
    })
  }

  #run(file: string, payload: unknown, context: CommandContext): Promise<unknown> {
    return new Promise((resolve, reject) => {
      if (this.#isClosed) throw closed()
      this.#lastNumber = (this.#lastNumber % 0x7f_ff_ff_ff) + 1
      const body = new RemoteBody(this.#lastNumber, file, payload, context, { resolve, reject })
      this.#bodies.set(body.number, body)
      this.#join(body, context)
    })
  }

  #join(body: RemoteBody, context: CommandContext): void {
    const { partitioner, threads } = this.#settings
    if (partitioner === undefined) return this.#lines[0]?.add(body)
    const refuse = (error: unknown): void => {
      body.lost(error)
      this.#left(body, 'never started')
    }
    const enter = (index: unknown): void => this.#lines[checkedPartition(index, threads)]?.add(body)
    try {
      const { commandType, key } = context
      const index = partitioner.partition({ commandType, key }, threads)
      if (typeof index === 'number') enter(index)
      else Promise.resolve(index).then(enter).catch(refuse)
    } catch (error) {
      refuse(error)
    }
  }

  #watchSoon(body: RemoteBody): void {
    if (this.#unwatched.push(body) > 1) return
    systemClock.setTimer(WATCH_AFTER_MS, () => {
      const bodies = this.#unwatched
      this.#unwatched = []
      for (const one of bodies) one.watch()
    })
  }

  #left(body: RemoteBody, how: Parameters<LineHost['left']>[1]): void {
    this.#bodies.delete(body.number)
    if (how === 'done') this.#counts.completed++
    else if (how !== 'never started') this.#counts[how]++
    if (this.#bodies.size === 0) this.#whenIdle?.()
  }
}

const closed = (): Error => new UnrecoverableError('The thread pool is closed')

/**
 * The file that runs in each thread: beside this one. Where it is not, because this is a bundle or TypeScript, which no
 * thread can load, it is that of the installed package.
 */
function entryFile(): string {
  const near = fileURLToPath(new URL('./thread-entry.js', import.meta.url))
  if (existsSync(near)) return near
  return join(dirname(createRequire(import.meta.url).resolve('@a3s-lab/lane/workers')), 'thread-entry.js')
}
