// @ts-check
/**
 * The suite `core`: the queue in process against its peers. Every measurement is a fresh process; subjects take turns
 * (A B C A B C …) within a workload and workloads within a round, so that a slow minute of the machine hits everybody.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { loadavg } from 'node:os'
import { BenchError, FAILED, USAGE } from './bench-error.mjs'
import { goalLine, judge } from './goals.mjs'
import { describeCommit, describeMachine, packageVersion } from './machine.mjs'
import { measure } from './measurement.mjs'
import { headerLines, rowLines } from './report.mjs'
import { packages } from './subjects/index.mjs'
import { workloads } from './workloads/index.mjs'

/** @typedef {import('./workloads/workload.mjs').Workload} Workload */
/** @typedef {import('./workloads/workload.mjs').Settings} Settings */

/** @typedef {{ median: number, min: number, max: number, rounds: number[] }} Spread */

/**
 * @typedef {object} Row  one workload, measured
 * @property {string} id
 * @property {string} title
 * @property {import('./workloads/workload.mjs').Figure[]} figures
 * @property {Record<string, Record<string, Spread>>} subjects  by subject, by figure
 */

/**
 * @typedef {object} CoreOptions
 * @property {boolean} quick
 * @property {boolean} check  miss a goal, and the exit code is 1
 * @property {number | undefined} rounds
 * @property {string[]} workloads
 * @property {string[]} subjects
 */

/** @type {{ rounds: number, settings: Settings }} */
const full = { rounds: 7, settings: { warmUpMs: 500, measureMs: 1000, waiting: 1_000_000, samples: 1000 } }
/** @type {{ rounds: number, settings: Settings }} */
const quickly = { rounds: 3, settings: { warmUpMs: 300, measureMs: 200, waiting: 200_000, samples: 300 } }

/** As many processors busy with something else spoil what is measured. */
const BUSY_LOAD = 1

/** Every subject. */
export const subjectNames = Object.keys(packages)

/** Every workload's id. */
export const workloadIds = workloads.map(({ id }) => id)

/**
 * @param {CoreOptions} options
 * @returns {Promise<number>} the exit code
 */
export async function runCore(options) {
  const { rounds, settings } = options.quick ? quickly : full
  const plan = planOf(options)
  const about = {
    suite: 'core',
    quick: options.quick,
    rounds: options.rounds ?? rounds,
    settings,
    machine: describeMachine(),
    loadAtStart: loadavg()[0] ?? 0,
    commit: describeCommit(),
    versions: versionsOf(plan.flatMap(({ subjects }) => subjects)),
  }
  print(headerLines(about))
  warnWhenBusy(about.loadAtStart)
  const rows = await measured(plan, about.rounds, settings)
  const verdicts = judge(rows, options)
  print(['', ...verdicts.map(goalLine)])
  keep(options, about.rounds, { ...about, workloads: rows, goals: verdicts })
  return options.check ? checked(verdicts) : 0
}

/**
 * @param {CoreOptions} options
 * @returns {Workload[]} with only the subjects asked for
 */
function planOf(options) {
  const plan = workloads
    .filter(({ id }) => options.workloads.includes(id))
    .map((workload) => ({ ...workload, subjects: workload.subjects.filter((name) => options.subjects.includes(name)) }))
    .filter(({ subjects }) => subjects.length > 0)
  if (plan.length === 0)
    throw new BenchError('None of these subjects takes part in these workloads.', { exitCode: USAGE })
  return plan
}

/**
 * @param {string[]} subjects
 * @returns {Record<string, string>} versions of the packages behind them
 */
function versionsOf(subjects) {
  /** @type {Record<string, string>} */
  const versions = {}
  for (const name of new Set(subjects)) {
    const packageName = packages[name] ?? name
    const version = packageVersion(packageName)
    if (version === null) {
      const remedy =
        name === 'lane' ? 'is not built: run `npm run build` first' : 'is not installed: run `npm ci` first'
      throw new BenchError(`${packageName} ${remedy}.`, { exitCode: FAILED })
    }
    versions[packageName] = version
  }
  return versions
}

/**
 * @param {Workload[]} plan
 * @param {number} rounds
 * @param {Settings} settings
 * @returns {Promise<Row[]>}
 */
async function measured(plan, rounds, settings) {
  /** @type {Map<string, Record<string, number>[]>} */
  const results = new Map()
  for (let round = 1; round <= rounds; round++) {
    for (const { id, subjects } of plan) {
      process.stderr.write(`round ${round} of ${rounds}: ${id} ${subjects.join(' ')}\n`)
      for (const subject of subjects) {
        const figures = await measure({ workload: id, subject, settings })
        results.set(`${id} ${subject}`, [...(results.get(`${id} ${subject}`) ?? []), figures])
      }
    }
  }
  return plan.map((workload) => rowOf(workload, results))
}

/**
 * @param {Workload} workload
 * @param {Map<string, Record<string, number>[]>} results
 * @returns {Row}
 */
function rowOf({ id, title, figures, subjects }, results) {
  const spreads = subjects.map((subject) => {
    const rounds = results.get(`${id} ${subject}`) ?? []
    return [
      subject,
      Object.fromEntries(figures.map(({ key }) => [key, spread(rounds.map((round) => round[key] ?? 0))])),
    ]
  })
  const row = { id, title, figures, subjects: Object.fromEntries(spreads) }
  print(rowLines(row))
  return row
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
 * Writes the result when it is a whole one: every workload, every subject. A quick one never replaces the full one.
 *
 * @param {CoreOptions} options
 * @param {number} rounds
 * @param {object} result
 */
function keep(options, rounds, result) {
  const whole = options.workloads.length === workloadIds.length && options.subjects.length === subjectNames.length
  if (!whole || (!options.quick && rounds < full.rounds)) return
  const name = options.quick ? 'core-quick.json' : 'core.json'
  const folder = new URL('results/', import.meta.url)
  mkdirSync(folder, { recursive: true })
  writeFileSync(new URL(name, folder), `${JSON.stringify(result, null, 2)}\n`)
  print([`written to bench/results/${name}`])
}

/**
 * @param {import('./goals.mjs').Verdict[]} verdicts
 * @returns {number} the exit code
 */
function checked(verdicts) {
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
function warnWhenBusy(load) {
  if (load >= BUSY_LOAD) print([`The machine is busy (load ${load.toFixed(1)}): trust no figure.`])
}

/** @param {string[]} lines */
function print(lines) {
  process.stdout.write(`${lines.join('\n')}\n`)
}
