/** `npm run torture`: runs it, judges it, and prints what was found. */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { isLaneError } from '@a3s-lab/lane'
import { LocalStorage } from '@a3s-lab/lane/storage'
import type { Fault } from './armed-storage.js'
import { checkHistory, isRight } from './check-history.js'
import { type EveryCallResult, killAtEveryCall } from './every-call.js'
import { judgeMigration, openForMigration } from './migration-file.js'
import { MIGRATIONS_ONLY } from './migration-steps.js'
import { openOnce } from './opening.js'
import { judgePoisoning, poison } from './poison.js'
import { printJudgement, SHOWN } from './print-judgement.js'
import { type Torture, torture } from './torture.js'
import { limits } from './torture-plan.js'

export type TortureCommand = {
  readonly programs: string
  readonly folder: string
  readonly kills: number
  readonly seed: number
  readonly fault?: Fault | undefined
  readonly library?: string | undefined
  readonly print: (line: string) => void
}

const LOCKED_WITHIN_MS = 1000
/** Nine thousand commands take their time. */
const COLD_EVERY = 60

/** Opens a file that is in use; gives what was wrong with the answer. */
export async function openSecond(path: string): Promise<string | undefined> {
  const startedAt = performance.now()
  try {
    const storage = await LocalStorage.open({ path })
    await storage.close()
    // it may have ended by itself in this moment
    return undefined
  } catch (error) {
    const ms = performance.now() - startedAt
    if (!isLaneError(error) || error.code !== 'STORAGE_LOCKED') return `a second opener got ${String(error)}`
    return ms > LOCKED_WITHIN_MS ? `a second opener was refused after ${Math.round(ms)} ms` : undefined
  }
}

/** Whether nothing was found; with a fault planted, whether it was. */
export async function runTorture(command: TortureCommand): Promise<boolean> {
  const { programs, print, seed, fault, kills } = command
  const startedAt = performance.now()
  // the torture waits most of the time
  const rest = fault === undefined ? Promise.all([tryPoison(command), tryEveryCall(command)]) : Promise.resolve([])
  const done = await torture({ ...command, program: join(programs, 'torture.mjs'), openSecond, coldEvery: COLD_EVERY })
  const judgement = checkHistory(done.records, limits)
  const seconds = (performance.now() - startedAt) / 1000
  print(`seed ${seed}: ${kills} kills in ${seconds.toFixed(1)} s${fault ? `, planted: ${fault}` : ''}`)
  printEndings(done, print)
  printJudgement(judgement, print)
  for (const text of [...done.intruders, ...done.accidents]) print(`  ${text}`)
  const isClean = isRight(judgement) && done.intruders.length === 0 && done.accidents.length === 0
  if (fault !== undefined) return !isClean
  const others = await rest
  return others.every((isGood) => isGood) && isClean
}

async function tryPoison({ programs, folder, print }: TortureCommand): Promise<boolean> {
  const wrong = judgePoisoning(await poison(join(programs, 'torture.mjs'), join(folder, 'poison')))
  print(`a command that kills its process: ${wrong ?? 'four attempts, then a dead letter'}`)
  return wrong === undefined
}

async function tryEveryCall({ programs, folder, library, print }: TortureCommand): Promise<boolean> {
  if (library === undefined) return true
  const recorded = { programs, folder, library }
  const [opened, migrated] = await Promise.all([killWhileOpening(recorded), killWhileMigrating(recorded)])
  print(
    `a new file, killed before each of the ${opened.calls} disk calls of its first use: ${opened.wrong.length} wrong`,
  )
  print(
    `an older file, killed before each of the ${migrated.calls} disk calls of its migration: ${migrated.wrong.length} wrong`,
  )
  const wrong = [...opened.wrong, ...migrated.wrong]
  for (const text of wrong.slice(0, SHOWN)) print(`    ${text}`)
  return wrong.length === 0
}

type Recorded = { readonly programs: string; readonly folder: string; readonly library: string }

/** A file in its making is opened as if nothing had been. */
function killWhileOpening({ programs, folder, library }: Recorded): Promise<EveryCallResult> {
  const judge = async (made: string): Promise<string | undefined> => {
    try {
      const count = await openOnce(await LocalStorage.open({ path: join(made, 'lane.db') }))
      return count === 1 ? undefined : `it has ${count} commands`
    } catch (error) {
      return String(error)
    }
  }
  return killAtEveryCall({
    library,
    workplace: join(folder, 'opening'),
    program: join(programs, 'opens.mjs'),
    args: [],
    judge,
  })
}

/** A file is wholly of the older version, or wholly of the newer one. */
function killWhileMigrating({ programs, folder, library }: Recorded): Promise<EveryCallResult> {
  const origin = join(folder, 'older')
  mkdirSync(origin, { recursive: true })
  openForMigration(join(origin, 'lane.db'), MIGRATIONS_ONLY)
  return killAtEveryCall({
    library,
    workplace: join(folder, 'migrating'),
    program: join(programs, 'migrates.mjs'),
    args: [],
    origin,
    judge: async (made) => judgeMigration(join(made, 'lane.db')),
  })
}

function printEndings({ endings, firstStarts, lastStats }: Torture, print: (line: string) => void): void {
  print(
    Object.entries(endings)
      .map(([name, count]) => `${name} ${count}`)
      .join(', '),
  )
  const sorted = [...firstStarts].sort((a, b) => a - b)
  const at = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0
  print(`from open to first start: median ${at(0.5)} ms, p99 ${at(0.99)} ms, most ${at(1)} ms`)
  print(`storage in the end: ${lastStats}`)
}
