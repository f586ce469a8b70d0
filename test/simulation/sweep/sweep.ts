/**
 * Fail the k-th call. Each scenario is played once as it is, which counts the calls that the queue makes to its clock, its
 * random numbers and the code of users; then once more for every call and every way in which that call can fail. Whatever
 * fails, what `judge` says has to hold.
 *
 * Everything is deterministic, so the calls before the k-th are the same each time, and the k-th is really reached.
 */
import { CallSites, type StaticSites } from './call-sites.js'
import { type CallKind, Calls, type Fault, type FaultMode, isService, KINDS, MODES } from './calls.js'
import { judge } from './judge.js'
import type { Scenario } from './scenario.js'
import * as all from './scenarios/index.js'
import { Stage } from './stage.js'

const scenarios: readonly Scenario[] = Object.values(all)

export type SweepSettings = {
  readonly print: (line: string) => void
  /** A part of a scenario's name; then kind, k and mode of one call, to play that case alone. Default all. */
  readonly wanted?: readonly string[] | undefined
  /** Every so many cases one is played: less than the whole for a quick look. Default 1, all of them. */
  readonly every?: number | undefined
  /** Where the queue's code calls what was handed to it: each of these places has to be reached. */
  readonly sites?: StaticSites | undefined
}

type CaseResult = {
  readonly scenario: string
  readonly fault: Fault | undefined
  readonly violations: readonly string[]
}

type Row = { readonly counts: Record<CallKind, number>; readonly violated: CaseResult[]; cases: number }

/** Violated cases that are printed in full. */
const MOST_PRINTED = 20

/** Plays them all; whether nothing was violated. */
export async function runSweep({ print, wanted = [], every = 1, sites }: SweepSettings): Promise<boolean> {
  const [name = '', kind, k, mode = 'throws'] = wanted
  const chosen = scenarios.filter((scenario) => scenario.name.includes(name))
  if (chosen.length === 0) throw new Error(`no scenario has '${name}' in its name`)
  if (kind !== undefined)
    return playOne(chosen, { kind: kind as CallKind, k: Number(k), mode: mode as FaultMode }, print)
  const reached = new CallSites(name === '' ? sites : undefined)
  const violated: CaseResult[] = []
  let cases = 0
  print(head())
  for (const scenario of chosen) {
    const row = await sweepScenario(scenario, every, reached)
    print(rowText(scenario.name, row))
    violated.push(...row.violated)
    cases += row.cases
  }
  for (const result of violated.slice(0, MOST_PRINTED)) print(describe(result))
  if (violated.length > MOST_PRINTED) print(`… and ${violated.length - MOST_PRINTED} more`)
  const missed = reached.missed()
  for (const site of missed) print(`never called: ${site}`)
  print(`sweep: ${cases} cases, ${violated.length} violated${reached.summary()}`)
  return violated.length === 0 && missed.length === 0
}

/** One case again. */
async function playOne(chosen: readonly Scenario[], fault: Fault, print: SweepSettings['print']): Promise<boolean> {
  const results: CaseResult[] = []
  for (const scenario of chosen) results.push(await playCase(scenario, new Calls(fault)))
  for (const result of results) print(describe(result))
  return results.every(({ violations }) => violations.length === 0)
}

async function sweepScenario(scenario: Scenario, every: number, reached: CallSites): Promise<Row> {
  const clean = new Calls(undefined, reached.isWanted)
  const first = await playCase(scenario, clean)
  reached.add(clean.sites ?? [])
  const row: Row = { counts: { ...clean.counts }, violated: first.violations.length > 0 ? [first] : [], cases: 1 }
  if (row.violated.length > 0) return row
  let n = 0
  for (const kind of KINDS) {
    for (const mode of MODES[kind]) {
      for (let k = 1; k <= row.counts[kind]; k++) {
        if (n++ % every !== 0) continue
        const result = await playCase(scenario, new Calls({ kind, k, mode }))
        row.cases++
        if (result.violations.length > 0) row.violated.push(result)
      }
    }
  }
  return row
}

/** Plays one case in a process that listens for what nobody catches. */
async function playCase(scenario: Scenario, calls: Calls): Promise<CaseResult> {
  const escaped: unknown[] = []
  const release = listen((error) => escaped.push(error))
  const result = (violations: readonly string[]): CaseResult => ({
    scenario: scenario.name,
    fault: calls.fault,
    violations,
  })
  const { stackTraceLimit } = Error
  try {
    Error.stackTraceLimit = calls.sites === undefined ? 4 : stackTraceLimit
    const stage = construct(scenario, calls)
    if (stage === undefined) return result([])
    await scenario.play(stage)
    const violations = await judge(stage)
    violations.push(...escaped.map((error) => `nobody handled: ${textOf(error)}`))
    if (calls.fault === undefined) violations.push(...missing(scenario, stage))
    return result([...new Set(violations)])
  } catch (error) {
    return result([`the script itself failed: ${textOf(error)}`, ...escaped.map(textOf)])
  } finally {
    Error.stackTraceLimit = stackTraceLimit
    release()
  }
}

/** The stage; undefined when its constructor threw the planted fault of a service, as it may. */
function construct(scenario: Scenario, calls: Calls): Stage | undefined {
  try {
    return new Stage(scenario.options(), calls)
  } catch (error) {
    if (error === calls.error && calls.fault !== undefined && isService(calls.fault.kind)) return undefined
    throw error
  }
}

/** What the scenario was to show and did not. */
const missing = ({ shows }: Scenario, { ledger }: Stage): string[] =>
  shows.filter((key) => !ledger.keys.has(key)).map((key) => `the scenario does not show ${key}`)

/** Takes the process's faults over from whoever listens, so that a planted one ends nothing. */
function listen(report: (error: unknown) => void): () => void {
  const events = ['unhandledRejection', 'uncaughtException'] as const
  const before = events.map((event) => process.listeners(event as 'uncaughtException'))
  for (const event of events) {
    process.removeAllListeners(event)
    process.on(event, report)
  }
  return () => {
    for (const [n, event] of events.entries()) {
      process.removeAllListeners(event)
      for (const listener of before[n] ?? []) process.on(event as 'uncaughtException', listener)
    }
  }
}

const SHORT: Readonly<Record<CallKind, string>> = {
  'clock.now': 'now',
  'clock.wallNow': 'wall',
  'clock.setTimer': 'set',
  'clock.clearTimer': 'clear',
  'random.next': 'random',
  handler: 'handler',
  schema: 'schema',
  filter: 'filter',
  reader: 'reader',
  onFault: 'onFault',
  accessor: 'access',
}

const WIDTH = 42

const columns = (cells: readonly (string | number)[]): string => cells.map((cell) => String(cell).padStart(9)).join('')

const head = (): string =>
  'scenario'.padEnd(WIDTH) + columns([...KINDS.map((kind) => SHORT[kind]), 'cases', 'violated'])

const rowText = (name: string, { counts, cases, violated }: Row): string =>
  name.padEnd(WIDTH) + columns([...KINDS.map((kind) => counts[kind]), cases, violated.length])

function describe({ scenario, fault, violations }: CaseResult): string {
  const which = fault === undefined ? '' : ` ${fault.kind} ${fault.k} ${fault.mode}`
  if (violations.length === 0) return `'${scenario}'${which}: nothing is violated`
  return `'${scenario}'${which}:\n${violations.map((text) => `    ${text.replaceAll('\n', '\n      ')}`).join('\n')}`
}

const textOf = (error: unknown): string => (error instanceof Error ? (error.stack ?? String(error)) : String(error))
