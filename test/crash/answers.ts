/** What the submitters among killed processes were told, as far as it matters to those that come after them. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type HistoryRecord, parseHistory } from './history.js'
import { planOf } from './torture-plan.js'

export class Answers {
  readonly #histories: string
  readonly #states = new Map<string, 'unknown' | 'accepted' | 'settled'>()

  constructor(histories: string) {
    this.#histories = histories
  }

  /** What may be submitted again now that a process has ended: those without an answer, and some that have had their outcome. */
  unanswered(process: string): string[] {
    const states = this.#states
    for (const { op, kind, command } of readOne(this.#histories, process)) {
      if (op === 'submit' && kind === 'invoke' && !states.has(command)) states.set(command, 'unknown')
      if (op === 'submit' && kind === 'ok') states.set(command, 'accepted')
      if (op === 'settle') states.set(command, 'settled')
    }
    // what was submitted together is there together, or not at all
    const repeatable = [...states].filter(([name]) => planOf(name).isRepeatable && !name.includes('+'))
    const of = (state: string): string[] => repeatable.flatMap(([name, is]) => (is === state ? [name] : []))
    return [...of('unknown').slice(-20), ...of('accepted').slice(-5), ...of('settled').slice(-5)]
  }
}

/** What one process has seen; nothing when it did not come that far. */
function readOne(folder: string, process: string): HistoryRecord[] {
  try {
    return parseHistory(readFileSync(join(folder, `${process}.jsonl`), 'utf8'))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
}
