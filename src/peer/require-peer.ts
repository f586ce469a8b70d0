/**
 * Optional peers: packages that one subpath needs and nobody else. They are loaded when the subpath is used, not when it
 * is imported, so that one that is missing can be named in a sentence.
 */
import { createRequire } from 'node:module'
import { LaneError } from '../core/index.js'

const require = createRequire(import.meta.url)

/** The exports of an optional peer of `subpath`. `CONFIG_INVALID` when it is not installed. */
export const requirePeer = <T>(name: string, subpath: string): T => found(name, subpath, () => require(name) as T)

/** The same for a package that is ES modules only, or may be in one of its versions. */
export async function importPeer<T>(name: string, subpath: string): Promise<T> {
  try {
    return (await import(name)) as T
  } catch (error) {
    throw told(error, name, subpath)
  }
}

/** The same check for a peer that is loaded later: what is missing is told at once. */
export const checkPeer = (name: string, subpath: string): void => void found(name, subpath, () => isThere(name))

function isThere(name: string): boolean {
  try {
    return require.resolve(name) !== ''
  } catch (error) {
    // it is installed, and ES modules only
    if ((error as { code?: unknown }).code === 'ERR_PACKAGE_PATH_NOT_EXPORTED') return true
    throw error
  }
}

function found<T>(name: string, subpath: string, find: () => T): T {
  try {
    return find()
  } catch (error) {
    throw told(error, name, subpath)
  }
}

/** What is thrown when a peer could not be loaded: the sentence that names it when it is missing, else the error itself. */
function told(error: unknown, name: string, subpath: string): unknown {
  if (!isMissing(error, name)) return error
  return new LaneError('CONFIG_INVALID', `${subpath} needs the package ${name}: npm install ${name}`, {
    cause: error,
    fields: { package: name },
  })
}

/** Whether it is this package that is missing, and not one that it needs itself. */
function isMissing(error: unknown, name: string): boolean {
  const { code, message } = error as { code?: unknown; message?: unknown }
  const isNotFound = code === 'MODULE_NOT_FOUND' || code === 'ERR_MODULE_NOT_FOUND'
  return isNotFound && typeof message === 'string' && message.includes(`'${name}'`)
}
