/**
 * The suite that a `Storage` has to pass before a queue can rely on it: every promise of the interface as a sentence that
 * is tried. It runs under any test runner that has `describe` and `test`.
 */
import { crashCases } from './describe-storage-crashes.js'
import { historyCases } from './describe-storage-history.js'
import { keepCases } from './describe-storage-kept.js'
import { readCases } from './describe-storage-reads.js'
import { over, type StorageCase, StorageStage, type StorageUnderTest } from './describe-storage-stage.js'
import { writeCases } from './describe-storage-writes.js'

export type { StorageUnderTest } from './describe-storage-stage.js'

/** A test runner, as far as the suite needs it: that of Node, Vitest, Jest and others will do. */
export type StorageSuiteRunner = {
  /** Groups the tests that its body declares. */
  readonly describe: (name: string, body: () => void) => unknown
  /** Declares one test; it fails when its body rejects. */
  readonly test: (name: string, body: () => Promise<void>) => unknown
}

const GROUPS: readonly (readonly [name: string, cases: readonly StorageCase[]])[] = [
  ['writes', writeCases],
  ['reads', readCases],
  ['crashes', crashCases],
  ['keeping', keepCases],
  ['histories', historyCases],
]

/**
 * Declares the tests of a storage. Each opens a new, empty one, and works with it as queues do, one after another; none
 * looks at a clock, and none needs another. A test that fails throws an `Error` that says what was promised.
 *
 * ```ts
 * import { describe, test } from 'node:test'
 * import { describeStorage, MemoryStorage } from '@a3s-lab/lane/testing'
 *
 * describeStorage('MemoryStorage', async () => {
 *   let storage = new MemoryStorage()
 *   return {
 *     storage,
 *     reopen: async () => (await storage.close(), (storage = storage.crash())),
 *     crash: async () => (storage = storage.crash()),
 *   }
 * }, { describe, test })
 * ```
 */
export function describeStorage(
  name: string,
  open: () => StorageUnderTest | Promise<StorageUnderTest>,
  { describe, test }: StorageSuiteRunner,
): void {
  describe(`the storage ${name}`, () => {
    for (const [group, cases] of GROUPS) {
      describe(group, () => {
        // biome-ignore lint/suspicious/useExpect: the suite has its own assertions, because it knows no runner
        for (const [promise, attempt] of cases) test(promise, () => tryOut(open, attempt))
      })
    }
  })
}

async function tryOut(
  open: () => StorageUnderTest | Promise<StorageUnderTest>,
  attempt: StorageCase[1],
): Promise<void> {
  const subject = await open()
  const stage = new StorageStage(subject)
  try {
    await attempt(stage)
  } catch (error) {
    if (error !== over) throw error
  } finally {
    await stage.storage.close()
    await subject.dispose?.()
  }
  // Whatever the case was about: nothing went wrong that no write has answered for.
  if (stage.faults.length > 0) throw new Error(`the storage reported a fault: ${String(stage.faults[0])}`)
}
