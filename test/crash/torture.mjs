/**
 * `npm run torture`: processes on one file, killed with SIGKILL one after the other, and their histories judged.
 *
 *   npm run torture -- --kills 200 [--seed N]
 *   npm run torture -- --control [NAME]    with something wrong on purpose: it has to be found
 *   npm run torture -- --keep              leaves the file and the histories where they are
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
    seed: { type: 'string' },
    control: { type: 'string' },
    keep: { type: 'boolean', default: false },
  },
})

const programs = newProgramFolder()
const workplace = mkdtempSync(join(tmpdir(), 'lane-torture-'))
try {
  await buildPrograms(programs)
  /** @type {typeof import('./main.js')} */
  const { buildRecorder, runTorture, whyNoRecorder } = await import(pathToFileURL(join(programs, 'main.mjs')).href)
  const why = whyNoRecorder()
  if (why !== undefined) process.stdout.write(`torture: no kills at disk calls, ${why}\n`)
  const isRight = await runTorture({
    programs,
    folder: join(workplace, 'data'),
    kills: Number(values.kills),
    seed: Number(values.seed ?? Date.now() % 1_000_000),
    fault: /** @type {import('./armed-storage.js').Fault | undefined} */ (values.control),
    library: why === undefined ? buildRecorder(workplace) : undefined,
    print: (/** @type {string} */ line) => process.stdout.write(`${line}\n`),
  })
  process.exitCode = isRight ? 0 : 1
} finally {
  rmSync(programs, { recursive: true, force: true })
  if (values.keep) process.stdout.write(`${workplace}\n`)
  else rmSync(workplace, { recursive: true, force: true })
}
