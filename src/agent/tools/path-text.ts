/**
 * Paths as a model writes them, before anything is touched: which names they go through, and what no path may hold.
 * Names are taken literally: `%2e%2e` is a name like any other, and so are the look-alikes of dots that Unicode has.
 */
import { sep } from 'node:path'
import { ToolError } from './tool-error.js'

const LONGEST_PATH_BYTES = 4096
const LONGEST_NAME_BYTES = 255
/** Of a path in a message. */
const SHOWN_CHARS = 200

export type PathText = {
  /** Its names in order, without empty ones and single dots; `..` stays. */
  readonly names: readonly string[]
  readonly isAbsolute: boolean
  /** Whether it ends in a way that only a folder can: with a slash or a dot. */
  readonly endsAsFolder: boolean
}

/** How paths are written here. Given in tests. */
export type PathStyle = 'posix' | 'windows'

const ownStyle: PathStyle = sep === '\\' ? 'windows' : 'posix'

/** Takes a path apart. Throws a `ToolError` for what no file of the workspace can be called. */
export function parsePath(path: string, style: PathStyle = ownStyle): PathText {
  const objection = objectionTo(path, style)
  if (objection !== undefined) throw new ToolError(objection)
  const all = path.split(style === 'windows' ? /[\\/]/ : '/')
  const names = all.filter((name) => name !== '' && name !== '.')
  for (const name of names) refuseName(path, name, style)
  const last = all.at(-1)
  return {
    names,
    isAbsolute: all[0] === '' || (style === 'windows' && isDrive(all[0])),
    endsAsFolder: last === '' || last === '.' || last === '..',
  }
}

function objectionTo(path: string, style: PathStyle): string | undefined {
  if (path === '') return 'The path is empty'
  if (path.includes('\0')) return `${pathText(path)} holds a NUL character`
  if (Buffer.byteLength(path) > LONGEST_PATH_BYTES) {
    return `${pathText(path)} is too long: a path has at most ${LONGEST_PATH_BYTES} bytes`
  }
  if (style === 'posix' && path.includes('\\')) return `${pathText(path)} holds a backslash: write paths with '/'`
  if (path === '~' || path.startsWith('~/')) {
    return `${pathText(path)} is outside the workspace: '~' is not a folder here, paths begin at the workspace`
  }
  return undefined
}

const deviceName = /^(?:con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$)(?:\..*)?$/i
const isDrive = (name: string | undefined): boolean => name !== undefined && /^[a-z]:$/i.test(name)

function refuseName(path: string, name: string, style: PathStyle): void {
  if (Buffer.byteLength(name) > LONGEST_NAME_BYTES) {
    throw new ToolError(`${pathText(path)} is too long: a name has at most ${LONGEST_NAME_BYTES} bytes`)
  }
  if (style === 'posix' || name === '..' || isDrive(name)) return
  if (deviceName.test(name)) throw new ToolError(`${pathText(path)} names a device of Windows, not a file`)
  // a stream of a file, and endings that Windows takes away
  if (/[:*?"<>|]|[. ]$/.test(name)) throw new ToolError(`${pathText(path)} is not a name that Windows allows`)
}

/** A path as it stands in a message: quoted, on one line, not too long. */
export function pathText(path: string): string {
  const clipped = path.length > SHOWN_CHARS ? `${path.slice(0, SHOWN_CHARS)}…` : path
  return `Path '${nameText(clipped)}'`
}

/** A name as it stands in a line: what would break the line or cannot be seen is written out. */
export const nameText = (name: string): string => name.replace(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, escaped)

const escaped = (char: string): string => `\\u${(char.codePointAt(0) ?? 0).toString(16).padStart(4, '0')}`
