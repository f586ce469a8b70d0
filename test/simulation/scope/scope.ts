/** `npm run sim -- --scope`: the table of steps, and every path of the small scopes. */
import { type Exploration, explore } from './explore.js'
import { fingerprint } from './fingerprint.js'
import { type Setting, settings } from './setting.js'
import { type Operation, SmallWorld } from './small-world.js'
import { checkTable, LEGAL_STEPS } from './transition-table.js'

export type ScopeSettings = {
  readonly print: (line: string) => void
  /** A part of a setting's name, then a path of operations (`submit 0, advance`) to look at it alone. Default all. */
  readonly wanted?: readonly string[] | undefined
  /** Most operations in a row, if less than the settings say. */
  readonly depth?: number | undefined
}

/** Explores them all; whether nothing was violated and every legal step was seen. */
export async function runScope({
  print,
  wanted = [],
  depth = Number.POSITIVE_INFINITY,
}: ScopeSettings): Promise<boolean> {
  const [name = '', path] = wanted
  const chosen = settings.filter((setting) => setting.name.includes(name))
  if (chosen.length === 0) throw new Error(`no scope has '${name}' in its name`)
  if (path !== undefined) return walk(chosen, path.split(', '), print)
  const table = checkTable()
  for (const violation of table.violations) print(violation)
  print(
    `${table.pairs} pairs of states, ${LEGAL_STEPS.length} legal steps, ${table.violations.length} against the design`,
  )
  const seen = new Set<string>()
  const sum = { states: 0, transitions: 0, compared: 0, violations: table.violations.length }
  print(row(['scope', 'depth', 'states', 'transitions', 'compared', 'violations', '']))
  for (const setting of chosen) {
    const exploration = await explore(setting, Math.min(depth, setting.depth))
    print(rowOf(exploration))
    for (const violation of exploration.violations) print(`    ${violation}`)
    for (const step of exploration.steps) seen.add(step)
    sum.states += exploration.states
    sum.transitions += exploration.transitions
    sum.compared += exploration.compared
    sum.violations += exploration.violations.length
  }
  const illegal = [...seen].filter((step) => !LEGAL_STEPS.includes(step))
  const unseen = LEGAL_STEPS.filter((step) => !seen.has(step))
  for (const step of illegal) print(`an illegal step was seen: ${step.replace(' ', ' → ')}`)
  // a part of the scopes, or less than their depth, cannot show them all
  const isWhole = name === '' && depth === Number.POSITIVE_INFINITY
  for (const step of unseen) print(`a legal step was never seen: ${step.replace(' ', ' → ')}`)
  print(
    `scope: ${sum.states} states, ${sum.transitions} transitions, ${sum.compared} compared with their double, ${sum.violations} violated; ${LEGAL_STEPS.length - unseen.length} of ${LEGAL_STEPS.length} legal steps seen`,
  )
  return sum.violations === 0 && illegal.length === 0 && (unseen.length === 0 || !isWhole)
}

/** One path again, with the state after each operation. */
async function walk(
  chosen: readonly Setting[],
  path: readonly Operation[],
  print: (line: string) => void,
): Promise<boolean> {
  let isRight = true
  for (const setting of chosen) {
    const world = new SmallWorld(setting)
    print(setting.name)
    for (const operation of path) {
      await world.do(operation)
      print(`  ${operation.padEnd(16)} ${fingerprint(world)}`)
    }
    for (const violation of world.violations) print(`  ${violation}`)
    isRight &&= world.violations.length === 0
  }
  return isRight
}

const WIDTHS = [52, 10, 10, 13, 10, 12, 12]

const row = (cells: readonly (string | number)[]): string =>
  cells
    .map((cell, n) => (n === 0 ? String(cell).padEnd(WIDTHS[n] ?? 0) : String(cell).padStart(WIDTHS[n] ?? 0)))
    .join('')
    .trimEnd()

const rowOf = ({ setting, depth, states, transitions, compared, violations, isComplete }: Exploration): string =>
  row([setting.name, depth, states, transitions, compared, violations.length, isComplete ? 'complete' : ''])
