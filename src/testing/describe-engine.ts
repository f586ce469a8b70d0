/**
 * The suite that an `Engine` has to pass before queues can share lanes over it: every promise of the interface as a
 * sentence that is tried. It runs under any test runner that has `describe` and `test`.
 */
import { errorText } from '../core/index.js'
import { cancelCases } from './describe-engine-cancels.js'
import { chargeCases } from './describe-engine-charges.js'
import { identityCases } from './describe-engine-identity.js'
import { leaseCases } from './describe-engine-leases.js'
import { limitCases } from './describe-engine-limits.js'
import { openCases } from './describe-engine-open.js'
import { orderCases } from './describe-engine-orders.js'
import { outcomeCases } from './describe-engine-outcomes.js'
import { readCases } from './describe-engine-reads.js'
import {
  type EngineCase,
  type EngineFaults,
  EngineStage,
  type EngineTime,
  type EngineUnderTest,
  realTime,
} from './describe-engine-stage.js'
import { workCases } from './describe-engine-work.js'
import type { StorageSuiteRunner } from './describe-storage.js'

export type { EngineFaults, EngineSuiteOptions, EngineUnderTest } from './describe-engine-stage.js'

/** A test runner, as far as the suite needs it. */
export type EngineSuiteRunner = StorageSuiteRunner & {
  /** Declares a test that is not run, with the reason in its name. Left out: such a test is not declared. */
  readonly skip?: (name: string) => unknown
}

/** The engine that is tried, and how. */
export type EngineSuite = EngineFaults &
  Partial<EngineTime> & {
    readonly name: string
    /** Gives what a case works with; nothing is in its lanes, and no other case knows them. */
    readonly open: () => EngineUnderTest | Promise<EngineUnderTest>
    /** Cases that are not tried, by id, each with the gap that is the reason. */
    readonly skips?: Readonly<Record<string, string>>
  }

/** Short, so that a test need not wait long for a lease to run out; long enough to be renewed on a busy machine. */
const LEASE_MS = 400

const GROUPS: readonly (readonly [name: string, cases: readonly EngineCase[]])[] = [
  ['opening and closing', openCases],
  ['outcomes', outcomeCases],
  ['leases', leaseCases],
  ['order', orderCases],
  ['limits', limitCases],
  ['charges', chargeCases],
  ['identity', identityCases],
  ['cancelling', cancelCases],
  ['reading', readCases],
  ['work', workCases],
]

/**
 * Declares the tests of an engine. Each opens engines of its own, which share lanes as the queues of several processes do. An
 * engine with a virtual clock says so by `clock` and `sleep`; `leaseMs` is the lease that its engines are asked for, by
 * default 400. A test takes up to 15 s where an engine makes up for something that was lost.
 *
 * ```ts
 * import { describe, test } from 'node:test'
 * import { describeEngine, MemoryBroker } from '@a3s-lab/lane/testing'
 *
 * describeEngine({
 *   name: 'MemoryEngine',
 *   open() {
 *     const broker = new MemoryBroker()
 *     return { engine: (options) => broker.engine(options), close: async () => {} }
 *   },
 * }, { describe, test })
 * ```
 */
export function describeEngine(suite: EngineSuite, runner: EngineSuiteRunner): void {
  const { name, skips = {} } = suite
  const ids = new Set(GROUPS.flatMap(([, cases]) => cases.map(([id]) => id)))
  const unknown = Object.keys(skips).filter((id) => !ids.has(id))
  if (unknown.length > 0) throw new Error(`describeEngine knows no case ${unknown.join(', ')}`)
  runner.describe(`the engine ${name}`, () => {
    for (const [group, cases] of GROUPS) {
      runner.describe(group, () => {
        for (const one of cases) declare(suite, runner, one)
      })
    }
  })
}

function declare(suite: EngineSuite, { test, skip }: EngineSuiteRunner, one: EngineCase): void {
  const [id, promise, , need] = one
  const gap = suite.skips?.[id] ?? (need === undefined || suite[need] !== undefined ? undefined : `needs '${need}'`)
  if (gap !== undefined) return void skip?.(`${promise} [${id}: ${gap}]`)
  // biome-ignore lint/suspicious/useExpect: the suite has its own assertions, because it knows no runner
  test(`${promise} [${id}]`, () => tryOut(suite, one))
}

async function tryOut(suite: EngineSuite, [, , attempt]: EngineCase): Promise<void> {
  const stage = new EngineStage(await suite.open(), suite, { leaseMs: LEASE_MS, ...realTime, ...suite })
  try {
    await attempt(stage)
  } finally {
    await stage.close()
  }
  const fault = stage.peers.flatMap(({ faults }) => faults)[0]
  if (fault !== undefined && !stage.mayFault) throw new Error(`the engine reported a fault: ${errorText(fault)}`)
}
