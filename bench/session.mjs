// @ts-check
/**
 * The suite `session`: what the lanes of an agent session cost and give. As in `core`, every measurement is a fresh process
 * and all take turns.
 */
import { sessionGoals } from './goals.mjs'
import { sessionWorkloads } from './session/workloads.mjs'
import { runSuite } from './suite.mjs'

/** Every subject. */
export const sessionSubjects = ['lane', 'direct', 'bare']

/** Every workload's id. */
export const sessionIds = sessionWorkloads.map(({ id }) => id)

/** @type {import('./suite.mjs').Suite<import('./session/workloads.mjs').SessionSettings>} */
const suite = {
  name: 'session',
  script: new URL('session/measure.mjs', import.meta.url),
  workloads: sessionWorkloads,
  subjects: sessionSubjects,
  packages: ['@a3s-lab/lane'],
  goals: sessionGoals,
  full: { rounds: 7, settings: { warmUpMs: 1000, measureMs: 1000, samples: 100 } },
  quickly: { rounds: 3, settings: { warmUpMs: 500, measureMs: 500, samples: 40 } },
}

/** @param {import('./core.mjs').CoreOptions} options */
export const runSession = (options) => runSuite(suite, options)
