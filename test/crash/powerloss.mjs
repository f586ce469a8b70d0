/**
 * `npm run powerloss`: what a power failure at any moment may leave, judged over many crash images.
 *
 *   npm run powerloss -- --images 5000 [--seed N]
 *   npm run powerloss -- --seed N --subject NAME --image N    one image again
 *   --keep FOLDER                                             leaves bad images there, controls' too
 *
 * The exit code is 1 when something that must survive did not, or a control lost nothing. Without Linux and a C compiler
 * it is skipped, which in CI is a failure.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import { buildPrograms, newMemoryFolder, newProgramFolder } from './programs.mjs'

const { values } = parseArgs({
  options: {
    images: { type: 'string', default: '5000' },
    seed: { type: 'string' },
    subject: { type: 'string', default: '' },
    image: { type: 'string' },
    keep: { type: 'string' },
  },
})

const programs = newProgramFolder()
const memory = newMemoryFolder()
const workplace = mkdtempSync(join(tmpdir(), 'lane-powerloss-'))
try {
  await buildPrograms(programs)
  /** @type {typeof import('./main.js')} */
  const { runPowerLoss, whyNoRecorder, buildRecorder } = await import(pathToFileURL(join(programs, 'main.mjs')).href)
  const why = whyNoRecorder()
  if (why === undefined) {
    const isRight = await runPowerLoss({
      place: { library: buildRecorder(workplace), workplace, memory, kept: values.keep },
      programs,
      images: Number(values.images),
      seed: Number(values.seed ?? Date.now() % 1_000_000),
      only: values.image === undefined ? undefined : Number(values.image),
      wanted: values.subject,
      print: (/** @type {string} */ line) => process.stdout.write(`${line}\n`),
    })
    process.exitCode = isRight ? 0 : 1
  } else {
    process.stdout.write(`powerloss: skipped, ${why}\n`)
    process.exitCode = process.env['CI'] === undefined ? 0 : 1
  }
} finally {
  for (const folder of [programs, memory, workplace]) rmSync(folder, { recursive: true, force: true })
}
