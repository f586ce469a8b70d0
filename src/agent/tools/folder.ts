/**
 * A folder held open. What is done at one of its names is done in that very folder, also when somebody has put a link in its place
 * meanwhile: where there is `/proc/self/fd`, names are reached through the open handle; elsewhere the folder is
 * looked at again before each use.
 */
import { constants, existsSync, type Stats } from 'node:fs'
import { type FileHandle, lstat, open, readlink, realpath } from 'node:fs/promises'
import { join } from 'node:path'
import { codeOf, ToolError } from './tool-error.js'

// a platform without one of them has nothing to set
const {
  O_RDONLY,
  O_DIRECTORY = 0,
  O_NOFOLLOW = 0,
  O_NONBLOCK = 0,
} = constants as Partial<typeof constants> & {
  O_RDONLY: number
}

/** Where this system shows the open files of a process, with the place of each; looked at once. */
let handles: string | undefined
const handleFolder = (): string => {
  handles ??= existsSync('/proc/self/fd') ? '/proc/self/fd' : ''
  return handles
}

export class Folder {
  readonly #handle: FileHandle | undefined
  /** Its real path when it was opened. */
  readonly path: string

  private constructor(path: string, handle: FileHandle | undefined) {
    this.path = path
    this.#handle = handle
  }

  /**
   * Opens the folder at a real path: no name of it is a link. Throws a `ToolError` when it is another folder by the time
   * it is open.
   */
  static async open(path: string): Promise<Folder> {
    // Windows opens no folders
    if (O_DIRECTORY === 0) return new Folder(path, undefined)
    const handle = await open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
    return Folder.#checked(path, handle, () => isAt(handle, path))
  }

  /** Where to reach one of its names. */
  at(name: string): string {
    if (this.#handle === undefined || handleFolder() === '') return join(this.path, name)
    return join(handleFolder(), String(this.#handle.fd), name)
  }

  /** Where to reach the folder itself, for reading it. */
  get here(): string {
    return this.at('.')
  }

  /** Opens a folder in it. A link is never followed: it is ENOTDIR or ELOOP. */
  async child(name: string): Promise<Folder> {
    const path = join(this.path, name)
    if (this.#handle === undefined) return new Folder(path, undefined)
    const handle = await open(this.at(name), O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
    // what was reached through the handle is in this folder, wherever that is by now
    return Folder.#checked(path, handle, async () => handleFolder() !== '' || (await isAt(handle, path)))
  }

  /** Opens a regular file in it, as `openRegular` does. */
  async file(name: string): Promise<FileHandle> {
    const isPinned = this.#handle !== undefined && handleFolder() !== ''
    return isPinned ? openChecked(this.at(name), async () => true) : openRegular(join(this.path, name))
  }

  async close(): Promise<void> {
    await this.#handle?.close()
  }

  static async #checked(path: string, handle: FileHandle, isRight: () => Promise<boolean>): Promise<Folder> {
    try {
      if (!(await isRight())) throw changed()
    } catch (error) {
      await handle.close()
      throw error
    }
    return new Folder(path, handle)
  }
}

/**
 * Opens the regular file at a real path for reading. It never waits, also not for the other end of a pipe, and throws a
 * `ToolError` for whatever is no regular file, or is another by the time it is open.
 */
export const openRegular = (path: string): Promise<FileHandle> => openChecked(path, (handle) => isAt(handle, path))

async function openChecked(path: string, isRight: (handle: FileHandle) => Promise<boolean>): Promise<FileHandle> {
  const handle = await open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
  try {
    if (!(await handle.stat()).isFile()) throw new ToolError('What stands there is not a regular file')
    if (!(await isRight(handle))) throw changed()
    return handle
  } catch (error) {
    await handle.close()
    throw error
  }
}

export const changed = (): ToolError => new ToolError('The path was changed while it was used; nothing was done')

/** Whether what is open stands at this real path: nobody swapped a name of it for a link between the look and the use. */
async function isAt(handle: FileHandle, path: string): Promise<boolean> {
  const folder = handleFolder()
  if (folder !== '') return (await readlink(join(folder, String(handle.fd)))) === path
  return (await realpath(path)) === path && isSame(await lstat(path), await handle.stat())
}

export const isSame = (one: Stats, other: Stats): boolean => one.ino === other.ino && one.dev === other.dev

/** The facts of what stands at a path, a link's own; undefined when there is nothing. */
export async function lookAt(path: string): Promise<Stats | undefined> {
  try {
    return await lstat(path)
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined
    throw error
  }
}
