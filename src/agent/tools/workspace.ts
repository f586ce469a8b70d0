/**
 * The folder that tools are confined to. Every path is walked name by name: each link on the way is read and followed by hand, and one
 * step outside ends the walk, also one that would come back. What comes out has no link in it, and is opened without
 * following any; a link that was put there in between is refused.
 *
 * A hard link cannot be told from the file itself, so one to a file outside counts as a file of the workspace.
 */
import { realpathSync, type Stats, statSync } from 'node:fs'
import { type FileHandle, lstat, mkdir, readlink } from 'node:fs/promises'
import { join, resolve, sep } from 'node:path'
import { checkText, configInvalid } from '../../core/index.js'
import { Folder, lookAt, openRegular } from './folder.js'
import { parsePath, pathText } from './path-text.js'
import { about, codeOf, ToolError } from './tool-error.js'

const MOST_LINKS = 40

export type EntryKind = 'file' | 'folder' | 'link' | 'special'

/** Where a path leads: inside the workspace, or nowhere. */
export type Place = {
  /** `Path 'x'`, for messages. */
  readonly text: string
  /** The names from the workspace on, none of them a link, except the last where links were not followed. */
  readonly names: readonly string[]
  /** How many of the names at the end are not there yet. */
  readonly missing: number
  /** What stands there; undefined when there is nothing. */
  readonly stats: Stats | undefined
  /** Whether it was written with a slash or a dot at its end. */
  readonly endsAsFolder: boolean
}

/** A folder, and a name in it. Close the folder after use. */
export type Spot = { readonly folder: Folder; readonly name: string }

type Walk = { names: string[]; readonly pending: string[]; links: number; readonly text: string }

export class Workspace {
  /** Its real path. */
  readonly folder: string
  /** As names: absolute paths have to begin with them. */
  readonly #prefixes: readonly (readonly string[])[]

  /** `CONFIG_INVALID` when it is not a folder. It may be given as a link, which is followed once, now. */
  constructor(folder: string) {
    checkText('workspace', folder)
    if (!isFolder(folder)) throw configInvalid('workspace', 'a folder that exists', folder)
    this.folder = realpathSync(folder)
    this.#prefixes = [this.folder, resolve(folder)].map((path) => path.split(sep).filter((name) => name !== ''))
  }

  /** A place's path from the workspace on, `.` for the workspace itself. */
  static relative({ names }: Pick<Place, 'names'>): string {
    return names.length === 0 ? '.' : names.join('/')
  }

  real(names: readonly string[]): string {
    return join(this.folder, ...names)
  }

  /**
   * Where a path leads. A link at its end is followed, unless `ofLink`: then it is the link itself. Throws a `ToolError` for
   * whatever leaves the workspace.
   */
  async locate(path: string, ofLink = false): Promise<Place> {
    const { names, isAbsolute, endsAsFolder } = parsePath(path)
    const text = pathText(path)
    const pending = isAbsolute ? this.#within(names, text) : [...names]
    const walk: Walk = { names: [], pending, links: 0, text }
    return about(text, async () => {
      let stats: Stats | undefined = await lstat(this.folder)
      while (walk.pending.length > 0) {
        stats = await this.#step(walk, ofLink)
        if (stats === undefined) return this.#nowhere(walk, endsAsFolder)
      }
      return { text, names: walk.names, missing: 0, stats, endsAsFolder }
    })
  }

  /** Opens the regular file at a place for reading. Folders, pipes, devices and what is not there are refused by name. */
  async openFile(place: Place): Promise<FileHandle> {
    refuseOtherThanFile(place)
    return about(place.text, () => openRegular(this.real(place.names)))
  }

  /** Opens the folder at a place. */
  async openFolder(place: Place): Promise<Folder> {
    if (place.stats === undefined) throw new ToolError(`${place.text} does not exist`)
    if (!place.stats.isDirectory()) throw new ToolError(`${place.text} is not a folder`)
    return about(place.text, () => Folder.open(this.real(place.names)))
  }

  /** Opens the folder that holds a place, and makes those on the way that are not there. */
  async openParent(place: Place): Promise<Spot> {
    const name = place.names.at(-1)
    if (name === undefined) throw new ToolError(`${place.text} is the workspace folder itself`)
    const parents = place.names.slice(0, -1)
    const there = parents.slice(0, parents.length - Math.max(0, place.missing - 1))
    return about(place.text, async () => {
      let folder = await Folder.open(this.real(there))
      for (const next of parents.slice(there.length)) folder = await intoNew(folder, next)
      return { folder, name }
    })
  }

  /** One name further. Gives what stands there; undefined when there is nothing. */
  async #step(walk: Walk, ofLink: boolean): Promise<Stats | undefined> {
    const name = walk.pending.shift() as string
    if (name === '..') {
      if (walk.names.pop() === undefined) throw outside(walk.text)
      return lstat(this.real(walk.names))
    }
    walk.names.push(name)
    const stats = await lookAt(this.real(walk.names))
    const isLast = walk.pending.length === 0
    if (stats?.isSymbolicLink() === true && !(isLast && ofLink)) {
      await this.#follow(walk)
      // what it leads to is looked at by the steps that follow; a link to the workspace itself has none
      return walk.pending.length > 0 ? stats : lstat(this.real(walk.names))
    }
    if (!isLast && stats?.isDirectory() === false) {
      throw new ToolError(`${walk.text} leads through ${Workspace.relative(walk)}, which is not a folder`)
    }
    return stats
  }

  async #follow(walk: Walk): Promise<void> {
    if (++walk.links > MOST_LINKS) throw new ToolError(`${walk.text} leads through too many links, or in a circle`)
    const link = Workspace.relative(walk)
    const target = await readlink(this.real(walk.names))
    walk.names.pop()
    const { names, isAbsolute } = parsePath(target)
    if (isAbsolute) {
      walk.names = []
      walk.pending.unshift(...this.#within(names, walk.text, link))
    } else {
      walk.pending.unshift(...names)
    }
  }

  /** The names of an absolute path from the workspace on. */
  #within(names: readonly string[], text: string, link?: string): string[] {
    const prefix = this.#prefixes.find((own) => own.every((name, index) => names[index] === name))
    if (prefix === undefined) throw outside(text, link)
    return names.slice(prefix.length)
  }

  /** What is not there yet may be made, if the names to it are ordinary ones. */
  #nowhere({ names, pending, text }: Walk, endsAsFolder: boolean): Place {
    if (pending.includes('..')) throw new ToolError(`${text} leads back from a folder that does not exist`)
    return { text, names: [...names, ...pending], missing: pending.length + 1, stats: undefined, endsAsFolder }
  }
}

function isFolder(path: string): boolean {
  try {
    return statSync(path).isDirectory()
  } catch {
    return false
  }
}

const outside = (text: string, link?: string): ToolError =>
  new ToolError(`${text} is outside the workspace${link === undefined ? '' : `: the link ${link} leads there`}`)

/** Makes a folder unless it is there, and goes into it. */
async function intoNew(folder: Folder, name: string): Promise<Folder> {
  try {
    try {
      await mkdir(folder.at(name))
    } catch (error) {
      if (codeOf(error) !== 'EEXIST') throw error
    }
    return await folder.child(name)
  } finally {
    await folder.close()
  }
}

/** What a place has to be for reading, or for being replaced by a file. */
export function refuseOtherThanFile({ text, stats, endsAsFolder }: Place): void {
  if (stats === undefined) throw new ToolError(`${text} does not exist`)
  if (stats.isDirectory()) throw new ToolError(`${text} is a folder, not a file`)
  if (!stats.isFile()) throw new ToolError(`${text} is ${kindText(stats)}, not a regular file`)
  if (endsAsFolder) throw new ToolError(`${text} ends like a folder, and a file stands there`)
}

export function kindOf(entry: Pick<Stats, 'isFile' | 'isDirectory' | 'isSymbolicLink'>): EntryKind {
  if (entry.isFile()) return 'file'
  if (entry.isDirectory()) return 'folder'
  return entry.isSymbolicLink() ? 'link' : 'special'
}

export function kindText(stats: Stats): string {
  if (stats.isSymbolicLink()) return 'a link'
  if (stats.isFIFO()) return 'a named pipe'
  if (stats.isSocket()) return 'a socket'
  return stats.isDirectory() ? 'a folder' : 'a device'
}
