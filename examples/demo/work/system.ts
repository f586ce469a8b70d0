/**
 * The system lane: takes the pulse of the work ten times a second. Each beat submits the next one before it ends, so exactly
 * one of them is stored at any time: it tells a later process how long the work has lasted.
 */
import { type Beat, tick } from '../commands.js'
import type { Queue } from '../figures.js'
import type { Memory } from '../memory.js'

const EVERY_MS = 100

/** Tells beats of this process from those that another one has left. */
const PROCESS = `${process.pid}-${performance.timeOrigin}`

export function handleSystem(queue: Queue, memory: Memory): void {
  queue.handle(tick, async (beat, { queue: same }) => {
    const now = performance.now()
    // The queue's timer and this lane are always ready, so what is late here is the event loop.
    if (beat.process === PROCESS) memory.loopLagMs.add(Math.max(0, now - beat.dueAt))
    memory.peakBytes = Math.max(memory.peakBytes, process.memoryUsage.rss())
    const workedMs = beat.process === PROCESS ? beat.workedMs + now - beat.dueAt + EVERY_MS : beat.workedMs + EVERY_MS
    // Once the queue shuts down the next one is refused, and that is the end of it.
    const next = submitBeat(same, beat.number + 1, workedMs)
    await next.accepted.catch(() => undefined)
  })
}

/** The first beat, after so much work. */
export const firstBeat = (queue: Queue): void => void submitBeat(queue, 0, 0)

/** The number is its id, so a beat that runs a second time after a crash has still one successor. */
function submitBeat(queue: Pick<Queue, 'submit'>, number: number, workedMs: number) {
  const beat: Beat = { number, workedMs, process: PROCESS, dueAt: performance.now() + EVERY_MS }
  // It is no part of the one that submits it.
  return queue.submit('system', tick(beat), { id: `tick/${number}`, delayMs: EVERY_MS, detached: true })
}
