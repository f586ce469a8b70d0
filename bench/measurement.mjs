// @ts-check
/** Starts the process of one measurement and reads its figures. */
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { BenchError, FAILED } from './bench-error.mjs'

const ownScript = fileURLToPath(new URL('measure.mjs', import.meta.url))

/** A measurement that has not ended by then hangs. */
const LIMIT_MS = 300_000

/**
 * @typedef {object} Measurement
 * @property {string} workload
 * @property {string} subject
 * @property {import('./workloads/workload.mjs').Settings} settings
 * @property {string} [side]  of a workload that has sides
 * @property {boolean} [allocations]  what the workload's commands allocate, instead of its figures
 */

/**
 * Of the suite `storage`.
 *
 * @typedef {object} StorageMeasurement
 * @property {string} workload
 * @property {string} subject
 * @property {import('./storage/workloads.mjs').StorageSettings} settings
 * @property {string} [filled]  the file in which commands wait
 * @property {boolean} [fill]  makes that file, instead of measuring
 */

/**
 * Of the suite `session`.
 *
 * @typedef {object} SessionMeasurement
 * @property {string} workload
 * @property {string} subject
 * @property {import('./session/workloads.mjs').SessionSettings} settings
 */

/**
 * Of the suite `engine`.
 *
 * @typedef {object} EngineMeasurement
 * @property {string} workload
 * @property {string} subject
 * @property {import('./engine/workloads.mjs').EngineSettings} settings
 */

/**
 * @param {Measurement | StorageMeasurement | SessionMeasurement | EngineMeasurement} measurement
 * @param {{ nodeOptions?: readonly string[], script?: string }} [how]  `script`: another suite's or tree's `measure.mjs`
 * @returns {Promise<Record<string, number>>} its figures
 */
export async function measure(measurement, { nodeOptions = [], script = ownScript } = {}) {
  const { stdout, stderr, ending } = await output([...nodeOptions, '--expose-gc', script, JSON.stringify(measurement)])
  const figures = ending === undefined ? parsed(stdout) : undefined
  if (figures !== undefined) return figures
  const how = ending ?? 'printed no figures'
  throw new BenchError(`${measurement.workload} of ${measurement.subject} ${how}.\n${stderr}`.trimEnd(), {
    exitCode: FAILED,
  })
}

/** @param {string} stdout */
function parsed(stdout) {
  const last = stdout.trimEnd().split('\n').at(-1)
  return last?.startsWith('{') === true ? JSON.parse(last) : undefined
}

/**
 * @param {string[]} args
 * @returns {Promise<{ stdout: string, stderr: string, ending: string | undefined }>} `ending`: how it failed
 */
function output(args) {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'], timeout: LIMIT_MS })
    const text = { stdout: '', stderr: '' }
    child.stdout.setEncoding('utf8').on('data', (chunk) => {
      text.stdout += chunk
    })
    child.stderr.setEncoding('utf8').on('data', (chunk) => {
      text.stderr += chunk
    })
    child.on('error', reject)
    child.on('close', (code, signal) => {
      const failed = signal === null ? `failed with exit code ${code}` : `was ended by ${signal}`
      resolve({ ...text, ending: code === 0 ? undefined : failed })
    })
  })
}
