// @ts-check
/** What is measured, and the order of measuring: subjects take turns within a workload and workloads within a round; then medians. */
import { BenchError, USAGE } from './bench-error.mjs'
import { print, rowOf } from './outcome.mjs'
import { rowLines } from './report.mjs'

/** @typedef {Pick<import('./workloads/workload.mjs').Workload, 'id' | 'title' | 'figures' | 'subjects' | 'ungraded'>} Planned */

/**
 * @template {Planned} W
 * @param {readonly W[]} workloads
 * @param {{ workloads: string[], subjects: string[] }} chosen
 * @returns {W[]} those chosen, with only the subjects chosen
 */
export function planOf(workloads, chosen) {
  const plan = workloads
    .filter(({ id }) => chosen.workloads.includes(id))
    .map((workload) => ({ ...workload, subjects: workload.subjects.filter((name) => chosen.subjects.includes(name)) }))
    .filter(({ subjects }) => subjects.length > 0)
  if (plan.length === 0)
    throw new BenchError('None of these subjects takes part in these workloads.', { exitCode: USAGE })
  return plan
}

/**
 * @template {Planned} W
 * @param {W[]} plan
 * @param {object} how
 * @param {number} how.rounds
 * @param {boolean} how.quick  what no goal depends on is measured in the first round only
 * @param {(workload: W, subject: string) => Promise<Record<string, number>>} how.figuresOf  one measurement
 * @returns {Promise<import('./outcome.mjs').Row[]>} also printed
 */
export async function measuredInTurns(plan, { rounds, quick, figuresOf }) {
  /** @type {Map<string, Record<string, number>[]>} */
  const results = new Map()
  for (let round = 1; round <= rounds; round++) {
    for (const workload of plan) {
      const { ungraded = [] } = workload
      const subjects = workload.subjects.filter((subject) => round === 1 || !quick || !ungraded.includes(subject))
      if (subjects.length > 0) {
        process.stderr.write(`round ${round} of ${rounds}: ${workload.id} ${subjects.join(' ')}\n`)
      }
      for (const subject of subjects) {
        const figures = await figuresOf(workload, subject)
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
