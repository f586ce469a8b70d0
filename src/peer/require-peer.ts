/**
 * Optional peers: packages that one subpath needs and nobody else. They are loaded when the subpath is used, not when it
 * is imported, so that one that is missing can be named in a sentence.
 */
import { createRequire } from 'node:module'
import { LaneError } from '../core/index.js'

const require = createRequire(import.meta.url)

/** The exports of an optional peer of `subpath`. `CONFIG_INVALID` when it is not installed. */
export function requirePeer<T>(name: string, subpath: string): T {
  try {
    return require(name) as T
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
