/** Options of a storage: checked, with every default. */
import { checkInteger, checkObject, checkOneOf, checkText, refuseUnknown } from '../core/index.js'

/** What survives what: see `LocalStorageOptions.durability`. */
export type Durability = 'full' | 'relaxed'

/** Options of `LocalStorage.open`. */
export type LocalStorageOptions = {
  /** The SQLite file; it is made when it is not there. `':memory:'` for one that ends with the process. */
  readonly path: string
  /**
   * `'full'` (default): what was accepted survives a power loss, at the price of a sync per commit. `'relaxed'`: it survives
   * a crash of the process; a power loss may take the newest commits, and never damages the file.
   */
  readonly durability?: Durability | undefined
  /** Most bytes of a payload as JSON text; a submit with more is refused. Default: no limit. */
  readonly maxPayloadBytes?: number | undefined
  /** How much is gathered in the write-ahead file before it is moved into the database. Default 4 MiB. */
  readonly checkpointBytes?: number | undefined
}

export type StorageSettings = {
  readonly path: string
  readonly isFull: boolean
  readonly maxPayloadBytes: number
  readonly checkpointBytes: number
}

export const IN_MEMORY = ':memory:'
const CHECKPOINT_BYTES = 4 * 1024 * 1024
const KNOWN = ['path', 'durability', 'maxPayloadBytes', 'checkpointBytes']

export function storageSettings(options: LocalStorageOptions): StorageSettings {
  checkObject('LocalStorage options', options)
  refuseUnknown('LocalStorage', options, KNOWN)
  const { path, durability = 'full', maxPayloadBytes, checkpointBytes = CHECKPOINT_BYTES } = options
  checkText('path', path)
  checkOneOf('durability', durability, ['full', 'relaxed'])
  if (maxPayloadBytes !== undefined) checkInteger('maxPayloadBytes', maxPayloadBytes, 1)
  checkInteger('checkpointBytes', checkpointBytes, 4096)
  return {
    path,
    isFull: durability === 'full',
    maxPayloadBytes: maxPayloadBytes ?? Number.POSITIVE_INFINITY,
    checkpointBytes,
  }
}
