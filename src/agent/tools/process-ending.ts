/**
 * Ends commands with everything that they have started, also what left their group. All that end at the same time share one
 * look at the processes, which is what costs.
 */
import { systemClock } from '../../core/index.js'
import { isGroupThere, type ProcessFamily, type ProcessRow, ProcessTable, send } from './process-table.js'

/** Between the polite signal and the one that cannot be refused: long enough to remove a lock file. */
const GRACE_MS = 10
/** How soon it is asked again whether a group is there, and how soon the processes are looked at again while it is. */
const POLL_MS = 2
const LOOK_MS = 8
/** After that long what is left cannot be ended: it belongs to somebody else, or hangs in the kernel. */
const GIVE_UP_MS = 2000

export type GroupEnd = {
  /** Whether anything ran when the end began. */
  readonly wasLeft: boolean
  /** False when something could not be ended. */
  readonly isGone: boolean
}

type Ending = {
  readonly family: ProcessFamily & { readonly known: Map<number, string> }
  readonly begunAt: number
  readonly done: (end: GroupEnd) => void
  lookedAt: number | undefined
  wasLeft: boolean
  isKilled: boolean
}

const endings = new Set<Ending>()

/** Ends what belongs to a command: asks first, and makes it 10 ms later. */
export function endFamily(pid: number, marker: string): Promise<GroupEnd> {
  return new Promise((done) => {
    const begunAt = systemClock.now()
    const family = { pid, marker, known: new Map<number, string>() }
    endings.add({ family, begunAt, done, lookedAt: undefined, wasLeft: false, isKilled: false })
    // a microtask later, so that all that were aborted together are looked at together
    if (endings.size === 1) queueMicrotask(step)
  })
}

/** At once and without waiting, for when this process exits. */
export function killFamilies(families: readonly ProcessFamily[]): void {
  if (families.length === 0) return
  const table = tableFor(families)
  for (const family of families) tell(family.pid, table.familyOf(family), 'SIGKILL')
}

function step(): void {
  const now = systemClock.now()
  const due = [...endings].filter((ending) => isDue(ending, now))
  if (due.length > 0) {
    const table = tableFor(due.map(({ family }) => family))
    for (const ending of due) look(ending, table, now)
  }
  if (endings.size > 0) systemClock.setTimer(POLL_MS, step)
}

/** Between two looks only a group that is gone, or one whose grace is over, is worth another. */
function isDue({ family, begunAt, lookedAt, isKilled }: Ending, now: number): boolean {
  if (lookedAt === undefined || now - lookedAt > LOOK_MS) return true
  return (!isKilled && now - begunAt > GRACE_MS) || !isGroupThere(family.pid)
}

function look(ending: Ending, table: ProcessTable, now: number): void {
  const { family, begunAt, done } = ending
  const isFirst = ending.lookedAt === undefined
  const left = table.familyOf(family)
  const isGone = table.isThere ? left.length === 0 : !isGroupThere(family.pid)
  const lasted = now - begunAt
  if (isFirst) ending.wasLeft = !isGone
  if (isGone || lasted > GIVE_UP_MS) {
    endings.delete(ending)
    return done({ wasLeft: ending.wasLeft, isGone })
  }
  ending.lookedAt = now
  for (const { pid, started } of left) family.known.set(pid, started)
  if (isFirst) tell(family.pid, left, 'SIGTERM')
  if (lasted <= GRACE_MS) return
  ending.isKilled = true
  tell(family.pid, left, 'SIGKILL')
}

/** The group hears it as one, so that nobody who is just being made is missed; what left it, one by one. */
function tell(group: number, rows: readonly ProcessRow[], signal: NodeJS.Signals): void {
  send(-group, signal)
  for (const row of rows) if (row.group !== group) send(row.pid, signal)
}

const tableFor = (families: readonly ProcessFamily[]): ProcessTable => new ProcessTable(families.map(({ pid }) => pid))
