/**
 * The control lane: steers the others. Its handlers take no time, and its slot is kept free, so what matters is how soon
 * they start; each notes that on its first line, together with what the queue looked like then.
 */
import { type Asked, look, pause, resume, skip, stop } from '../commands.js'
import type { Queue } from '../figures.js'
import { loadOf } from '../lanes.js'
import type { Memory } from '../memory.js'

export function handleControl(queue: Queue, memory: Memory): void {
  const prompt = queue.lane('prompt')
  const starts = (type: string, { askedAt }: Asked): boolean => {
    const startMs = performance.now() - askedAt
    const { isFull } = loadOf(queue, memory.lenders)
    memory.controls.push({ type, startMs, underFullLoad: isFull })
    return isFull
  }
  const cancel = (id: string, reason: string): boolean => {
    const at = performance.now()
    const isCancelled = queue.cancel(id, reason)
    if (isCancelled) memory.cancelledAt(id, at)
    return isCancelled
  }

  queue.handle(look, (asked) => starts('look', asked))

  queue.handle(pause, (asked) => {
    starts('pause', asked)
    prompt.pause()
  })

  queue.handle(resume, (asked) => {
    starts('resume', asked)
    prompt.resume()
  })

  queue.handle(skip, (asked) => {
    starts('skip', asked)
    const [oldest] = memory.speeches.keys()
    return oldest !== undefined && cancel(oldest, 'skipped')
  })

  queue.handle(stop, async (asked) => {
    starts('stop', asked)
    let count = 0
    for (const id of memory.speeches.keys()) if (cancel(id, 'stopped')) count++
    const { items } = await queue.list({ laneId: 'skill', state: 'active' })
    for (const { id, commandType } of items) if (commandType === 'watch' && cancel(id, 'stopped')) count++
    return count + prompt.cancelAll('stopped')
  })
}
