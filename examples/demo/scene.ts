/** All that can be seen of the demo while it runs. The views only read it. */
import type { Figures, Queue } from './figures.js'
import type { Memory } from './memory.js'
import type { EventLog } from './view/event-log.js'

export type Scene = {
  readonly queue: Queue
  readonly memory: Memory
  readonly figures: Figures
  readonly log: EventLog
  readonly root: string
  /** Where everything is kept on the disk; undefined when nothing is. */
  readonly folder: string | undefined
  /** When the work began, on the clock of `performance.now()`: earlier by as long as processes before this one worked. */
  startedAt: number
  readonly workMs: number
}

/** A view: shows the scene until it is closed. */
export type View = {
  /** What the agent is about to do. */
  say(text: string): void
  close(): void
}
