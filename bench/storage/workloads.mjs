// @ts-check
/**
 * D1 and S1 to S7: what durable commands cost. Commits that are synced and commits that are not never stand in one row, but for
 * S2, whose title says so. A measurement calibrates itself: it runs bursts until it is warm, works out how many commands take
 * `measureMs`, and runs those in one go.
 */
import { closeSync, copyFileSync, fdatasyncSync, fsyncSync, openSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { percentile } from '../workloads/latency.mjs'
import { ownFolder } from './folder.mjs'
import { inSteps } from './subjects/sqlite.mjs'

/** @typedef {import('./subjects/subject.mjs').StorageSubject} StorageSubject */
/** @typedef {import('./subjects/subject.mjs').Opened} Opened */

/**
 * @typedef {object} StorageSettings
 * @property {number} warmUpMs
 * @property {number} measureMs
 * @property {number} waiting  commands that wait in the file of S5
 */

/**
 * @typedef {object} StorageWorkload
 * @property {string} id
 * @property {string} title
 * @property {string[]} subjects
 * @property {import('../workloads/workload.mjs').Figure[]} figures
 * @property {string[]} [ungraded]  subjects that no goal depends on: a quick run measures them in its first round only
 * @property {boolean} [isFilled]  a file is made before the rounds, by a process of its own; each measurement has a copy of it
 * @property {(subject: StorageSubject, settings: StorageSettings, filled: string | undefined) => Promise<Record<string, number>>} measure
 */

const MANY = 1000
const FIRST_BURST = 2000
const BURST_AT_ONCE = 100_000
const APPENDS = 200
const PAGE = 4096

/** The resolution of the histogram is part of what it tells. */
const RESOLUTION_MS = 1

/** @param {import('./subjects/subject.mjs').Place['isSynced']} isSynced  @param {number} inFlight */
const place = (isSynced, inFlight) => ({ path: join(ownFolder(), 'bench.db'), isSynced, inFlight })

/**
 * @param {() => Promise<unknown>} work
 * @returns {Promise<number>} milliseconds
 */
async function timeOf(work) {
  const startedAt = performance.now()
  await work()
  return performance.now() - startedAt
}

/**
 * Warm, and so many commands that they take the time asked for.
 *
 * @param {Opened} opened
 * @param {number} first  commands of the first burst
 * @param {StorageSettings} settings
 */
async function calibrated({ run }, first, { warmUpMs, measureMs }) {
  let spentMs = 0
  for (let next = first; ; ) {
    const count = next
    const tookMs = await timeOf(() => run(count))
    spentMs += tookMs
    if (spentMs >= warmUpMs) return Math.ceil((count * measureMs) / tookMs)
    next = Math.ceil((count * Math.min(4, (warmUpMs * 0.6) / tookMs)) / first) * first
  }
}

/**
 * @param {boolean} isSynced
 * @param {number} inFlight
 * @returns {StorageWorkload['measure']}
 */
const paceOf = (isSynced, inFlight) => async (subject, settings) => {
  const opened = await subject.open(place(isSynced, inFlight))
  // one at a time the engine compiles what is run only after seconds: each subject is given them
  const warm = inFlight === 1 ? { ...settings, warmUpMs: 4 * settings.warmUpMs } : settings
  const count = await calibrated(opened, inFlight === 1 ? 20 : FIRST_BURST, warm)
  const cpuBefore = process.cpuUsage()
  const tookMs = await timeOf(() => opened.run(count))
  const { user, system } = process.cpuUsage(cpuBefore)
  return { rate: (count * 1000) / tookMs, cpu: (user + system) / count }
}

/**
 * How late the event loop is while something runs: every millisecond a timer is due, and what it is late by is noted.
 *
 * @param {() => Promise<unknown>} work
 */
async function delaysWhile(work) {
  const delays = monitorEventLoopDelay({ resolution: RESOLUTION_MS })
  delays.enable()
  await work()
  // a timer that is overdue counts too: the work may never have left the loop any time
  await new Promise((resolve) => setTimeout(resolve, 2 * RESOLUTION_MS))
  delays.disable()
  const ms = (/** @type {number} */ ns) => Math.max(0, ns / 1e6 - RESOLUTION_MS)
  return { p50: ms(delays.percentile(50)), p99: ms(delays.percentile(99)), max: ms(delays.max) }
}

/** @type {StorageWorkload['measure']} */
async function delaysUnderLoad(subject, settings) {
  const opened = await subject.open(place(true, MANY))
  const count = await calibrated(opened, FIRST_BURST, settings)
  return delaysWhile(() => opened.run(count))
}

/**
 * The stretch of code that submits is the caller's own and not counted: the look begins in the next turn of the loop.
 *
 * @type {StorageWorkload['measure']}
 */
async function delaysAfterBurst(subject) {
  if (subject.accept === undefined) throw new Error(`${subject.name} cannot say when it has accepted`)
  await subject.accept(place(true, MANY), MANY)
  const accepted = subject.accept(place(true, MANY), BURST_AT_ONCE)
  await new Promise((resolve) => setImmediate(resolve))
  return delaysWhile(() => accepted)
}

/** @type {StorageWorkload['measure']} */
async function firstStartOf(subject, _settings, filled) {
  if (subject.firstStart === undefined || filled === undefined) throw new Error(`${subject.name} opens no file`)
  const { path } = place(true, 1)
  copyFileSync(filled, path)
  const file = openSync(path, 'r+')
  fsyncSync(file)
  closeSync(file)
  const { firstStart } = subject
  return { ms: await timeOf(() => firstStart(path)) }
}

/** @type {StorageWorkload['measure']} */
async function diskOf() {
  const file = openSync(join(ownFolder(), 'append'), 'a')
  const page = Buffer.alloc(PAGE, 1)
  const appends = []
  for (let i = 0; i < APPENDS; i++) {
    const startedAt = performance.now()
    writeSync(file, page)
    fdatasyncSync(file)
    appends.push((performance.now() - startedAt) * 1000)
  }
  const { run } = await inSteps('sqlite', 1).open(place(true, 1))
  const commits = []
  for (let i = 0; i < APPENDS; i++) commits.push(((await timeOf(() => run(1))) * 1000) / 2)
  return { append: percentile(appends, 0.5), commit: percentile(commits, 0.5), slow: percentile(commits, 0.99) }
}

/** @type {import('../workloads/workload.mjs').Figure[]} */
const pace = [
  { key: 'rate', label: 'commands per second', better: 'more' },
  { key: 'cpu', label: 'µs of processor time per command', better: 'less' },
]

const LIMITS = ['sqlite-1000-pipelined', 'sqlite-1000', 'sqlite-100-pipelined', 'sqlite-100']

/** @type {StorageWorkload[]} */
export const storageWorkloads = [
  {
    id: 'D1',
    title: 'the disk, nothing else',
    subjects: ['sqlite'],
    ungraded: ['sqlite'],
    figures: [
      { key: 'append', label: 'µs to append 4 KiB with fdatasync, median', better: 'less' },
      { key: 'commit', label: 'µs of a synced commit of SQLite, median', better: 'less' },
      { key: 'slow', label: 'µs of a synced commit, 99th percentile', better: 'less' },
    ],
    measure: diskOf,
  },
  {
    id: 'S1',
    title: '1,000 in flight, every commit synced',
    subjects: ['lane', ...LIMITS, 'lmdb'],
    ungraded: [...LIMITS, 'lmdb'],
    figures: pace,
    measure: paceOf(true, MANY),
  },
  {
    id: 'S2',
    title: '1,000 in flight, lane synced, plainjob not',
    subjects: ['lane', 'plainjob'],
    figures: pace,
    measure: (subject, settings, filled) => paceOf(subject.name !== 'plainjob', MANY)(subject, settings, filled),
  },
  {
    id: 'S3',
    title: 'one at a time, every commit synced',
    subjects: ['lane', 'sqlite', 'lmdb'],
    ungraded: ['lmdb'],
    figures: pace,
    measure: paceOf(true, 1),
  },
  {
    id: 'S4',
    title: '1,000 in flight, no commit synced',
    subjects: ['lane', ...LIMITS, 'plainjob', 'lmdb'],
    ungraded: [...LIMITS, 'plainjob', 'lmdb'],
    figures: pace,
    measure: paceOf(false, MANY),
  },
  {
    id: 'S5',
    title: 'open to the first start, a million waiting',
    subjects: ['lane', 'plainjob'],
    ungraded: ['plainjob'],
    figures: [{ key: 'ms', label: 'ms', better: 'less' }],
    isFilled: true,
    measure: firstStartOf,
  },
  {
    id: 'S6',
    title: 'how late the event loop is under S1',
    subjects: ['lane'],
    figures: [
      { key: 'p50', label: 'ms, median', better: 'less' },
      { key: 'p99', label: 'ms, 99th percentile', better: 'less' },
      { key: 'max', label: 'ms, longest', better: 'less' },
    ],
    measure: delaysUnderLoad,
  },
  {
    id: 'S7',
    title: 'how late the event loop is while 100,000 submitted at once are written, synced',
    subjects: ['lane'],
    ungraded: ['lane'],
    figures: [
      { key: 'p99', label: 'ms, 99th percentile', better: 'less' },
      { key: 'max', label: 'ms, longest', better: 'less' },
    ],
    measure: delaysAfterBurst,
  },
  {
    id: 'S8',
    title: 'one at a time, no commit synced',
    subjects: ['lane', 'sqlite', 'lmdb'],
    ungraded: ['lane', 'sqlite', 'lmdb'],
    figures: pace,
    measure: paceOf(false, 1),
  },
]
