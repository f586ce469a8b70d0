/** What an earlier process has left: the ids of all it has submitted, what of that is not settled, and how long it worked. */
import type { CommandRecord } from '@a3s-lab/lane'
import type { Beat } from './commands.js'
import type { Queue } from './figures.js'
import { WORK_LANES } from './lanes.js'
import type { Memory } from './memory.js'

/** States of commands that are not settled. */
const OPEN = ['pending', 'active', 'delayed'] as const

/** To be called before the queue starts: what is stored is there already, and nothing runs yet. */
export async function recollect(queue: Queue, memory: Memory): Promise<void> {
  for await (const { id, laneId, state, payload, metadata } of everyCommand(queue)) {
    memory.earlier.add(id)
    const isOpen = OPEN.some((one) => one === state)
    if (isOpen) memory.left.set(laneId, (memory.left.get(laneId) ?? 0) + 1)
    if (laneId === 'system') {
      memory.workedBeforeMs = Math.max(memory.workedBeforeMs, (payload as Beat).workedMs)
      memory.hasPulse ||= isOpen
    } else if (isOpen) memory.name(id, labelOf(metadata))
  }
}

/** What people are told a command is about. */
export const labelOf = (metadata: unknown): string => (typeof metadata === 'string' ? metadata : '')

/** Those of the lanes with work that are not settled, as they were submitted: the same submit gives the same command. */
export async function* openCommands(queue: Queue): AsyncGenerator<CommandRecord> {
  for (const laneId of WORK_LANES) {
    for (const state of OPEN) yield* everyCommand(queue, { laneId, state })
  }
}

async function* everyCommand(queue: Queue, which: Parameters<Queue['list']>[0] = {}): AsyncGenerator<CommandRecord> {
  let cursor: string | undefined
  do {
    const page = await queue.list({ ...which, limit: 1000, cursor })
    yield* page.items
    cursor = page.nextCursor
  } while (cursor !== undefined)
}
