/**
 * `npm run torture`: processes on one file, killed with SIGKILL one after the other, and their histories judged.
 *
 *   npm run torture -- --kills 200 [--seed N]
 *   npm run torture -- --control [NAME]    with something wrong on purpose: it has to be found
 *   npm run torture -- --keep              leaves the file and the histories where they are
 *   npm run torture -- --engine bullmq     the same with processes that share lanes over a Redis server, which is killed too
 *                         [--server postgres]
 *   npm run torture -- --engine bullmq --traces 2000
 *                                          compares outcomes in process, on SQLite and over the server instead
 *
 * A seed draws what is submitted and how each process is ended; the moment at which a kill arrives is the machine's. The
 * exit code is 1 when something was found.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import { buildPrograms, newProgramFolder } from './programs.mjs'

const { values } = parseArgs({
  options: {
    kills: { type: 'string', default: '200' },
    engine: { type: 'string' },
    server: { type: 'string', default: 'redis' },
    traces: { type: 'string' },
    seed: { type: 'string' },
    control: { type: 'string' },
    keep: { type: 'boolean', default: false },
  },
})

if (values.engine !== undefined && values.engine !== 'bullmq') throw new Error('--engine knows bullmq')
if (!/^(redis|postgres)$/.test(values.server)) throw new Error('--server knows redis and postgres')

const programs = newProgramFolder()
const workplace = mkdtempSync(join(tmpdir(), 'lane-torture-'))
const seed = Number(values.seed ?? Date.now() % 1_000_000)
const print = (/** @type {string} */ line) => process.stdout.write(`${line}\n`)
try {
  await buildPrograms(programs)
  /** @type {typeof import('./main.js')} */
  const commands = await import(pathToFileURL(join(programs, 'main.mjs')).href)
  process.exitCode = (await run(commands)) ? 0 : 1
} finally {
  rmSync(programs, { recursive: true, force: true })
  if (values.keep) print(workplace)
  else rmSync(workplace, { recursive: true, force: true })
}

/** @param {typeof import('./main.js')} commands */
function run({ buildRecorder, runSharedTorture, runTorture, runTraces, whyNoRecorder }) {
  const kills = Number(values.kills)
  const folder = join(workplace, 'data')
  if (values.traces !== undefined)
    return runTraces({ count: Number(values.traces), firstSeed: Number(values.seed ?? 1), print })
  if (values.engine !== undefined) {
    const fault = /** @type {import('./faulty-engine.js').EngineFault | undefined} */ (values.control)
    const server = /** @type {import('./shared-torture.js').ServerKind} */ (values.server)
    return runSharedTorture({ programs, folder, kills, seed, server, fault, print })
  }
  const why = whyNoRecorder()
  if (why !== undefined) print(`torture: no kills at disk calls, ${why}`)
  const fault = /** @type {import('./armed-storage.js').Fault | undefined} */ (values.control)
  const library = why === undefined ? buildRecorder(workplace) : undefined
  return runTorture({ programs, folder, kills, seed, fault, library, print })
}
