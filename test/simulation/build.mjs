/**
 * Bundles the simulation together with a src into one file, in a fraction of a second: workers start quickly, and a bug is
 * planted by replacing text while src is read, so that no copy of it has to be made.
 *
 * LANE_SIM_SRC names another src to simulate.
 */
import { mkdirSync, mkdtempSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { rolldown } from 'rolldown'
import { entryPoints, root } from '../../scripts/entry-points.mjs'

const source = process.env['LANE_SIM_SRC'] ?? join(root, 'src')

/** @typedef {import('./planted-bugs.mjs').PlantedBug} PlantedBug */

/** A folder for bundles, which the caller removes. */
export function newWorkplace() {
  mkdirSync(tmpdir(), { recursive: true })
  return mkdtempSync(join(tmpdir(), 'lane-sim-'))
}

/** How often a bug's text stands in its file. @param {PlantedBug} bug */
export const timesFound = (bug) => readFileSync(join(source, bug.file), 'utf8').split(bug.find).length - 1

/**
 * @param {string} file  where the bundle goes
 * @param {PlantedBug} [bug]
 * @returns {Promise<string>} the file
 */
export async function bundle(file, bug) {
  const planting = {
    name: 'planting',
    resolveId(/** @type {string} */ specifier) {
      const entry = entryPoints().find((one) => one.specifier === specifier)
      return entry === undefined ? null : join(source, relative('src', entry.source))
    },
    transform(/** @type {string} */ code, /** @type {string} */ id) {
      if (bug === undefined || relative(source, id) !== bug.file) return null
      return code.split(bug.find).join(bug.replace)
    },
  }
  const build = await rolldown({
    input: join(root, 'test/simulation/main.ts'),
    platform: 'node',
    // its paths would lead to the src beside it, whichever is asked for
    tsconfig: false,
    plugins: [planting],
    logLevel: 'silent',
  })
  await build.write({ file, format: 'esm' })
  await build.close()
  return file
}
