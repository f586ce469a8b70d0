/** The work itself. It depends on nothing but the tree, so whoever does it gets the same result. */
import { createHash } from 'node:crypto'
import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { brotliCompress, constants } from 'node:zlib'
import { filesUnder } from './tree.js'

/** A file or a folder of the tree by its name. */
export type Item = { readonly name: string }

type Doing = (root: string, item: Item) => Promise<object>

const compressed = promisify(brotliCompress)

const QUALITY = { fast: 7, best: 10 } as const

/** By type of command. */
export const WORK = {
  /** How much there is. */
  async census(root) {
    let files = 0
    let bytes = 0
    for await (const path of filesUnder(root)) {
      files++
      bytes += (await stat(path)).size
    }
    return { files, bytes }
  },
  /** Lines of a file, and its digest. */
  async digest(root, { name }) {
    const content = await readFile(join(root, name))
    return { lines: content.toString().split('\n').length, sha256: sha256(content) }
  },
  /** The digest of a folder: one over all of its files. */
  async fingerprint(root, { name }) {
    const content = await contentOf(join(root, name))
    return { bytes: content.length, sha256: sha256(content) }
  },
  /** A file, compressed. */
  async compress(root, { name }) {
    return pack(await readFile(join(root, name)), QUALITY.fast)
  },
  /** The files of a folder in one archive, as small as it gets: this takes long. */
  async bundle(root, { name }) {
    return pack(await contentOf(join(root, name)), QUALITY.best)
  },
} satisfies Record<string, Doing>

export type WorkType = keyof typeof WORK

/** Does it here and now. */
export const work = (type: WorkType, root: string, item: Item): Promise<object> => (WORK[type] as Doing)(root, item)

async function contentOf(folder: string): Promise<Buffer> {
  const entries = await readdir(folder, { withFileTypes: true })
  const names = entries.filter((entry) => entry.isFile()).map(({ name }) => name)
  return Buffer.concat(await Promise.all(names.sort().map((name) => readFile(join(folder, name)))))
}

async function pack(content: Buffer, quality: number): Promise<object> {
  const packed = await compressed(content, { params: { [constants.BROTLI_PARAM_QUALITY]: quality } })
  return { bytes: content.length, packed: packed.length, sha256: sha256(packed) }
}

const sha256 = (content: Buffer): string => createHash('sha256').update(content).digest('hex')
