// @ts-check
/**
 * The suite `policies`: what policies cost who does not use them. W1 to W5 of this tree against the last commit without
 * policies, both built side by side in a scratch folder: a fresh process each, in turn, and the order turned round in every
 * other round. Speed, bytes per waiting command, and bytes that a command allocates.
 */
import { loadavg } from 'node:os'
import { goalLine, judge } from './goals.mjs'
import { describeCommit, describeMachine } from './machine.mjs'
import { measure } from './measurement.mjs'
import { checked, keepResult, print, rowOf, warnWhenBusy } from './outcome.mjs'
import { headerLines, rowLines } from './report.mjs'
import { builtTrees } from './trees.mjs'
import { ALLOCATION_FLAGS } from './workloads/allocations.mjs'
import { workloads } from './workloads/index.mjs'

/** @typedef {import('./workloads/workload.mjs').Settings} Settings */

/** The last commit whose lanes knew no policy. */
const BASE_COMMIT = '5cc50a3'

const COMPARED = ['W1', 'W2', 'W3', 'W4', 'W5']

/** This tree, and the one without policies. */
const SUBJECTS = ['lane', 'base']

/** @type {{ rounds: number, settings: Settings }} */
const full = { rounds: 7, settings: { warmUpMs: 500, measureMs: 1000, waiting: 1_000_000, samples: 1000 } }
/** @type {{ rounds: number, settings: Settings }} */
const quickly = { rounds: 3, settings: { warmUpMs: 300, measureMs: 500, waiting: 200_000, samples: 300 } }

/** What two counts of the same code differ by. */
const COUNTING_NOISE = 0.005

/**
 * Bytes are judged by the least of the rounds: now and then the compiler leaves an object in a process that it takes out
 * in others (40 bytes per command in `Promise.all`), of either tree.
 *
 * @param {string} workload
 * @param {string} figure
 * @param {string} label
 * @returns {import('./goals.mjs').Goal}
 */
const noMore = (workload, figure, label) => ({
  workload,
  figure,
  label,
  versus: 'base',
  by: 'min',
  atMost: 1,
  noise: COUNTING_NOISE,
})

/** @type {import('./goals.mjs').Goal[]} */
const goals = COMPARED.flatMap((workload) => [
  { workload, figure: 'rate', label: 'rate', versus: 'base', atLeast: 0.9 },
  noMore(workload, 'allocated', 'bytes allocated'),
  ...(workload === 'W5' ? [noMore(workload, 'bytes', 'bytes per waiting command')] : []),
])

/** @type {import('./workloads/workload.mjs').Figure[]} beside the workload's own */
const moreFigures = [
  { key: 'cpu', label: 'ns of processor time per command', better: 'less' },
  { key: 'allocated', label: 'bytes allocated per command', better: 'less' },
]

/**
 * @param {{ quick: boolean, check: boolean, rounds: number | undefined, workloads: string[] }} options
 * @returns {Promise<number>} the exit code
 */
export async function runPolicies(options) {
  const { rounds, settings } = options.quick ? quickly : full
  const about = {
    suite: 'policies',
    quick: options.quick,
    rounds: options.rounds ?? rounds,
    settings,
    machine: describeMachine(),
    loadAtStart: loadavg()[0] ?? 0,
    commit: describeCommit(),
    versions: { 'base commit': BASE_COMMIT },
  }
  print(headerLines(about))
  warnWhenBusy(about.loadAtStart)
  const plan = workloads.filter(({ id }) => COMPARED.includes(id) && options.workloads.includes(id))
  const trees = builtTrees(BASE_COMMIT)
  try {
    const rows = await measured(plan, about, trees)
    const verdicts = judge(rows, { quick: options.quick, held: goals })
    print(['', ...verdicts.map(goalLine)])
    if (plan.length === COMPARED.length && !options.quick && about.rounds >= full.rounds) {
      keepResult('policies.json', { ...about, workloads: rows, goals: verdicts })
    }
    return options.check ? checked(verdicts) : 0
  } finally {
    trees.remove()
  }
}

/**
 * @param {import('./workloads/workload.mjs').Workload[]} plan
 * @param {{ rounds: number, settings: Settings }} how
 * @param {Record<string, unknown>} trees
 * @returns {Promise<import('./outcome.mjs').Row[]>}
 */
async function measured(plan, { rounds, settings }, trees) {
  /** @type {Map<string, Record<string, number>[]>} */
  const results = new Map()
  for (let round = 1; round <= rounds; round++) {
    for (const { id } of plan) {
      process.stderr.write(`round ${round} of ${rounds}: ${id}\n`)
      for (const subject of round % 2 === 1 ? SUBJECTS : [...SUBJECTS].reverse()) {
        const key = `${id} ${subject}`
        results.set(key, [...(results.get(key) ?? []), await figuresOf(id, settings, String(trees[subject]))])
      }
    }
  }
  return plan.map(({ id, title, figures }) => {
    const workload = { id, title, figures: [...figures, ...moreFigures], subjects: SUBJECTS }
    const row = rowOf(workload, (subject) => results.get(`${id} ${subject}`) ?? [])
    print(rowLines(row))
    return row
  })
}

/**
 * @param {string} workload
 * @param {Settings} settings
 * @param {string} script  the tree's `measure.mjs`
 */
async function figuresOf(workload, settings, script) {
  const measurement = { workload, subject: 'lane', settings }
  const pace = await measure(measurement, { script })
  const counted = await measure({ ...measurement, allocations: true }, { script, nodeOptions: ALLOCATION_FLAGS })
  return { ...pace, ...counted }
}
