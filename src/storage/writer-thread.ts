/**
 * The writing thread as the queue's thread sees it. It keeps no process alive while it has nothing to do, and does while
 * something is under way. When it dies, whoever waits for it hears so.
 */
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import { corrupt } from './failure.js'
import type { CopyOrder, StepDone, ThreadAnswer, ThreadOrder, ThreadSettings } from './thread-orders.js'
import { TransactionFailure } from './transaction.js'

export type Done = StepDone & { readonly ms: number }

type Waiting = { readonly resolve: (done: Done) => void; readonly reject: (error: unknown) => void }

export class WriterThread {
  readonly #worker: Worker
  readonly #waiting: Waiting[] = []
  #isReady = false
  #endedBy: Error | undefined

  constructor(entry: string, settings: ThreadSettings) {
    this.#worker = new Worker(entry, { workerData: settings, name: 'lane-storage' })
    this.#worker.unref()
    // not when it is online: then it has its code still to load, which takes a second on a busy machine
    this.#worker.on('message', (word: 'ready' | ThreadAnswer) => {
      if (word === 'ready') this.#isReady = true
      else this.#answered(word)
    })
    this.#worker.on('error', (error) => this.#ended(error))
    this.#worker.on('exit', (code) => this.#ended(new Error(`it ended with code ${code}`)))
  }

  /** Orders that are not answered yet. */
  get underWay(): number {
    return this.#waiting.length
  }

  /** Whether its code is loaded and the file open: before that an order waits for it. */
  get isReady(): boolean {
    return this.#isReady
  }

  send(order: ThreadOrder): Promise<Done> {
    if (this.#endedBy !== undefined) return Promise.reject(new TransactionFailure('commit', this.#endedBy))
    return new Promise((resolve, reject) => {
      if (this.#waiting.length === 0) this.#worker.ref()
      this.#waiting.push({ resolve, reject })
      const transfer = order.kind === 'write' ? [order.bytes.buffer as ArrayBuffer] : []
      this.#worker.postMessage(order, transfer)
    })
  }

  /** Ends it when it has done what it was told. */
  async close(): Promise<void> {
    await this.send({ kind: 'close' }).catch(() => undefined)
    await this.#worker.terminate()
  }

  #answered(answer: ThreadAnswer): void {
    const waiting = this.#waiting.shift()
    if (this.#waiting.length === 0) this.#worker.unref()
    if (answer.isDone) return waiting?.resolve(answer)
    const { phase, message, code, isCorruption } = answer.failure
    const cause = isCorruption ? corrupt(message) : Object.assign(new Error(message), { code })
    waiting?.reject(new TransactionFailure(phase, cause))
  }

  #ended(cause: Error): void {
    this.#endedBy ??= new Error(`The thread that writes has died: ${cause.message}`, { cause })
    for (const { reject } of this.#waiting.splice(0)) reject(new ThreadDeath(this.#endedBy))
  }
}

/** Nobody knows what became of what it was doing. */
export class ThreadDeath extends TransactionFailure {
  constructor(cause: Error) {
    super('commit', cause)
  }
}

/** Makes a copy of a file in a thread that ends with it. False where there can be no thread. */
export async function inOwnThread(order: CopyOrder): Promise<boolean> {
  const entry = threadEntry()
  if (entry === undefined) return false
  await new Promise<void>((resolve, reject) => {
    const worker = new Worker(entry, { workerData: order, name: 'lane-storage-copy' })
    worker.once('error', reject)
    worker.once('exit', () => resolve())
  })
  return true
}

/**
 * The file that runs in the thread: beside this one, or where this is a bundle, that of the installed package. None when
 * this is TypeScript, which no thread can load: then everything is written where the queue runs.
 */
export function threadEntry(): string | undefined {
  if (import.meta.url.endsWith('.ts')) return undefined
  const near = fileURLToPath(new URL('./thread-entry.js', import.meta.url))
  if (existsSync(near)) return near
  try {
    const installed = join(dirname(createRequire(import.meta.url).resolve('@a3s-lab/lane/storage')), 'thread-entry.js')
    return existsSync(installed) ? installed : undefined
  } catch {
    return undefined
  }
}
