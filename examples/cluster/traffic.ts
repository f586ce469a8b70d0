/** What the coordinator submits, and what comes back. */
import type { CommandRun } from '@a3s-lab/lane'
import { type Queue, sharedNow } from './lanes.js'
import type { Tree } from './tree.js'
import type { WorkType } from './work.js'

type LaneId = Parameters<Queue['submit']>[0]

/** What one lane is given: what, how often, and how much of it may wait at most. */
type Source = {
  readonly lane: LaneId
  readonly type: WorkType | 'status'
  readonly of: 'files' | 'folders' | 'tree'
  readonly everyMs: number
  readonly mostUnsettled: number
}

const SOURCES: readonly Source[] = [
  { lane: 'system', type: 'census', of: 'tree', everyMs: 1000, mostUnsettled: 5 },
  { lane: 'control', type: 'status', of: 'tree', everyMs: 40, mostUnsettled: 100 },
  { lane: 'query', type: 'digest', of: 'files', everyMs: 16, mostUnsettled: 60 },
  { lane: 'session', type: 'fingerprint', of: 'folders', everyMs: 30, mostUnsettled: 20 },
  { lane: 'skill', type: 'compress', of: 'files', everyMs: 20, mostUnsettled: 20 },
  { lane: 'prompt', type: 'bundle', of: 'folders', everyMs: 200, mostUnsettled: 8 },
]

/** A command of a source, from its submit on. */
export type Sent = {
  readonly id: string
  readonly lane: LaneId
  readonly type: Source['type']
  readonly name: string
  readonly submittedAt: number
  /** How often its run has told an outcome: has to be once. */
  outcomes: number
  result: unknown
  error: unknown
}

export class Traffic {
  readonly sent: Sent[] = []
  readonly #queue: Queue
  readonly #names: Readonly<Record<Source['of'], readonly string[]>>
  readonly #counts = new Map<Source, { sent: number; settled: number; due: number }>()
  readonly #runs: Promise<void>[] = []

  constructor(queue: Queue, { files, folders }: Tree) {
    this.#queue = queue
    this.#names = { files, folders, tree: ['the tree'] }
    for (const source of SOURCES) this.#counts.set(source, { sent: 0, settled: 0, due: 0 })
  }

  /** Submits what is due since the start, `elapsedMs` ago. What finds its lane too long falls out. */
  flow(elapsedMs: number): void {
    for (const [source, count] of this.#counts) {
      for (; count.due <= elapsedMs; count.due += source.everyMs) {
        if (count.sent - count.settled < source.mostUnsettled) this.#submit(source, count)
      }
    }
  }

  settledIn(lane: string): number {
    for (const [source, { settled }] of this.#counts) if (source.lane === lane) return settled
    return 0
  }

  get settled(): number {
    return [...this.#counts.values()].reduce((sum, { settled }) => sum + settled, 0)
  }

  /** Waits for all that was submitted. */
  async allSettled(): Promise<void> {
    await Promise.all(this.#runs)
  }

  /** What a command is about, for people. */
  about(id: string): string {
    const sent = this.sent.find((one) => one.id === id)
    return sent === undefined ? id : `${sent.type} ${sent.name}`
  }

  #submit({ lane, type, of }: Source, count: { sent: number; settled: number }): void {
    const names = this.#names[of]
    const name = names[count.sent % names.length] as string
    const id = `${lane}-${++count.sent}`
    const submittedAt = sharedNow()
    const sent: Sent = { id, lane, type, name, submittedAt, outcomes: 0, result: undefined, error: undefined }
    this.sent.push(sent)
    const settled = (outcome: Partial<Sent>): void => {
      Object.assign(sent, outcome)
      sent.outcomes++
      count.settled++
    }
    const run: CommandRun = this.#queue.submit(lane, { type, payload: { name } }, { id })
    this.#runs.push(
      run.then(
        (result) => settled({ result }),
        (error: unknown) => settled({ error }),
      ),
    )
  }
}
