// @ts-check
/**
 * The suite `core`: the queue in process against its peers. Every measurement is a fresh process; subjects take turns
 * (A B C A B C …) within a workload and workloads within a round, so that a slow minute of the machine hits everybody.
 */
import { loadavg } from 'node:os'
import { goalLine, judge } from './goals.mjs'
import { describeCommit, describeMachine, versionsOf } from './machine.mjs'
import { measure } from './measurement.mjs'
import { checked, keepResult, print, warnWhenBusy } from './outcome.mjs'
import { headerLines } from './report.mjs'
import { measuredInTurns, planOf } from './rounds.mjs'
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
  const plan = planOf(workloads, options)
  const about = {
    suite: 'core',
    quick: options.quick,
    rounds: options.rounds ?? rounds,
    settings,
    machine: describeMachine(),
    loadAtStart: loadavg()[0] ?? 0,
    commit: describeCommit(),
    versions: versionsOf(plan.flatMap(({ subjects }) => subjects.map((name) => packages[name] ?? name))),
  }
  print(headerLines(about))
  warnWhenBusy(about.loadAtStart)
  const rows = await measuredInTurns(plan, {
    rounds: about.rounds,
    quick: options.quick,
    figuresOf: (workload, subject) => figuresOf(workload, subject, settings),
  })
  const verdicts = judge(rows, options)
  print(['', ...verdicts.map(goalLine)])
  keep(options, about.rounds, { ...about, workloads: rows, goals: verdicts })
  return options.check ? checked(verdicts) : 0
}

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
