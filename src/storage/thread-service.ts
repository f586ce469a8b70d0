/** What the writing thread does with its orders. */
import type { MessagePort } from 'node:worker_threads'
import { errorText, systemClock } from '../core/index.js'
import { Committer } from './committer.js'
import { openConnection } from './connection.js'
import { type Database, findDriver } from './driver.js'
import { codeOf, isCorruption } from './failure.js'
import { StartMarks } from './start-marks.js'
import type { SentFailure, StepDone, ThreadAnswer, ThreadOrder, ThreadSettings } from './thread-orders.js'
import { TransactionFailure } from './transaction.js'

/** Another program may have the file locked for a moment; nobody but this thread waits for it. */
const BUSY_MS = 2000

export function serve(port: MessagePort, settings: ThreadSettings): void {
  let worker: Worker | undefined
  try {
    worker = new Worker(settings)
  } catch {
    // tried again with the first order, which is told what is wrong
  }
  port.on('message', (order: ThreadOrder) => {
    let answer: ThreadAnswer
    try {
      worker ??= new Worker(settings)
      answer = worker.obey(order)
    } catch (error) {
      answer = { isDone: false, failure: toSent(error) }
    }
    port.postMessage(answer)
    if (order.kind === 'close') port.close()
  })
  port.postMessage('ready')
}

const NOTHING_MORE: StepDone = { value: 0, batches: 0, more: false }

class Worker {
  readonly #database: Database
  readonly #marks: StartMarks
  readonly #committer: Committer

  constructor({ path, starts, identity, isFull }: ThreadSettings) {
    this.#database = openConnection(findDriver(), { path, isFull, busyMs: BUSY_MS })
    this.#marks = new StartMarks(starts, { identity, isFull })
    this.#committer = new Committer(this.#database, this.#marks)
  }

  obey(order: ThreadOrder): ThreadAnswer {
    const start = systemClock.now()
    const done = this.#do(order)
    return { isDone: true, ...done, ms: systemClock.now() - start }
  }

  #do(order: ThreadOrder): StepDone {
    if (order.kind === 'write') {
      this.#committer.write(order.number, order.bytes)
      return NOTHING_MORE
    }
    if (order.kind !== 'close') return this.#committer.obey(order)
    this.#database.close()
    this.#marks.close(true)
    return NOTHING_MORE
  }
}

function toSent(error: unknown): SentFailure {
  const phase = error instanceof TransactionFailure ? error.phase : 'before commit'
  const cause = error instanceof TransactionFailure ? error.cause : error
  return { phase, message: errorText(cause), code: codeOf(cause), isCorruption: isCorruption(cause) }
}
