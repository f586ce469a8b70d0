/**
 * What happened, as those saw it who were there: one JSON line per operation, appended by the process that did it to a file
 * of its own. A killed process leaves whole lines and at most one torn one at the end, which is as if it had not come to it.
 *
 * Each line is one append, written before the program goes on: whoever reads a line knows that it happened, and an answer
 * that is missing means that nobody knows.
 */
import { createHash } from 'node:crypto'
import { openSync, readdirSync, readFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import type { CommandState } from '@a3s-lab/lane'

/**
 * `submit`, `checkpoint`, `complete`: invoked and answered. `start`, `end`: a body's first and last step. `restore`: what it
 * found saved. `effect`: what the world outside saw of it. `release`: an attempt is over and its command goes on later. `settle`: what a submitter or a
 * reader saw as the outcome. `found`: a reader saw that it is there; `letter`: that there is a dead letter of it. `exit`: the process ended in good order.
 * What was done to a process, told by who did it: `killed`, `suspended`; `back`: it goes on.
 */
export type Operation =
  | 'submit'
  | 'start'
  | 'end'
  | 'checkpoint'
  | 'restore'
  | 'effect'
  | 'release'
  | 'complete'
  | 'settle'
  | 'found'
  | 'letter'
  | 'exit'
  | 'killed'
  | 'suspended'
  | 'back'

/** `fail` certainly did not happen; of an `info`, and of an `invoke` without an answer, nobody knows. */
export type Kind = 'invoke' | 'ok' | 'fail' | 'info'

/** How a body ended. */
export type BodyEnd = 'value' | 'failed' | 'timed_out' | 'snoozed' | 'preempted' | 'discarded' | 'lost'

export type HistoryRecord = {
  /** Microseconds of the machine's monotonic clock, which its processes share. */
  readonly at: number
  readonly process: string
  readonly op: Operation
  readonly kind: Kind
  /** Its name in the history: given by the workload, carried in the payload, known before any id. */
  readonly command: string
  /** The queue's id of it, where it is known. */
  readonly id?: string
  readonly attempt?: number
  /** The right to run an attempt: a newer one has a greater number. Without leases the attempt is its own token. */
  readonly token?: number
  readonly lane?: string
  /** Of what was submitted, saved, returned or read. */
  readonly hash?: string
  readonly state?: CommandState
  readonly end?: BodyEnd
  /** Submitted together with the others of this name, in one commit. */
  readonly batch?: string
}

/** Why a history cannot be judged: its author is at fault, not the queue. */
export class HistoryError extends Error {
  override readonly name = 'HistoryError'
}

/** Takes down what one process sees. */
export class History {
  readonly #process: string
  readonly #append: (line: string) => void

  constructor(process: string, append: (line: string) => void) {
    this.#process = process
    this.#append = append
  }

  add(op: Operation, kind: Kind, rest: Omit<HistoryRecord, 'at' | 'process' | 'op' | 'kind'>): void {
    this.#append(`${JSON.stringify({ at: now(), process: this.#process, op, kind, ...rest })}\n`)
  }
}

/** A history in a file, whose name is that of its process unless it has another. */
export function openHistory(folder: string, process: string, name = `${process}.jsonl`): History {
  const file = openSync(join(folder, name), 'a')
  return new History(process, (line) => writeSync(file, line))
}

/** What all processes have seen, in the order in which they saw it. */
export function readHistory(folder: string): HistoryRecord[] {
  const records = readdirSync(folder)
    .filter((name) => name.endsWith('.jsonl'))
    .flatMap((name) => parseHistory(readFileSync(join(folder, name), 'utf8'), name))
  return records.sort((a, b) => a.at - b.at)
}

/** The whole lines of one process. */
export function parseHistory(text: string, name = 'history'): HistoryRecord[] {
  const lines = text.split('\n')
  // what follows the last line feed is nothing, or a line that its author did not finish
  lines.pop()
  return lines.map((line, index) => {
    try {
      return JSON.parse(line) as HistoryRecord
    } catch (error) {
      throw new HistoryError(`${name}:${index + 1} is no record, and not the last line either: ${line}`, {
        cause: error,
      })
    }
  })
}

/** A short hash of any JSON value, or of none. */
export const hashOf = (value: unknown): string =>
  createHash('sha1')
    .update(JSON.stringify(value) ?? 'undefined')
    .digest('base64url')
    .slice(0, 12)

const now = (): number => Number(process.hrtime.bigint() / 1000n)
