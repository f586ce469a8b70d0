// @ts-check
/**
 * The suite `engine`: lanes that processes share over BullMQ, against BullMQ itself. As in `core`, every measurement is a
 * fresh process, here with a fresh server, and all take turns.
 */
import { engineWorkloads } from './engine/workloads.mjs'
import { engineGoals } from './goals.mjs'
import { runSuite } from './suite.mjs'

/** Every subject. */
export const engineSubjects = ['lane', 'bullmq']

/** Every workload's id. */
export const engineIds = engineWorkloads.map(({ id }) => id)

/** @type {import('./suite.mjs').Suite<import('./engine/workloads.mjs').EngineSettings>} */
const suite = {
  name: 'engine',
  script: new URL('engine/measure.mjs', import.meta.url),
  workloads: engineWorkloads,
  subjects: engineSubjects,
  packages: ['@a3s-lab/lane', 'bullmq', 'ioredis'],
  goals: engineGoals,
  full: { rounds: 7, settings: { commands: 20_000, samples: 400 } },
  quickly: { rounds: 3, settings: { commands: 10_000, samples: 200 } },
}

/** @param {import('./core.mjs').CoreOptions} options */
export const runEngine = (options) => runSuite(suite, options)
