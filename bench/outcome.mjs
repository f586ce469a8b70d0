// @ts-check
/** What the suites share once the rounds are measured: medians, the file of a result, the exit code. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { BenchError, FAILED } from './bench-error.mjs'

/** @typedef {{ median: number, min: number, max: number, rounds: number[] }} Spread */

/**
 * @typedef {object} Row  one workload, measured
 * @property {string} id
 * @property {string} title
 * @property {import('./workloads/workload.mjs').Figure[]} figures
 * @property {Record<string, Record<string, Spread>>} subjects  by subject, by figure
 */

/** As many processors busy with something else spoil what is measured. */
const BUSY_LOAD = 1

/**
 * @param {Pick<import('./workloads/workload.mjs').Workload, 'id' | 'title' | 'figures' | 'subjects'>} workload
 * @param {(subject: string) => Record<string, number>[]} roundsOf
 * @returns {Row}
 */
export function rowOf({ id, title, figures, subjects }, roundsOf) {
  const spreads = subjects.map((subject) => {
    const rounds = roundsOf(subject)
    return [
      subject,
      Object.fromEntries(figures.map(({ key }) => [key, spread(rounds.map((round) => round[key] ?? Number.NaN))])),
    ]
  })
  return { id, title, figures, subjects: Object.fromEntries(spreads) }
}

/**
 * @param {number[]} rounds
 * @returns {Spread}
 */
function spread(rounds) {
  const sorted = [...rounds].sort((left, right) => left - right)
  const at = (/** @type {number} */ index) => sorted[index] ?? Number.NaN
  const last = sorted.length - 1
  const median = (at(Math.floor(last / 2)) + at(Math.ceil(last / 2))) / 2
  return { median, min: at(0), max: at(last), rounds }
}

/**
 * @param {string} name  of the file in `results/`
 * @param {object} result
 */
export function keepResult(name, result) {
  const folder = new URL('results/', import.meta.url)
  mkdirSync(folder, { recursive: true })
  writeFileSync(new URL(name, folder), `${JSON.stringify(result, null, 2)}\n`)
  print([`written to bench/results/${name}`])
}

/**
 * @param {import('./goals.mjs').Verdict[]} verdicts
 * @returns {number} the exit code
 */
export function checked(verdicts) {
  if (verdicts.length === 0) throw new BenchError('No goal was measured, so none can be checked.', { exitCode: FAILED })
  const missed = verdicts.filter(({ ok }) => !ok).length
  print([missed === 0 ? 'Every goal is met.' : `${missed} of ${verdicts.length} goals missed.`])
  return missed === 0 ? 0 : FAILED
}

/**
 * Only at the start: later the load is our own.
 *
 * @param {number} load
 */
export function warnWhenBusy(load) {
  if (load >= BUSY_LOAD) print([`The machine is busy (load ${load.toFixed(1)}): trust no figure.`])
}

/** @param {string[]} lines */
export function print(lines) {
  process.stdout.write(`${lines.join('\n')}\n`)
}
