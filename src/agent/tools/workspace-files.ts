/**
 * Which files of the workspace a pattern names. The library walks; what it sees of the disk goes through here, so that it
 * sees the workspace and nothing else: no folder behind a link, nothing above. What .gitignore files leave out is left out.
 */
import type { Dirent, Stats } from 'node:fs'
import { lstat, readdir } from 'node:fs/promises'
import { sep } from 'node:path'
import type * as Globby from 'globby'
import { importPeer } from '../../peer/index.js'
import { Folder, openRegular } from './folder.js'
import { readWhole } from './text-file.js'
import { SUBPATH } from './tool.js'
import { codeOf } from './tool-error.js'
import type { Place, Workspace } from './workspace.js'

/** Never looked into, whatever .gitignore says. */
const IGNORED = ['**/.git/**', '**/node_modules/**']
const IGNORE_FILE_BYTES = 1024 * 1024

export type FilesWanted = {
  /** The folder that the pattern counts from. */
  readonly place: Place
  readonly pattern: string
  readonly mostWalked: number
  readonly signal: AbortSignal
}

export type FilesFound = {
  /** From the workspace on, sorted. */
  readonly paths: readonly string[]
  /** Whether there was more to look at than was allowed. */
  readonly isCut: boolean
}

export async function filesOf(workspace: Workspace, wanted: FilesWanted): Promise<FilesFound> {
  const { place, pattern, signal } = wanted
  const { globby, convertPathToPattern } = await importPeer<typeof Globby>('globby', SUBPATH)
  const view = new WorkspaceView(workspace, wanted)
  const prefix = place.names.length === 0 ? '' : `${convertPathToPattern(place.names.join('/'))}/`
  const found = await globby(prefix + pattern, {
    cwd: workspace.folder,
    fs: view.fileSystem,
    gitignore: true,
    ignore: IGNORED,
    dot: true,
    onlyFiles: true,
    followSymbolicLinks: false,
    expandDirectories: false,
    extglob: false,
    suppressErrors: true,
  })
  signal.throwIfAborted()
  return { paths: found.sort((a, b) => (a < b ? -1 : 1)), isCut: view.isCut }
}

type Callback<T> = (error: NodeJS.ErrnoException | null, value: T) => void
type FileSystem = NonNullable<Globby.Options['fs']>

/** The disk as the library may see it. What is outside does not exist. */
class WorkspaceView {
  readonly #workspace: Workspace
  readonly #signal: AbortSignal
  readonly #counted = new Set<string>()
  #left: number
  isCut = false

  constructor(workspace: Workspace, { mostWalked, signal }: FilesWanted) {
    this.#workspace = workspace
    this.#left = mostWalked
    this.#signal = signal
  }

  get fileSystem(): FileSystem {
    const look = (path: string, done: Callback<Stats>): void => answer(this.#stat(path), done)
    const list = (path: string, _options: unknown, done: Callback<Dirent[]>): void => answer(this.#list(path), done)
    const own = {
      lstat: look,
      // a link is taken as itself, wherever it leads
      stat: look,
      readdir: list,
      promises: { stat: (path: string) => this.#stat(path), readFile: (path: string) => this.#read(path) },
    }
    return own as unknown as FileSystem
  }

  async #stat(path: string): Promise<Stats> {
    const names = this.#namesOf(path)
    const name = names.pop()
    if (name === undefined) return lstat(this.#workspace.folder)
    return this.#in(names, (folder) => lstat(folder.at(name)))
  }

  async #list(path: string): Promise<Dirent[]> {
    const names = this.#namesOf(path)
    if (this.#left <= 0 && !this.#counted.has(path)) {
      this.isCut = true
      return []
    }
    const entries = await this.#in(names, (folder) => readdir(folder.here, { withFileTypes: true }))
    if (!this.#counted.has(path)) {
      this.#counted.add(path)
      this.#left -= entries.length
    }
    return entries
  }

  /** A .gitignore file. */
  async #read(path: string): Promise<string> {
    const handle = await openRegular(this.#workspace.real(this.#namesOf(path)))
    try {
      return (await readWhole(handle, IGNORE_FILE_BYTES, this.#signal)).toString()
    } finally {
      await handle.close()
    }
  }

  async #in<T>(names: readonly string[], body: (folder: Folder) => Promise<T>): Promise<T> {
    const folder = await Folder.open(this.#workspace.real(names))
    try {
      return await body(folder)
    } finally {
      await folder.close()
    }
  }

  /** Throws for what is outside, and when the walk is to stop. */
  #namesOf(path: string): string[] {
    this.#signal.throwIfAborted()
    const root = this.#workspace.folder
    const own = path.split(sep === '/' ? '/' : /[\\/]/).join(sep)
    const isInside = own === root || own.startsWith(root.endsWith(sep) ? root : root + sep)
    const names = own
      .slice(root.length)
      .split(sep)
      .filter((name) => name !== '' && name !== '.')
    if (!isInside || names.includes('..')) throw absent()
    return names
  }
}

/** The library takes what does not exist as nothing, and any other error as the end. */
const absent = (): NodeJS.ErrnoException => Object.assign(new Error('no such file or directory'), { code: 'ENOENT' })

function answer<T>(promise: Promise<T>, done: Callback<T>): void {
  promise.then(
    (value) => done(null, value),
    (error: unknown) => done(codeOf(error) === undefined ? absent() : (error as NodeJS.ErrnoException), undefined as T),
  )
}
