/**
 * A worker: a process of its own with handlers for every type. What it does it learns from the shared queue alone; the
 * channel to its parent only carries what the table shows, and its end.
 */
import { newQueue, sharedNow } from './lanes.js'
import { WORK, type WorkType, work } from './work.js'

/** What the parent is told: that the worker is ready, and what becomes of a command there. */
export type Note = { readonly what: 'ready' } | CommandNote

export type CommandNote = {
  readonly what: 'started' | 'ended' | 'recovered'
  readonly id: string
  readonly at: number
}

const NOTED: Readonly<Record<string, CommandNote['what']>> = {
  'queue.command.started': 'started',
  'queue.command.completed': 'ended',
  'queue.command.failed': 'ended',
  'queue.command.recovered': 'recovered',
}

const [url = '', root = ''] = process.argv.slice(2)
const queue = newQueue(url, 'worker', (error) => console.error(`worker ${process.pid}:`, error))

for (const type of Object.keys(WORK) as WorkType[]) {
  queue.handle(type, (item: { readonly name: string }) => work(type, root, item))
}
queue.handle('status', () => ({ pid: process.pid, startedAt: sharedNow() }))

const events = queue.subscribeFiltered(Object.keys(NOTED) as Parameters<typeof queue.subscribeFiltered>[0], {
  capacity: 4096,
})
process.once('disconnect', () => {
  void queue.close({ timeoutMs: 1000 }).finally(() => process.exit())
})
await queue.start()
tell({ what: 'ready' })

for await (const { key, payload } of events) {
  const what = NOTED[key]
  if (what === undefined || payload === null || !('command_id' in payload)) continue
  tell({ what, id: payload.command_id, at: sharedNow() })
}

function tell(note: Note): void {
  if (process.connected) process.send?.(note)
}
