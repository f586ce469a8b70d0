/**
 * Fail the k-th call, for storages: a few small histories of processes are played as they are, counting the calls of each
 * kind; then once more for every call and every way in which it can fail. Whatever fails, what is promised of a durable
 * queue has to hold: nothing that was accepted is lost, nothing is told that is not written, and everything comes to its end.
 */
import type { Available } from '../options.js'
import { drawOptions } from '../options.js'
import { DurableWorld } from './durable-world.js'
import { type DurableOptions, drawDurable } from './options.js'
import {
  STORAGE_CALLS,
  STORAGE_MODES,
  type StorageCall,
  StorageCalls,
  type StorageFault,
  type StorageFaultMode,
} from './storage-calls.js'

export type StorageSweepSettings = {
  readonly print: (line: string) => void
  readonly available: Available
  /** Number of a history, then call, k and mode of one case, to play that alone. Default all. */
  readonly wanted?: readonly string[] | undefined
  /** Every so many cases one is played. Default 1, all of them. */
  readonly every?: number | undefined
}

/** So many seeds have their lanes and traffic played, as small as shows something. */
const HISTORIES = 6
const COMMANDS = 10
/** Longer bodies make histories of many timers, and show no more. */
const LONGEST_BODY_MS = 100
const MOST_PRINTED = 20

type Played = { readonly violations: readonly string[]; readonly calls: StorageCalls }

/** Plays them all; whether nothing was violated. */
export async function runStorageSweep(settings: StorageSweepSettings): Promise<boolean> {
  const { print, wanted = [], every = 1 } = settings
  const [history, call, k, mode = 'fails'] = wanted
  const histories = history === undefined || history === '' ? chooseHistories(settings.available) : [Number(history)]
  const sum = { cases: 0, violated: 0 }
  const reached = new Set<StorageCall>()
  for (const seed of histories) {
    if (call === undefined) await sweepHistory(seed, settings, every, { sum, reached })
    else {
      const fault = { call: call as StorageCall, k: Number(k), mode: mode as StorageFaultMode }
      const { violations } = await play(optionsOf(seed, settings.available), fault)
      print(describe(seed, fault, violations))
      sum.violated += violations.length
    }
  }
  if (call !== undefined) return sum.violated === 0
  const missed = every > 1 || histories.length === 1 ? [] : STORAGE_CALLS.filter((one) => !reached.has(one))
  if (missed.length > 0) print(`never called: ${missed.join(', ')}`)
  print(`storage sweep: ${sum.cases} cases, ${sum.violated} violated`)
  return sum.violated === 0 && missed.length === 0
}

type Sums = { readonly sum: { cases: number; violated: number }; readonly reached: Set<StorageCall> }

async function sweepHistory(
  seed: number,
  { print, available }: StorageSweepSettings,
  every: number,
  { sum, reached }: Sums,
): Promise<void> {
  const options = optionsOf(seed, available)
  const clean = await play(options)
  const { counts } = clean.calls
  sum.cases++
  const note = (fault: StorageFault | undefined, violations: readonly string[]): void => {
    if (violations.length === 0) return
    if (sum.violated++ < MOST_PRINTED) print(describe(seed, fault, violations))
  }
  note(undefined, clean.violations)
  for (const call of STORAGE_CALLS) if (counts[call] > 0) reached.add(call)
  let n = 0
  for (const fault of faultsOf(counts)) {
    if (n++ % every !== 0) continue
    const { violations, calls } = await play(options, fault)
    sum.cases++
    note(fault, calls.hits === 0 ? [...violations, 'the call that was to fail was never made'] : violations)
  }
  const row = STORAGE_CALLS.map((call) => `${call} ${counts[call]}`).join(', ')
  print(`history ${seed}: ${row}`)
}

function* faultsOf(counts: Readonly<Record<StorageCall, number>>): Generator<StorageFault> {
  for (const call of STORAGE_CALLS) {
    for (const mode of STORAGE_MODES[call]) for (let k = 1; k <= counts[call]; k++) yield { call, k, mode }
  }
}

/** Seeds of short bodies, with dead letters to be kept. */
function chooseHistories(available: Available): number[] {
  const chosen: number[] = []
  for (let seed = 0; chosen.length < HISTORIES; seed++) {
    const { bodyMs, deadLetters } = drawOptions(seed, available, COMMANDS)
    if (bodyMs <= LONGEST_BODY_MS && deadLetters > 0) chosen.push(seed)
  }
  return chosen
}

/** A quiet disk, and one crash and one close in the middle of the work: the only fault is the planted one. */
function optionsOf(seed: number, available: Available): DurableOptions {
  const options = drawDurable(drawOptions(seed, available, COMMANDS), true) as DurableOptions
  const calm = { failing: 0, unknown: 0, hanging: 0, breaking: 0, armed: 0, ephemeral: 0 }
  const isSync = seed % 2 === 0
  return {
    ...options,
    durable: {
      ...options.durable,
      ...calm,
      writeMs: isSync ? 0 : 1,
      writesAtOnce: 1,
      window: 1,
      crashes: 1,
      closes: 1,
      downMs: 0,
    },
  }
}

async function play(options: DurableOptions, fault?: StorageFault): Promise<Played> {
  const calls = new StorageCalls(fault)
  const world = new DurableWorld(options, calls)
  const report = (reason: unknown): void => world.report('I22', `unhandled: ${String(reason)}`)
  const before = process.listeners('unhandledRejection')
  process.removeAllListeners('unhandledRejection')
  process.on('unhandledRejection', report)
  try {
    await world.run()
    await new Promise((resolve) => setImmediate(resolve))
  } catch (error) {
    world.report('I22', `thrown: ${error instanceof Error ? (error.stack ?? '') : String(error)}`)
  } finally {
    process.off('unhandledRejection', report)
    for (const listener of before) process.on('unhandledRejection', listener)
  }
  return { calls, violations: world.violations.map(({ invariant, text, at }) => `${invariant} at ${at} ms: ${text}`) }
}

function describe(seed: number, fault: StorageFault | undefined, violations: readonly string[]): string {
  const which = fault === undefined ? '' : ` ${fault.call} ${fault.k} ${fault.mode}`
  if (violations.length === 0) return `history ${seed}${which}: nothing is violated`
  return `history ${seed}${which}:\n${violations.map((text) => `    ${text}`).join('\n')}`
}
