/**
 * programs/queue.ts, and what its images have to hold: opened as a queue and run to their end, everything accepted has its
 * outcome, the one that was told, and bodies find what they had saved.
 */
import { join } from 'node:path'
import { Points } from './armed-storage.js'
import { checkHistory, VIOLATIONS } from './check-history.js'
import { History, type HistoryRecord, parseHistory } from './history.js'
import type { Subject, Verdict } from './powerloss.js'
import { limits } from './torture-plan.js'
import { openQueue, Tortured } from './tortured.js'

export type Durability = 'full' | 'relaxed'

export const queueSubject = (program: string, durability: Durability, commands = 120): Subject => ({
  name: `queue-${durability}`,
  program,
  args: [durability, String(commands)],
  judge: (folder, acks) => judgeQueue(folder, acks, durability),
})

/** A start is marked without a sync: after a power failure an attempt may have the number of one that nobody knows of. */
const OF_CRASHES_ONLY: readonly string[] = ['attempts']

async function judgeQueue(folder: string, acks: readonly string[], durability: Durability): Promise<Verdict> {
  const before = parseHistory(acks.map((line) => `${line}\n`).join(''))
  let after: HistoryRecord[]
  try {
    after = await runToTheEnd(join(folder, 'lane.db'))
  } catch (error) {
    return { missing: [], unreadable: String(error) }
  }
  if (durability === 'relaxed') return judgeTail(before, after)
  const { violations } = checkHistory([...before, ...after], limits)
  const others = VIOLATIONS.filter((name) => name !== 'lost' && !OF_CRASHES_ONLY.includes(name))
  return {
    missing: violations.lost,
    gap: others.flatMap((name) => violations[name].map((text) => `${name}: ${text}`))[0],
  }
}

async function runToTheEnd(path: string): Promise<HistoryRecord[]> {
  const lines: string[] = []
  const history = new History('after', (line) => lines.push(line))
  const points = new Points(undefined)
  const { queue, storage } = await openQueue({ path, durability: 'relaxed' }, (inner) => inner)
  try {
    const tortured = new Tortured(queue, history, points, () => {})
    await queue.start()
    await tortured.drain()
  } finally {
    await storage.close()
  }
  return parseHistory(lines.join(''))
}

/** What was accepted later may be gone, and nothing that was accepted earlier. What is there is whole. */
function judgeTail(before: readonly HistoryRecord[], after: readonly HistoryRecord[]): Verdict {
  const there = new Set(after.flatMap(({ op, command }) => (op === 'found' ? [command] : [])))
  const accepted = before.flatMap(({ op, kind, command }) => (op === 'submit' && kind === 'ok' ? [command] : []))
  const gone = accepted.findIndex((name) => !there.has(name))
  const later = gone < 0 ? undefined : accepted.slice(gone).find((name) => there.has(name))
  const submits = before.filter(({ op }) => op === 'submit')
  const { violations } = checkHistory([...submits, ...after], limits)
  return {
    missing: gone < 0 ? [] : accepted.slice(gone),
    gap: later === undefined ? undefined : `${later} is there, ${accepted[gone]} that was accepted before it is not`,
    corrupt: [...violations.stuck, ...violations.unexpected, ...violations.letters][0],
  }
}
