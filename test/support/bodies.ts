/** Bodies that take virtual time and stop when their signal aborts, as a well-behaved handler does; and what they noted. */
import type { CommandContext, FunctionCommand } from '@a3s-lab/lane'
import type { Setup } from './setup.js'

/** Waits in virtual time; rejects with the signal's reason as soon as that aborts. */
export function napping(t: Pick<Setup, 'clock'>, ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = (): void => {
      t.clock.clearTimer(timer)
      reject(signal.reason)
    }
    const timer = t.clock.setTimer(ms, () => {
      signal.removeEventListener('abort', stop)
      resolve()
    })
    if (signal.aborted) stop()
    else signal.addEventListener('abort', stop, { once: true })
  })
}

/** Writes its name down whenever it starts, takes its time, and stops at once when it is asked to. */
export function stopping(t: Pick<Setup, 'clock' | 'notes'>, name: string, ms: number): FunctionCommand<string> {
  return async ({ signal }) => {
    t.notes.push(name)
    await napping(t, ms, signal)
    return name
  }
}

/** The same, but once asked to stop it takes that long to do so. */
export function slowToStop(t: Setup, name: string, ms: number, stopMs: number): FunctionCommand<string> {
  return async ({ signal }) => {
    t.notes.push(name)
    try {
      await napping(t, ms, signal)
    } catch (reason) {
      await t.sleep(stopMs)
      throw reason
    }
    return name
  }
}

/** Resolves with the reason when the signal aborts. */
export const aborted = ({ signal }: Pick<CommandContext, 'signal'>): Promise<unknown> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve(signal.reason)
    else signal.addEventListener('abort', () => resolve(signal.reason), { once: true })
  })

/** Names in alphabetical order, where the order in which they came says nothing. */
export const sorted = (names: readonly string[]): string[] => [...names].sort((a, b) => a.localeCompare(b))
