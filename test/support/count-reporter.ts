/**
 * Ends a run with one plain line, `N passed, N failed` (and `, N skipped`), for people and for scripts.
 *
 * What has no test to be counted under counts as failed too (a file that does not load, an error outside every test),
 * so the line never says "0 failed" about a run that failed. It is written when the process ends, which puts it behind
 * everything that other reporters and the coverage report print.
 */
import type { Reporter, TestModule } from 'vitest/node'

export default class CountReporter implements Reporter {
  #line: string | undefined

  onInit(): void {
    process.once('exit', () => {
      if (this.#line !== undefined) process.stdout.write(`${this.#line}\n`)
    })
  }

  onTestRunEnd(modules: readonly TestModule[], unhandledErrors: readonly unknown[]): void {
    const count = { passed: 0, failed: unhandledErrors.length, skipped: 0 }
    for (const module of modules) {
      let failedInside = 0
      for (const test of module.children.allTests()) {
        const { state } = test.result()
        if (state === 'passed') count.passed++
        else if (state === 'skipped') count.skipped++
        else failedInside++ // failed, or never finished
      }
      // a module can fail with no failed test in it: it did not load, or a hook of it failed
      count.failed += failedInside === 0 && !module.ok() ? 1 : failedInside
    }
    this.#line = `${count.passed} passed, ${count.failed} failed${count.skipped > 0 ? `, ${count.skipped} skipped` : ''}`
  }
}
