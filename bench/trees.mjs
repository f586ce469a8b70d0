// @ts-check
/**
 * Two trees to compare: the working tree, and a commit of its history. Both are copied to a scratch folder, built there with
 * the project's compiler, and measured by this tree's benchmark, so that nothing differs but `src`. The repository, its
 * index and `dist` stay as they are.
 */
import { execFileSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { BenchError, FAILED } from './bench-error.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))

/** What a build needs besides `src`. */
const BUILD_FILES = ['package.json', 'tsconfig.base.json', 'tsconfig.build.json', 'globals.portable.d.ts']

/**
 * @param {string} commit  of this repository
 * @returns {{ lane: string, base: string, remove: () => void }} the `measure.mjs` of this tree and of the commit's, built
 */
export function builtTrees(commit) {
  const folder = mkdtempSync(join(tmpdir(), 'lane-bench-'))
  const remove = () => rmSync(folder, { recursive: true, force: true })
  try {
    const [own, base] = [join(folder, 'lane'), join(folder, 'base')]
    for (const name of ['src', ...BUILD_FILES]) cpSync(join(root, name), join(own, name), { recursive: true })
    checkOut(commit, base, join(folder, 'index'))
    return { lane: built(own), base: built(base), remove }
  } catch (error) {
    remove()
    throw error
  }
}

/**
 * Writes the files of a commit into a folder, through an index of its own.
 *
 * @param {string} commit
 * @param {string} folder
 * @param {string} index
 */
function checkOut(commit, folder, index) {
  const git = (/** @type {string[]} */ ...args) =>
    execFileSync('git', args, { cwd: root, env: { ...process.env, GIT_INDEX_FILE: index }, stdio: 'pipe' })
  try {
    git('cat-file', '-e', `${commit}^{commit}`)
  } catch (error) {
    throw new BenchError(
      `This needs the commit ${commit}, which is not in the git history here: no repository, or a shallow clone.`,
      { exitCode: FAILED, cause: error },
    )
  }
  mkdirSync(folder)
  git('read-tree', commit)
  git('checkout-index', '--all', `--prefix=${folder}/`)
}

/**
 * @param {string} folder
 * @returns {string} its `measure.mjs`
 */
function built(folder) {
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'), 'junction')
  const compiler = join(root, 'node_modules', 'typescript', 'bin', 'tsc')
  if (!existsSync(compiler))
    throw new BenchError('typescript is not installed: run `npm ci` first.', { exitCode: FAILED })
  try {
    execFileSync(process.execPath, [compiler, '-p', 'tsconfig.build.json'], { cwd: folder, stdio: 'pipe' })
  } catch (error) {
    const { stdout } = /** @type {{ stdout?: Buffer }} */ (error)
    throw new BenchError(`The build failed.\n${stdout ?? ''}`.trimEnd(), { exitCode: FAILED, cause: error })
  }
  rmSync(join(folder, 'bench'), { recursive: true, force: true })
  cpSync(join(root, 'bench'), join(folder, 'bench'), { recursive: true })
  return join(folder, 'bench', 'measure.mjs')
}
