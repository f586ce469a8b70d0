/** The text files of a folder, by directory. Bounded in time and number: a folder may be any size. */
import { opendir, stat } from 'node:fs/promises'
import { join } from 'node:path'

export type TextFile = {
  /** Where it is. */
  readonly path: string
  /** Its path from the folder, safe to print. */
  readonly name: string
  readonly bytes: number
}

export type Directory = { readonly name: string; readonly files: readonly TextFile[] }

export type Tree = {
  readonly directories: readonly Directory[]
  readonly files: number
  /** What was not looked at, and why: sentences. */
  readonly leftOut: readonly string[]
}

/** What was made by a machine, or is not the project's own. */
const SKIPPED = new Set(['node_modules', '.git', 'dist', 'build', 'coverage', 'target', '.venv', '__pycache__'])

/** What no one reads as text. Other binary files are known when they are read, by a byte of 0. */
const BINARY =
  /\.(png|jpe?g|gif|ico|webp|pdf|zip|gz|tgz|xz|bz2|7z|jar|wasm|so|dylib|dll|exe|o|a|mp[34]|mov|woff2?|ttf|db|sqlite)$/i

/** Longer files are data. */
const MAX_BYTES = 512 * 1024

const MAX_FILES = 20_000

/** Files that one directory's survey reads; a larger directory counts as several. */
const SHELF = 64

/** Walks a folder for at most `limitMs`. What cannot be read is left out; only an abort throws. */
export async function walk(root: string, limitMs: number, signal: AbortSignal): Promise<Tree> {
  const walker = new Walker(root, performance.now() + limitMs, signal)
  await walker.run()
  return walker.tree()
}

class Walker {
  readonly #root: string
  readonly #endsAt: number
  readonly #signal: AbortSignal
  readonly #directories: Directory[] = []
  readonly #waiting = ['']
  readonly #left = { skipped: new Set<string>(), binary: 0, large: 0, unreadable: 0 }
  #files = 0
  #isCut = false

  constructor(root: string, endsAt: number, signal: AbortSignal) {
    this.#root = root
    this.#endsAt = endsAt
    this.#signal = signal
  }

  /** Breadth first: when time or number run out, what is near the top has been seen. */
  async run(): Promise<void> {
    for (let name = this.#waiting.shift(); name !== undefined && !this.#isCut; name = this.#waiting.shift()) {
      try {
        await this.#enter(name)
      } catch {
        this.#signal.throwIfAborted()
        this.#left.unreadable++
      }
    }
  }

  tree(): Tree {
    const { skipped, binary, large, unreadable } = this.#left
    const leftOut = [
      ...(skipped.size > 0 ? [`the folders ${[...skipped].sort((a, b) => a.localeCompare(b)).join(', ')}`] : []),
      ...(binary > 0 ? [count(binary, 'binary file')] : []),
      ...(large > 0 ? [`${count(large, 'file')} above ${MAX_BYTES / 1024} kB`] : []),
      ...(unreadable > 0
        ? [`${count(unreadable, 'file or folder', 'files or folders')} that could not be opened`]
        : []),
      ...(this.#isCut ? [`everything beyond the first ${count(this.#files, 'file')}: the folder is too large`] : []),
    ]
    return { directories: this.#directories, files: this.#files, leftOut }
  }

  async #enter(name: string): Promise<void> {
    const found: TextFile[] = []
    const close = (): void => {
      if (found.length > 0) this.#directories.push({ name: printable(name) || '.', files: found.splice(0) })
    }
    for await (const entry of await opendir(join(this.#root, name))) {
      this.#signal.throwIfAborted()
      if (performance.now() > this.#endsAt || this.#files >= MAX_FILES) {
        this.#isCut = true
        break
      }
      const inner = join(name, entry.name)
      if (entry.isDirectory()) this.#meet(entry.name, inner)
      else if (entry.isFile()) await this.#take(inner, found)
      if (found.length === SHELF) close()
    }
    close()
  }

  #meet(name: string, path: string): void {
    if (SKIPPED.has(name)) this.#left.skipped.add(name)
    else this.#waiting.push(path)
  }

  async #take(name: string, found: TextFile[]): Promise<void> {
    if (BINARY.test(name)) {
      this.#left.binary++
      return
    }
    const path = join(this.#root, name)
    const { size } = await stat(path).catch(() => ({ size: -1 }))
    if (size < 0) this.#left.unreadable++
    else if (size > MAX_BYTES) this.#left.large++
    else if (size > 0) {
      // An empty file says nothing, and under /proc it may be one that never ends.
      found.push({ path, name: printable(name), bytes: size })
      this.#files++
    }
  }
}

/** A name that a terminal shows and does not obey. */
export const printable = (name: string): string => name.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, '?')

/** '1 file', '2 files'. */
export const count = (n: number, one: string, many = `${one}s`): string =>
  `${n.toLocaleString('en-US')} ${n === 1 ? one : many}`
