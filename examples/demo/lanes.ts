/** The queue of the demo: six lanes, twelve slots, and more work than slots. */
import { defaultLanes, QueueManager, QueueMetrics, RetryPolicy } from '@a3s-lab/lane'
import type { LocalStorage } from '@a3s-lab/lane/storage'
import type { Queue } from './figures.js'

/** Slots over all lanes together. The lanes may run more than that at once, so they compete. */
export const SLOTS = 12

/** Lanes with work of their own; system and control only serve them. */
export const WORK_LANES = ['query', 'session', 'skill', 'prompt'] as const

/** Settled commands that can still be looked up. On the disk all of a run: their ids say what is done already. */
const RETAINED = { inMemory: 100, stored: 50_000 }

export function newQueue(storage?: LocalStorage): Queue {
  const lanes = defaultLanes()
  return new QueueManager({
    maxConcurrency: SLOTS,
    // counts and times by lane: all figures of the report
    metrics: QueueMetrics.local(),
    // commands that failed for good, kept until somebody looks at them
    deadLetters: 100,
    // what is submitted is written before it counts as accepted, and what becomes of it before anybody is told
    ...(storage === undefined ? {} : { storage }),
    retention: { count: storage === undefined ? RETAINED.inMemory : RETAINED.stored },
    lanes: {
      // Protected: each keeps a slot that nobody borrows, so these two start at once however full the queue is.
      system: { ...lanes.system, maxConcurrency: 1 },
      control: { ...lanes.control, maxConcurrency: 2 },
      // Looks into files. Tells of it (`queue.lane.pressure`) when 20 commands wait.
      query: { ...lanes.query, maxConcurrency: 6, pressureThreshold: 20 },
      // One at a time: notes are written in order.
      session: { ...lanes.session, maxConcurrency: 1 },
      // Runs processes, which fail now and then: retried after about 150, 300 and 600 ms. Three slots are always its own.
      skill: {
        ...lanes.skill,
        minConcurrency: 3,
        maxConcurrency: 4,
        retry: RetryPolicy.exponential(3, { initialMs: 150, jitter: 'equal' }),
      },
      // Generates text, which takes long, and is stopped after eight seconds. Two slots are always its own.
      prompt: { ...lanes.prompt, minConcurrency: 2, maxConcurrency: 2, timeoutMs: 8000 },
    },
  })
}

/** How the slots are taken at this moment. */
export type Load = {
  /** Slots that are taken, or kept for system and control. */
  readonly taken: number
  /** No slot is free for work, and in each of the four lanes with work more of it waits. */
  readonly isFull: boolean
}

/**
 * What the queue looks like now, asked of the queue itself. A command that waits for its children lends them its slot,
 * so of the `lenders` there may be as many commands running in the slot of another: they are not counted twice.
 */
export function loadOf(queue: Queue, lenders: number): Load {
  const { lanes } = queue.stats()
  let taken = -lenders
  for (const { active, zombies, min, protected: isProtected } of Object.values(lanes)) {
    taken += isProtected ? Math.max(min, active + zombies) : active + zombies
  }
  return { taken, isFull: taken >= SLOTS && WORK_LANES.every((id) => (lanes[id]?.pending ?? 0) > 0) }
}
