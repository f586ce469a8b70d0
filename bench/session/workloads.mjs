// @ts-check
/**
 * What the suite `session` measures: what lanes cost a tool call, what they give to eight reads, and how soon a cancelled
 * session has stopped. Subjects: `lane`, a session with its queue; `direct`, the same session without one; `bare`, the
 * tools called by hand.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Agent } from '@a3s-lab/lane/agent'
import { SessionQueue } from '@a3s-lab/lane/session'

/** @typedef {{ warmUpMs: number, measureMs: number, samples: number }} SessionSettings */

/**
 * @typedef {object} SessionWorkload
 * @property {string} id
 * @property {string} title
 * @property {import('../workloads/workload.mjs').Figure[]} figures
 * @property {string[]} subjects
 * @property {(subject: string, settings: SessionSettings) => Promise<Record<string, number>>} measure
 */

const READS = 8
/** How long a slow disk or a network drive takes for a file. */
const FILE_MS = 5
const COMMANDS = 10

/** @type {import('../workloads/workload.mjs').Figure[]} */
const perCall = [{ key: 'us', label: 'µs per call', better: 'less' }]

/** @type {SessionWorkload[]} */
export const sessionWorkloads = [
  {
    id: 'Q1',
    title: 'eight reads per turn, by a tool that does nothing',
    figures: perCall,
    subjects: ['lane', 'direct', 'bare'],
    measure: (subject, settings) => costOf(subject, settings, callsOf('read', READS)),
  },
  {
    id: 'Q2',
    title: 'one write per turn, by a tool that does nothing',
    figures: perCall,
    subjects: ['lane', 'direct', 'bare'],
    measure: (subject, settings) => costOf(subject, settings, callsOf('write', 1)),
  },
  {
    id: 'Q3',
    title: `a turn of eight reads of files that take ${FILE_MS} ms each`,
    figures: [{ key: 'ms', label: 'ms per turn', better: 'less' }],
    subjects: ['lane', 'direct'],
    measure: readSlowFiles,
  },
  {
    id: 'Q4',
    title: `from cancel() to everything stopped: ${COMMANDS} shell commands with children`,
    figures: [
      { key: 'p50', label: 'p50 ms', better: 'less' },
      { key: 'p99', label: 'p99 ms', better: 'less' },
    ],
    subjects: ['lane'],
    measure: stopCommands,
  },
]

/**
 * @param {string} name
 * @param {number} count
 */
const callsOf = (name, count) =>
  Array.from({ length: count }, (_, index) => ({ id: `${index}`, name, args: { path: 'a' } }))

/**
 * @param {string} subject
 * @param {(name: string) => unknown} execute
 */
const sessionOf = (subject, execute) =>
  new SessionQueue(subject === 'direct' ? { queueConfig: false, execute } : { execute })

/**
 * @param {string} subject
 * @param {SessionSettings} settings
 * @param {{ id: string, name: string, args: object }[]} calls
 */
async function costOf(subject, { warmUpMs, measureMs }, calls) {
  const execute = async () => ({ output: '', exit_code: 0 })
  const session = sessionOf(subject, execute)
  const turn =
    subject === 'bare'
      ? async () => {
          for (const _ of calls) await execute()
        }
      : () => session.runToolCalls(calls)
  await turnsFor(turn, warmUpMs)
  const { turns, ms } = await turnsFor(turn, measureMs)
  return { us: (ms * 1000) / (turns * calls.length) }
}

/**
 * @param {() => Promise<unknown>} turn
 * @param {number} durationMs
 */
async function turnsFor(turn, durationMs) {
  const since = performance.now()
  let turns = 0
  do {
    for (let index = 0; index < 50; index++) await turn()
    turns += 50
  } while (performance.now() - since < durationMs)
  return { turns, ms: performance.now() - since }
}

/**
 * @param {string} subject
 * @param {SessionSettings} settings
 */
async function readSlowFiles(subject, { samples }) {
  const folder = mkdtempSync(join(tmpdir(), 'lane-bench-'))
  writeFileSync(join(folder, 'a'), 'text\n'.repeat(1000))
  const session = sessionOf(subject, async () => {
    await sleep(FILE_MS)
    return { output: await readFile(join(folder, 'a'), 'utf8') }
  })
  const calls = callsOf('read', READS)
  await session.runToolCalls(calls)
  const since = performance.now()
  for (let index = 0; index < samples; index++) await session.runToolCalls(calls)
  const ms = (performance.now() - since) / samples
  rmSync(folder, { recursive: true })
  return { ms }
}

/**
 * @param {string} _
 * @param {SessionSettings} settings
 */
async function stopCommands(_, { samples }) {
  const folder = mkdtempSync(join(tmpdir(), 'lane-bench-'))
  const providers = [{ name: 'none', baseUrl: 'http://127.0.0.1:9/v1', models: [{ id: 'none' }] }]
  const agent = await Agent.create({ defaultModel: 'none/none', providers })
  const session = agent.session(folder, { permissive: true, queueConfig: { executeMaxConcurrency: COMMANDS } })
  /** @type {number[]} */
  const times = []
  for (let index = 0; index < samples; index++) {
    const command = 'sleep 60 & sleep 60 | cat & echo begun; wait'
    const runs = Array.from({ length: COMMANDS }, () => session.submit('execute', { command }).catch(() => undefined))
    while ((await session.queueStats()).totalActive < COMMANDS) await sleep(5)
    await sleep(60) // the shells have their children
    const { stoppedAfterMs, unstopped } = await session.cancel({ scope: 'session' })
    if (stoppedAfterMs === undefined) throw new Error(`${unstopped.length} commands did not stop`)
    times.push(stoppedAfterMs)
    await Promise.all(runs)
  }
  await session.close()
  rmSync(folder, { recursive: true })
  times.sort((left, right) => left - right)
  const at = (/** @type {number} */ share) =>
    times[Math.min(times.length - 1, Math.floor(times.length * share))] ?? Number.NaN
  return { p50: at(0.5), p99: at(0.99) }
}
