/** Connections to the file with everything set that must be: the same for each that writes. */
import type { Database, Driver } from './driver.js'
import { IN_MEMORY } from './options.js'

const INCREMENTAL = 2
const CACHE_KIB = 16_384
const WAL_BYTES = 16 * 1024 * 1024

export type ConnectionSettings = {
  readonly path: string
  readonly isFull: boolean
  readonly busyMs: number
}

export function openConnection(driver: Driver, { path, isFull, busyMs }: ConnectionSettings): Database {
  const database = driver.open(path, { busyMs })
  try {
    // must be said before the first table, and said again it is a write: free pages can be given back a few at a time
    if (database.prepare('PRAGMA auto_vacuum').get()?.[0] !== INCREMENTAL) {
      database.exec(`PRAGMA auto_vacuum = ${INCREMENTAL}`)
    }
    if (path !== IN_MEMORY) database.prepare('PRAGMA journal_mode = WAL').get()
    database.exec(`PRAGMA synchronous = ${isFull ? 'FULL' : 'NORMAL'}`)
    // by hand, since a failed sync of an automatic one is told to nobody
    database.prepare('PRAGMA wal_autocheckpoint = 0').get()
    database.prepare('PRAGMA mmap_size = 0').get()
    // a file that has grown under a long reader shrinks again when it begins anew
    database.prepare(`PRAGMA journal_size_limit = ${WAL_BYTES}`).get()
    database.exec(`PRAGMA cache_size = -${CACHE_KIB}`)
    database.exec('PRAGMA temp_store = MEMORY')
    database.exec('PRAGMA cell_size_check = ON')
    return database
  } catch (error) {
    database.close()
    throw error
  }
}
