/** The processes of this machine at one moment, as `/proc` shows them. Where there is none, nothing is known. */
import { readdirSync, readFileSync } from 'node:fs'
import { kill } from 'node:process'
import { codeOf } from './tool-error.js'

/** A process that runs, and when it started: a number that is used again belongs to another. */
export type ProcessRow = {
  readonly pid: number
  readonly parent: number
  readonly group: number
  readonly started: string
}

/** What belongs to one command. */
export type ProcessFamily = {
  /** Of its shell, and of its group. */
  readonly pid: number
  /** Stands in the environment of whatever it has started. */
  readonly marker: string
  /** What was found to belong to it before, with its start. */
  readonly known: ReadonlyMap<number, string>
}

export class ProcessTable {
  readonly #rows: readonly ProcessRow[]
  readonly #environments = new Map<number, string>()
  readonly #groups: ReadonlySet<number>
  /** Whether this system has such a table. */
  readonly isThere: boolean

  /**
   * Looks at what may belong to commands with these shells: at what started later than the first. What has ended and only
   * waits to be fetched is left out.
   */
  constructor(shells: readonly number[]) {
    this.#groups = new Set(shells)
    const pids = pidsSince(Math.min(...shells))
    this.isThere = pids.length > 0
    this.#rows = pids.flatMap((pid) => rowOf(pid) ?? [])
  }

  /** What runs of a command: its group, what has its mark or was known, and what descends from any of them. */
  familyOf(family: ProcessFamily): ProcessRow[] {
    const found = new Map<number, ProcessRow>()
    for (const row of this.#rows) if (this.#isOf(row, family)) found.set(row.pid, row)
    for (let before = -1; before < found.size; ) {
      before = found.size
      for (const row of this.#rows) if (found.has(row.parent)) found.set(row.pid, row)
    }
    return [...found.values()]
  }

  #isOf({ pid, group, started }: ProcessRow, family: ProcessFamily): boolean {
    if (group === family.pid || family.known.get(pid) === started) return true
    // in the group of another command that is looked for: it is that one's
    if (this.#groups.has(group)) return false
    let environment = this.#environments.get(pid)
    if (environment === undefined) {
      environment = textOf(`/proc/${pid}/environ`) ?? ''
      this.#environments.set(pid, environment)
    }
    return environment.includes(family.marker)
  }
}

/** Sends a signal; whoever is gone, or is not ours, does not hear it. A negative number is a group. */
export function send(pid: number, signal: NodeJS.Signals): void {
  try {
    kill(pid, signal)
  } catch (error) {
    if (codeOf(error) !== 'ESRCH' && codeOf(error) !== 'EPERM') throw error
  }
}

/** Whether there is anything of a group, also what has ended and was not fetched by its parent yet. */
export function isGroupThere(group: number): boolean {
  try {
    kill(-group, 0)
    return true
  } catch (error) {
    return codeOf(error) === 'EPERM'
  }
}

/**
 * Numbers are given in turn, so what started later has a higher one, until the numbers begin anew: the last field of
 * loadavg is the newest.
 */
function pidsSince(since: number): number[] {
  const all = namesIn('/proc').flatMap((name) => (/^\d+$/.test(name) ? [Number(name)] : []))
  const newest = Number(textOf('/proc/loadavg')?.trim().split(' ').at(-1) ?? 0)
  return newest < since ? all : all.filter((pid) => pid >= since)
}

function rowOf(pid: number): ProcessRow | undefined {
  const stat = textOf(`/proc/${pid}/stat`)
  if (stat === undefined) return undefined
  // the name of the program stands in brackets and may hold any character
  const [state, parent, group, ...rest] = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  if (state === 'Z' || state === 'X') return undefined
  return { pid, parent: Number(parent), group: Number(group), started: rest[16] ?? '' }
}

/** Processes come and go while they are looked at, and some may not be. */
function textOf(path: string): string | undefined {
  try {
    return readFileSync(path, 'latin1')
  } catch {
    return undefined
  }
}

function namesIn(path: string): string[] {
  try {
    return readdirSync(path)
  } catch {
    return []
  }
}
