// @ts-check
/**
 * The suite `core`: the queue in process against its peers. Every measurement is a fresh process; subjects take turns
 * (A B C A B C …) within a workload and workloads within a round, so that a slow minute of the machine hits everybody.
 */
import { loadavg } from 'node:os'
import { BenchError, FAILED, USAGE } from './bench-error.mjs'
import { goalLine, judge } from './goals.mjs'
import { describeCommit, describeMachine, packageVersion } from './machine.mjs'
import { measure } from './measurement.mjs'
import { checked, keepResult, print, rowOf, warnWhenBusy } from './outcome.mjs'
import { headerLines, rowLines } from './report.mjs'
import { packages } from './subjects/index.mjs'
import { workloads } from './workloads/index.mjs'

/** @typedef {import('./workloads/workload.mjs').Workload} Workload */
/** @typedef {import('./workloads/workload.mjs').Settings} Settings */

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
  const rows = await measured(plan, about)
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
 * @param {{ rounds: number, settings: Settings, quick: boolean }} how
 * @returns {Promise<import('./outcome.mjs').Row[]>}
 */
async function measured(plan, { rounds, settings, quick }) {
  /** @type {Map<string, Record<string, number>[]>} */
  const results = new Map()
  for (let round = 1; round <= rounds; round++) {
    for (const workload of plan) {
      const subjects = workload.subjects.filter((subject) => round === 1 || !quick || !isUngraded(workload, subject))
      if (subjects.length > 0) {
        process.stderr.write(`round ${round} of ${rounds}: ${workload.id} ${subjects.join(' ')}\n`)
      }
      for (const subject of subjects) {
        const figures = await figuresOf(workload, subject, settings)
        const key = `${workload.id} ${subject}`
        results.set(key, [...(results.get(key) ?? []), figures])
      }
    }
  }
  return plan.map((workload) => {
    const row = rowOf(workload, (subject) => results.get(`${workload.id} ${subject}`) ?? [])
    print(rowLines(row))
    return row
  })
}

/**
 * @param {Workload} workload
 * @param {string} subject
 */
const isUngraded = ({ ungraded = [] }, subject) => ungraded.includes(subject)

/**
 * One subject in one workload, once: a process, or one for every side.
 *
 * @param {Workload} workload
 * @param {string} subject
 * @param {Settings} settings
 * @returns {Promise<Record<string, number>>}
 */
async function figuresOf({ id, sides = [''], joined }, subject, settings) {
  /** @type {Record<string, number>} */
  const figures = {}
  for (const side of sides) Object.assign(figures, await measure({ workload: id, subject, settings, side }))
  return joined === undefined ? figures : joined(figures)
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
  keepResult(options.quick ? 'core-quick.json' : 'core.json', result)
}
