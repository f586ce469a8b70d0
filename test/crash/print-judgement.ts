/** Prints what was found in a history. */
import { type Judgement, VIOLATIONS } from './check-history.js'

/** Most texts of one kind. */
export const SHOWN = 5

export function printJudgement(judgement: Judgement, print: (line: string) => void): void {
  const { accepted, settled, starts, recovered, duplicateRuns, inFlightAtKills } = judgement
  print(
    `${accepted} accepted, ${settled} settled, ${starts} starts, ${recovered} ran without an answer to their submit`,
  )
  print(`${duplicateRuns} duplicate runs; ${inFlightAtKills} commands were in flight at a kill`)
  for (const name of VIOLATIONS) {
    const found = judgement.violations[name]
    print(`${name.padEnd(14)} ${String(found.length).padStart(6)}`)
    for (const text of found.slice(0, SHOWN)) print(`    ${text}`)
  }
}
