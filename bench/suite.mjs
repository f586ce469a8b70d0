// @ts-check
/** A suite whose measurements are processes of one script: it is measured in turns, printed, judged and kept. */
import { loadavg } from 'node:os'
import { fileURLToPath } from 'node:url'
import { goalLine, judge } from './goals.mjs'
import { describeCommit, describeMachine, versionsOf } from './machine.mjs'
import { measure } from './measurement.mjs'
import { checked, keepResult, print, warnWhenBusy } from './outcome.mjs'
import { headerLines } from './report.mjs'
import { measuredInTurns, planOf } from './rounds.mjs'

/**
 * @template S
 * @typedef {object} Size  of a run
 * @property {number} rounds
 * @property {S} settings  of each measurement
 */

/**
 * @template S
 * @typedef {object} Suite
 * @property {string} name
 * @property {URL} script  the measuring process
 * @property {readonly import('./rounds.mjs').Planned[]} workloads
 * @property {readonly string[]} subjects  every one
 * @property {readonly string[]} packages  whose versions say what was measured
 * @property {readonly import('./goals.mjs').Goal[]} goals
 * @property {Size<S>} full
 * @property {Size<S>} quickly
 */

/**
 * @template S
 * @param {Suite<S>} suite
 * @param {import('./core.mjs').CoreOptions} options
 * @returns {Promise<number>} the exit code
 */
export async function runSuite({ name, script, workloads, subjects, packages, goals, full, quickly }, options) {
  const { rounds, settings } = options.quick ? quickly : full
  const plan = planOf(workloads, options)
  const about = {
    suite: name,
    quick: options.quick,
    rounds: options.rounds ?? rounds,
    settings,
    machine: describeMachine(),
    loadAtStart: loadavg()[0] ?? 0,
    commit: describeCommit(),
    versions: versionsOf([...packages]),
  }
  print(headerLines(about))
  warnWhenBusy(about.loadAtStart)
  const rows = await measuredInTurns(plan, {
    rounds: about.rounds,
    quick: options.quick,
    figuresOf: ({ id }, subject) =>
      measure({ workload: id, subject, settings: /** @type {any} */ (settings) }, { script: fileURLToPath(script) }),
  })
  const verdicts = judge(rows, { quick: options.quick, held: goals })
  print(['', ...verdicts.map(goalLine)])
  const isWhole = options.workloads.length === workloads.length && options.subjects.length === subjects.length
  if (isWhole && (options.quick || about.rounds >= full.rounds)) {
    keepResult(options.quick ? `${name}-quick.json` : `${name}.json`, { ...about, workloads: rows, goals: verdicts })
  }
  return options.check ? checked(verdicts) : 0
}
