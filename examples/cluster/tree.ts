/** A copy of a source tree: the work stays the same while somebody edits the original. */
import { copyFile, mkdir, readdir, stat } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'

const PACKAGE = fileURLToPath(new URL('../../../', import.meta.url))

/** What is worked on when nothing is named: this package's own source and documentation. */
export const OWN_TREE: readonly string[] = [join(PACKAGE, 'src'), join(PACKAGE, 'docs')]

/** Of a larger tree the beginning is taken. */
const MOST_FILES = 600
const MOST_BYTES = 4 * 1024 * 1024
const LARGEST_FILE = 256 * 1024
const LEFT_OUT = new Set(['node_modules', 'dist', 'build'])

export type Tree = {
  readonly root: string
  /** Names below the root. */
  readonly files: readonly string[]
  /** Folders that have files of their own. */
  readonly folders: readonly string[]
}

/** Copies folders into `root`, side by side. */
export async function copyTree(folders: readonly string[], root: string): Promise<Tree> {
  const files: string[] = []
  let bytes = 0
  for (const folder of folders) {
    const base = dirname(folder)
    for await (const path of filesUnder(folder)) {
      bytes += (await stat(path)).size
      if (files.length === MOST_FILES || bytes > MOST_BYTES) break
      const name = relative(base, path)
      await mkdir(dirname(join(root, name)), { recursive: true })
      await copyFile(path, join(root, name))
      files.push(name)
    }
  }
  if (files.length === 0) throw new Error(`There is nothing to work on in ${folders.join(', ')}`)
  return { root, files, folders: [...new Set(files.map((name) => dirname(name)))] }
}

/** Ordinary files, in the order of their names. */
export async function* filesUnder(folder: string): AsyncGenerator<string> {
  const entries = await readdir(folder, { withFileTypes: true })
  for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const path = join(folder, entry.name)
    if (entry.name.startsWith('.') || LEFT_OUT.has(entry.name)) continue
    if (entry.isDirectory()) yield* filesUnder(path)
    else if (entry.isFile() && (await stat(path)).size <= LARGEST_FILE) yield path
  }
}
