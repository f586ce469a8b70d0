/** Copies files and folders, each from its open handle; links and special files in a folder stay behind. */
import type { Dirent } from 'node:fs'
import { type FileHandle, mkdir, readdir } from 'node:fs/promises'
import { replaceFile } from './file-replacement.js'
import type { Folder } from './folder.js'
import { ToolError } from './tool-error.js'
import type { Spot } from './workspace.js'

const CHUNK_BYTES = 256 * 1024
const DEEPEST = 200

export class TreeCopy {
  readonly #signal: AbortSignal
  #entriesLeft: number
  #bytesLeft: number
  readonly #mostEntries: number
  readonly #mostBytes: number
  /** Links and special files that were not copied. */
  skipped = 0

  constructor(limits: { readonly walkedEntries: number; readonly copyBytes: number }, signal: AbortSignal) {
    this.#mostEntries = limits.walkedEntries
    this.#mostBytes = limits.copyBytes
    this.#entriesLeft = limits.walkedEntries
    this.#bytesLeft = limits.copyBytes
    this.#signal = signal
  }

  get entries(): number {
    return this.#mostEntries - this.#entriesLeft
  }

  get bytes(): number {
    return this.#mostBytes - this.#bytesLeft
  }

  /** Copies one file; what stands at the other spot is replaced in one step. */
  async file(from: Spot, to: Spot): Promise<void> {
    this.#count()
    const source = await from.folder.file(from.name)
    try {
      await replaceFile(to, await source.stat(), (target) => this.#bytesOf(source, target))
    } finally {
      await source.close()
    }
  }

  /** Copies a folder with everything in it to a name that is free. */
  async folder(from: Spot, to: Spot, depth = 0): Promise<void> {
    if (depth > DEEPEST) throw new ToolError(`A folder in it is nested deeper than ${DEEPEST} levels`)
    this.#count()
    const source = await from.folder.child(from.name)
    try {
      await mkdir(to.folder.at(to.name))
      const target = await to.folder.child(to.name)
      try {
        const entries: Dirent[] = await readdir(source.here, { withFileTypes: true })
        for (const entry of entries) await this.#entry(entry, source, target, depth)
      } finally {
        await target.close()
      }
    } finally {
      await source.close()
    }
  }

  async #entry(entry: Dirent, source: Folder, target: Folder, depth: number): Promise<void> {
    const from = { folder: source, name: entry.name }
    const to = { folder: target, name: entry.name }
    if (entry.isDirectory()) await this.folder(from, to, depth + 1)
    else if (entry.isFile()) await this.file(from, to)
    else this.skipped++
  }

  #count(): void {
    this.#signal.throwIfAborted()
    if (--this.#entriesLeft < 0)
      throw new ToolError(`It has more than ${this.#mostEntries} entries: nothing was copied`)
  }

  async #bytesOf(source: FileHandle, target: FileHandle): Promise<void> {
    const chunk = Buffer.allocUnsafe(CHUNK_BYTES)
    for (;;) {
      this.#signal.throwIfAborted()
      const { bytesRead } = await source.read(chunk, 0, CHUNK_BYTES, null)
      if (bytesRead === 0) return
      this.#bytesLeft -= bytesRead
      if (this.#bytesLeft < 0) throw new ToolError(`It has more than ${this.#mostBytes} bytes: nothing was copied`)
      await writeAll(target, chunk.subarray(0, bytesRead))
    }
  }
}

async function writeAll(target: FileHandle, bytes: Buffer): Promise<void> {
  let from = 0
  while (from < bytes.length) from += (await target.write(bytes, from)).bytesWritten
}
