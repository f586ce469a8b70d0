/** The system lane: takes the pulse of the process ten times a second. */
import { tick } from '../commands.js'
import type { Queue } from '../figures.js'
import type { Memory } from '../memory.js'

const EVERY_MS = 100

export function handleSystem(queue: Queue, memory: Memory): void {
  queue.handle(tick, ({ dueAt }, { queue: same }) => {
    const now = performance.now()
    // The queue's timer and this lane are always ready, so what is late here is the event loop.
    memory.loopLagMs.add(Math.max(0, now - dueAt))
    memory.peakBytes = Math.max(memory.peakBytes, process.memoryUsage.rss())
    // The next one is no part of this one; once the queue shuts down it is refused, and that is the end of it.
    void same.submit('system', tick({ dueAt: now + EVERY_MS }), { delayMs: EVERY_MS, detached: true })
  })
}
