/** A storage is opened, used a little and closed; and what has to be there afterwards, however often that was interrupted. */
import type { Storage } from '@a3s-lab/lane'

const PROGRESS = { state: 'pending', attempt: 0, dueAt: undefined, checkpoint: undefined, details: undefined } as const

/** Writes one command if there is none, and gives how many there are. */
export async function openOnce(storage: Storage): Promise<number> {
  const { nextSeq } = storage.attach({
    idPrefix: 'open-',
    retention: { count: 10, ageMs: 1e12 },
    now: Date.now,
    onFault: (error) => {
      throw error
    },
  })
  const before = [...storage.load()].length
  const facts = { id: undefined, priority: 1000, key: undefined, createdAt: 1, options: undefined }
  const command = { seq: nextSeq, laneId: 'tools', commandType: 'echo', payload: '{}', ...facts, ...PROGRESS }
  if (before === 0) await storage.write([{ kind: 'submit', isCold: false, command }])
  const after = [...storage.load()].length
  await storage.close()
  return after
}
