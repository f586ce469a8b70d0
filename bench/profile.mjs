// @ts-check
/** `--profile`: one measurement under the CPU profiler, and the functions that the time went to. */
import { mkdtempSync, readdirSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { BenchError, FAILED, USAGE } from './bench-error.mjs'
import { measure } from './measurement.mjs'
import { workloads } from './workloads/index.mjs'

/** Long enough for start and warm-up to be a small share. */
const settings = { warmUpMs: 500, measureMs: 3000, waiting: 1_000_000, samples: 1000 }
const INTERVAL_US = 200
const LINES = 30

const root = new URL('..', import.meta.url)

/**
 * @param {{ workloads: string[], subjects: string[], quick: boolean }} options
 * @returns {Promise<number>} the exit code
 */
export async function runProfile(options) {
  const [workload, ...moreWorkloads] = options.workloads
  const [subject, ...moreSubjects] = options.subjects
  if (workload === undefined || subject === undefined || moreWorkloads.length + moreSubjects.length > 0) {
    throw new BenchError('--profile takes one workload and one subject, such as --only W1 --subject lane.', {
      exitCode: USAGE,
    })
  }
  const folder = mkdtempSync(join(tmpdir(), 'lane-bench-'))
  const nodeOptions = ['--cpu-prof', `--cpu-prof-dir=${folder}`, `--cpu-prof-interval=${INTERVAL_US}`]
  const side = workloads.find(({ id }) => id === workload)?.sides?.at(-1)
  const figures = await measure(
    { workload, subject, settings, ...(side === undefined ? {} : { side }) },
    { nodeOptions },
  )
  const file = profileIn(folder)
  const lines = profileLines(JSON.parse(readFileSync(file, 'utf8')))
  const measured = Object.entries(figures).map(([key, value]) => `${key} ${value.toFixed(2)}`)
  process.stdout.write(`${workload} of ${subject}, profiled: ${measured.join(', ')}\n${lines.join('\n')}\n${file}\n`)
  return 0
}

/**
 * @param {string} folder
 * @returns {string} the profile of the main thread: its name ends in process id, thread id, sequence number
 */
function profileIn(folder) {
  const name = readdirSync(folder).find((file) => /\.\d+\.0\.\d+\.cpuprofile$/u.test(file))
  if (name === undefined) throw new BenchError('The profiler wrote nothing.', { exitCode: FAILED })
  return join(folder, name)
}

/**
 * @typedef {{ functionName: string, url: string, lineNumber: number }} Frame
 * @typedef {{ nodes: { id: number, callFrame: Frame }[], samples: number[], timeDeltas: number[] }} Profile
 */

/**
 * @param {Profile} profile
 * @returns {string[]} milliseconds, share and place of the functions with most time of their own
 */
function profileLines({ nodes, samples, timeDeltas }) {
  const places = new Map(nodes.map(({ id, callFrame }) => [id, placeOf(callFrame)]))
  /** @type {Map<string, number>} */
  const selfUs = new Map()
  let totalUs = 0
  for (const [index, id] of samples.entries()) {
    const place = places.get(id) ?? '(unknown)'
    const us = timeDeltas[index] ?? 0
    selfUs.set(place, (selfUs.get(place) ?? 0) + us)
    totalUs += us
  }
  const longest = [...selfUs].sort(([, left], [, right]) => right - left).slice(0, LINES)
  return longest.map(([place, us]) => {
    const ms = (us / 1000).toFixed(0).padStart(7)
    const share = ((us / totalUs) * 100).toFixed(1).padStart(6)
    return `${ms} ms ${share} %  ${place}`
  })
}

/** @param {Frame} frame */
function placeOf({ functionName, url, lineNumber }) {
  const name = functionName === '' ? '(anonymous)' : functionName
  if (url === '') return name
  const place = url.replace(root.href, '').replace(fileURLToPath(root), '')
  return `${name}  ${place}:${lineNumber + 1}`
}
