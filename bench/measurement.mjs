// @ts-check
/** Starts the process of one measurement and reads its figures. */
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { BenchError, FAILED } from './bench-error.mjs'

const script = fileURLToPath(new URL('measure.mjs', import.meta.url))

/** A measurement that has not ended by then hangs. */
const LIMIT_MS = 300_000

/** @typedef {{ workload: string, subject: string, settings: import('./workloads/workload.mjs').Settings }} Measurement */

/**
 * @param {Measurement} measurement
 * @param {string[]} [nodeOptions]
 * @returns {Promise<Record<string, number>>} its figures
 */
export async function measure(measurement, nodeOptions = []) {
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
