/**
 * In every test process an unhandled rejection, an uncaught exception or a process warning fails the test during which
 * it happened. Vitest alone would fail only the run as a whole for the first two, and say nothing about warnings, which
 * is how listener leaks and uses of deprecated functions would pass.
 */
import { afterAll, afterEach, expect } from 'vitest'

const faults: string[] = []

function describeFault(fault: unknown): string {
  return fault instanceof Error ? (fault.stack ?? String(fault)) : String(fault)
}

function onRejection(reason: unknown): void {
  faults.push(`unhandled rejection: ${describeFault(reason)}`)
}

function onException(error: Error): void {
  faults.push(`uncaught exception: ${describeFault(error)}`)
}

function onWarning(warning: Error): void {
  faults.push(`process warning: ${describeFault(warning)}`)
}

process.on('unhandledRejection', onRejection)
process.on('uncaughtExceptionMonitor', onException)
process.on('warning', onWarning)

// Taken now: a test may put fake timers in its place.
const { setImmediate } = globalThis

/** Node reports rejections and warnings after the microtasks of the test have run, so it is given that moment. */
async function expectNoFaults(): Promise<void> {
  await new Promise<void>((resolve) => setImmediate(resolve))
  expect(faults.splice(0), 'faults that nobody handled').toEqual([])
}

afterEach(expectNoFaults)
afterAll(async () => {
  await expectNoFaults()
  // What comes later belongs to no test of this file: without a listener Vitest fails the run for it.
  process.off('unhandledRejection', onRejection)
  process.off('uncaughtExceptionMonitor', onException)
  process.off('warning', onWarning)
})
