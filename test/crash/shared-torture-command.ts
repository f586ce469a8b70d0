/** `npm run torture -- --engine bullmq`: runs it, judges it, and prints what was found. */
import { join } from 'node:path'
import { checkHistory, isRight } from './check-history.js'
import type { EngineFault } from './faulty-engine.js'
import { printJudgement } from './print-judgement.js'
import { sharedLimits } from './shared-plan.js'
import { type ServerKind, type SharedTorture, tortureShared } from './shared-torture.js'

export type SharedTortureCommand = {
  readonly programs: string
  readonly folder: string
  readonly kills: number
  readonly seed: number
  readonly server: ServerKind
  readonly fault?: EngineFault | undefined
  readonly print: (line: string) => void
}

const SHOWN = 10

/** Whether nothing was found; with a fault planted, whether it was. */
export async function runSharedTorture(command: SharedTortureCommand): Promise<boolean> {
  const { programs, print, seed, fault, kills } = command
  const startedAt = performance.now()
  const done = await tortureShared({ ...command, program: join(programs, 'shared.mjs') })
  const judgement = checkHistory(done.records, sharedLimits)
  const seconds = (performance.now() - startedAt) / 1000
  print(
    `seed ${seed}, ${command.server}: ${kills} kills in ${seconds.toFixed(1)} s${fault ? `, planted: ${fault}` : ''}`,
  )
  printDeeds(done, print)
  printJudgement(judgement, print)
  for (const text of done.accidents.slice(0, SHOWN)) print(`  ${text}`)
  const isClean = isRight(judgement) && done.accidents.length === 0
  const { lost, unexpected, doubleSettled, ghost } = judgement.violations
  print(
    `${isClean ? 'right' : 'WRONG'}: lost ${lost.length}, unexpected ${unexpected.length}, double-settled ${doubleSettled.length}, ghost ${ghost.length}, accidents ${done.accidents.length}`,
  )
  return fault === undefined ? isClean : !isClean
}

function printDeeds({ deeds, records }: SharedTorture, print: (line: string) => void): void {
  print(
    Object.entries(deeds)
      .map(([name, count]) => `${name} ${count}`)
      .join(', '),
  )
  const lost = records.filter(({ end }) => end === 'lost').length
  print(`${lost} bodies were told that their lease is lost`)
}
