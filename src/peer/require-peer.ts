/**
 * Optional peers: packages that one subpath needs and nobody else. They are loaded when the subpath is used, not when it
 * is imported, so that one that is missing can be named in a sentence.
 */
import { createRequire } from 'node:module'
import { LaneError } from '../core/index.js'

const require = createRequire(import.meta.url)

/** The exports of an optional peer of `subpath`. `CONFIG_INVALID` when it is not installed. */
export const requirePeer = <T>(name: string, subpath: string): T => found(name, subpath, () => require(name) as T)

/** The same check for a peer that is loaded later: what is missing is told at once. */
export const checkPeer = (name: string, subpath: string): void => void found(name, subpath, () => require.resolve(name))

function found<T>(name: string, subpath: string, find: () => T): T {
  try {
    return find()
  } catch (error) {
    if (!isMissing(error, name)) throw error
    // biome-ignore lint/style/useErrorCause: it is among the options of a LaneError
    throw new LaneError('CONFIG_INVALID', `${subpath} needs the package ${name}: npm install ${name}`, {
      cause: error,
      fields: { package: name },
    })
  }
}

/** Whether it is this package that is missing, and not one that it needs itself. */
function isMissing(error: unknown, name: string): boolean {
  const { code, message } = error as { code?: unknown; message?: unknown }
  return code === 'MODULE_NOT_FOUND' && typeof message === 'string' && message.includes(`'${name}'`)
}
