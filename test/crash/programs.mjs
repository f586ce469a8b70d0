/**
 * The programs of this folder as files that Node runs, beside the built package, which they import as users do.
 */
import { existsSync, mkdirSync, mkdtempSync, readdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { rolldown } from 'rolldown'
import { root } from '../../scripts/entry-points.mjs'

/** A folder for programs: inside the project, so that they find its packages. The caller removes it. */
export function newProgramFolder() {
  mkdirSync(join(root, 'build'), { recursive: true })
  return mkdtempSync(join(root, 'build', 'crash-'))
}

/** A folder in memory where there is one, on the disk for temporary files elsewhere. The caller removes it. */
export function newMemoryFolder() {
  return mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'lane-images-'))
}

/** @param {string} folder @returns {Promise<string[]>} names of the programs, without extension */
export async function buildPrograms(folder) {
  const names = readdirSync(fileURLToPath(new URL('programs', import.meta.url))).map((name) =>
    name.replace(/\.ts$/, ''),
  )
  await Promise.all([
    ...names.map((name) => bundle(`programs/${name}.ts`, join(folder, `${name}.mjs`))),
    bundle('main.ts', join(folder, 'main.mjs')),
  ])
  return names
}

/** @param {string} program @param {string} file */
async function bundle(program, file) {
  const entryPoints = join(root, 'scripts/entry-points.mjs')
  const build = await rolldown({
    input: fileURLToPath(new URL(program, import.meta.url)),
    platform: 'node',
    // its paths would lead to src
    tsconfig: false,
    external: /^[@a-z]/,
    plugins: [
      {
        name: 'stays-where-it-is',
        resolveId: (/** @type {string} */ specifier) =>
          specifier.endsWith('scripts/entry-points.mjs')
            ? { id: pathToFileURL(entryPoints).href, external: true }
            : null,
      },
    ],
    logLevel: 'silent',
  })
  await build.write({ file, format: 'esm' })
  await build.close()
}
