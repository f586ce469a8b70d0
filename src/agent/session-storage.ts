/** The queue of an agent session, with the store that its configuration names: both are made, or neither. */
import { createHash } from 'node:crypto'
import { mkdirSync } from 'node:fs'
import { isAbsolute, join } from 'node:path'
import { configInvalid, errorText, isLaneError, LaneError, type Storage } from '../core/index.js'
import { resolveSessionConfig, type SessionQueue, type SessionQueueOptions } from '../session/index.js'
import { LocalStorage } from '../storage/index.js'
import type { AgentSessionOptions } from './session-options.js'

/** Where a session stands. */
export type SessionPlace = {
  /** No queue was asked for. */
  readonly isOff: boolean
  /** The `queue` block of the configuration. */
  readonly queueBlock: unknown
  /** The folder that a relative `storagePath` is in. */
  readonly workspace: string
}

/**
 * Makes the queue. Whatever keeps a queue that was asked for from being made is an error that begins with 'session
 * initialization: queue', with the code of what went wrong.
 */
export function queueWithStorage(
  options: AgentSessionOptions,
  place: SessionPlace,
  make: (parts: SessionQueueOptions) => SessionQueue,
): SessionQueue {
  const { sessionId, queueConfig, clock, random, onFault } = options
  const common = { sessionId, clock, random, onFault }
  if (place.isOff) {
    if (options.storage !== undefined)
      throw configInvalid('storage', 'left out in a session without a queue', options.storage)
    return make({ ...common, queueConfig: false })
  }
  const storage = told(() => openStorage(options, place))
  try {
    return make({ ...common, queueConfig, queueBlock: place.queueBlock, storage })
  } catch (error) {
    // opened here, so nobody else closes it; what the program has brought is the program's
    if (storage !== options.storage) storage?.close().catch(() => undefined)
    // what is wrong with other options is no matter of the queue
    if (storage === undefined || (isLaneError(error) && error.code === 'CONFIG_INVALID')) throw error
    throw initializationError(error)
  }
}

/**
 * The store of a session: one SQLite file per session id in `storagePath`, which is relative to the workspace. Opened at
 * once, so that a session that cannot have its store is not made.
 */
function openStorage(
  { queueConfig, storage, sessionId }: AgentSessionOptions,
  { queueBlock, workspace }: SessionPlace,
): Storage | undefined {
  // `false` was looked at before
  const { storagePath } = resolveSessionConfig(queueConfig === false ? undefined : queueConfig, queueBlock)
  if (storage !== undefined || storagePath === undefined) return storage
  if (sessionId === undefined) throw configInvalid('sessionId', 'given with storagePath: it names the file', sessionId)
  const folder = isAbsolute(storagePath) ? storagePath : join(workspace, storagePath)
  return LocalStorage.openSync({ path: join(made(folder), `${fileNameOf(sessionId)}.db`) })
}

function made(folder: string): string {
  try {
    mkdirSync(folder, { recursive: true })
    return folder
  } catch (error) {
    const text = `The folder of the storage cannot be made: ${errorText(error)}`
    // biome-ignore lint/style/useErrorCause: it is among the options of a LaneError
    throw new LaneError('STORAGE_FAILED', text, { cause: error })
  }
}

/** Session ids are anybody's texts; two of them never share a file, also where capitals make no difference. */
const fileNameOf = (sessionId: string): string =>
  /^[a-z0-9_-][a-z0-9_.-]{0,99}$/.test(sessionId)
    ? sessionId
    : `~${createHash('sha256').update(sessionId).digest('hex')}`

function told<T>(make: () => T): T {
  try {
    return make()
  } catch (error) {
    throw initializationError(error)
  }
}

function initializationError(error: unknown): LaneError {
  const { code = 'STORAGE_FAILED', option } = isLaneError(error) ? (error as LaneError & { option?: unknown }) : {}
  return new LaneError(code, `session initialization: queue: ${errorText(error)}`, {
    cause: error,
    ...(option === undefined ? {} : { fields: { option } }),
  })
}
