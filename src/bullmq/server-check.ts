/** Whether a server suits: what it says of itself, and what its errors mean to whoever configured the connection. */
import { errorText, LaneError } from '../core/index.js'

/** What a server says of itself. */
export type ServerFacts = {
  readonly name: string
  readonly version: string
  /** What survives its end: everything, all but the last second, or nothing. */
  readonly durability: 'always' | 'everysec' | 'no' | 'off' | 'unknown'
}

/** LPOS with a rank, ZRANGE in its present form and reliable blocking came with this version. */
const OLDEST = [6, 2] as const

/** Reads the answer of INFO. `CONFIG_INVALID` for a server that is too old or may evict commands. */
export function checkServer(info: string, allowEviction: boolean, appendFsync: string | undefined): ServerFacts {
  const fields = new Map(info.split(/\r?\n/).map((line) => line.split(':', 2) as [string, string]))
  const valkey = fields.get('valkey_version')
  const name = valkey === undefined ? 'redis' : 'valkey'
  const version = valkey ?? fields.get('redis_version') ?? '0'
  if (valkey === undefined && isBefore(version, OLDEST)) {
    throw connectionInvalid(`the server is Redis ${version}, and Lane needs ${OLDEST.join('.')} or later`)
  }
  const policy = fields.get('maxmemory_policy') ?? 'noeviction'
  if (policy !== 'noeviction' && !allowEviction) {
    throw connectionInvalid(
      `the server's maxmemory-policy is ${policy}: it may throw accepted commands away. Set it to noeviction, or pass allowEviction: true`,
    )
  }
  const isKept = fields.get('aof_enabled') === '1'
  return { name, version, durability: isKept ? durabilityOf(appendFsync) : 'off' }
}

const durabilityOf = (appendFsync: string | undefined): ServerFacts['durability'] =>
  appendFsync === 'always' || appendFsync === 'everysec' || appendFsync === 'no' ? appendFsync : 'unknown'

function isBefore(version: string, [major, minor]: readonly [number, number]): boolean {
  const [theirMajor = 0, theirMinor = 0] = version.split('.').map(Number)
  return theirMajor < major || (theirMajor === major && theirMinor < minor)
}

/** The error of an answer that will not change by waiting; undefined for one that may. */
export function refusalOf(error: unknown): LaneError | undefined {
  const text = errorText(error)
  if (/WRONGPASS|invalid password|invalid username/i.test(text)) {
    return connectionInvalid('the server does not take the password or the user', error)
  }
  if (/NOAUTH|Authentication required/i.test(text)) return connectionInvalid('the server wants a password', error)
  if (/NOPERM|no permissions/i.test(text))
    return connectionInvalid(`the user may not do what is needed: ${text}`, error)
  if (/cluster support disabled|DB index is out of range|invalid DB index/i.test(text))
    return connectionInvalid(text, error)
  if (/^MOVED|^CROSSSLOT/.test(text)) {
    return connectionInvalid('the server is a node of a cluster: pass a Cluster of ioredis', error)
  }
  return undefined
}

/** Whether an error says that the connection was lost, or that the server does not answer for now. */
export function isAway(error: unknown): boolean {
  const text = errorText(error)
  return /Connection is closed|Stream isn't writeable|Command aborted|isn't ready|slots cache|All the clusters are|max retries per request|ECONNRE|EPIPE|ETIMEDOUT|Socket closed|^LOADING|^MASTERDOWN|^READONLY|^TRYAGAIN|^CLUSTERDOWN/i.test(
    text,
  )
}

/** The engine cannot be reached. */
export const unavailable = (text: string, cause?: unknown): LaneError =>
  new LaneError('ENGINE_UNAVAILABLE', text, { retryable: true, ...(cause === undefined ? {} : { cause }) })

function connectionInvalid(text: string, cause?: unknown): LaneError {
  return new LaneError('CONFIG_INVALID', `Configuration error: BullMQEngine connection: ${text}`, {
    fields: { option: 'BullMQEngine connection' },
    ...(cause === undefined ? {} : { cause }),
  })
}
