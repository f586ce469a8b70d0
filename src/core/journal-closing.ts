/** The end of a journal: what there is to write is written, and every run that nobody will settle any more rejects. */
import type { Timer } from './clock.js'
import type { QueueCore } from './core.js'
import type { Journal } from './journal.js'
import { rejectRun, type Settle } from './run.js'
import { keptError, unwrittenError } from './storage-errors.js'
import { storedOf } from './stored.js'

/** A storage has at least so long to write what there is when the queue closes. */
const WRITE_GRACE_MS = 1000

/** Always comes back, at the latest a moment after the deadline. */
export async function closeJournal(core: QueueCore, journal: Journal, deadline: number): Promise<void> {
  const { clock, alarms } = core
  let timer: Timer | undefined
  const giveUp = new Promise<void>((resolve) => {
    timer = clock.setTimer(Math.max(WRITE_GRACE_MS, deadline - clock.now()), resolve)
  })
  await writeAll(journal, giveUp)
  letGo(journal)
  await Promise.race([journal.close(), giveUp])
  clock.clearTimer(timer as Timer)
  alarms.clearAll()
}

/** Waits until everything is written that can be, at most until `giveUp` settles. */
async function writeAll(journal: Journal, giveUp: Promise<unknown>): Promise<void> {
  let isOver = false
  void giveUp.then(() => {
    isOver = true
  })
  while (journal.isBusy && journal.broken === undefined && !isOver) await Promise.race([journal.answered(), giveUp])
}

/** Runs whose commands stay stored, or whose outcome could not be written. */
function letGo({ bySeq, coldRuns, broken }: Journal): void {
  for (const entry of bySeq.values()) {
    const { run, details, settle } = entry
    const stored = storedOf(entry)
    for (const reader of details?.readers ?? []) reader.close()
    if (stored.tell === undefined) rejectRun(run, settle, keptError())
    else rejectRun(run, stored.settle ?? settle, broken ?? unwrittenError())
  }
  for (const run of coldRuns.values()) rejectRun(run, run.inner as Settle, keptError())
  bySeq.clear()
  coldRuns.clear()
}
