/** What an operator asks of a storage. */
import { sizeOf } from './file-place.js'
import type { OpenFile } from './open-file.js'
import type { Durability } from './options.js'
import type { StoredView } from './stored-view.js'
import type { WriterStats } from './writer.js'

export type StorageStats = {
  /** The file; links are followed. */
  readonly path: string
  readonly durability: Durability
  readonly fileBytes: number
  /** The write-ahead file beside it, which is moved into it from time to time. */
  readonly walBytes: number
  /** Unsettled commands that are in memory too, those that wait in the file only, and settled ones that are kept. */
  readonly commands: { readonly hot: number; readonly cold: number; readonly settled: number }
  readonly deadLetters: number
  /** Batches that this process has written. */
  readonly commits: number
  /** How long they took: the mean of the last ones, and the longest. */
  readonly commitMs: { readonly mean: number; readonly max: number }
  /** Changes in the journal that are not in the tables yet. */
  readonly journal: number
  /** Whether there is a thread of its own that writes. */
  readonly thread: boolean
}

export function statsOf(file: OpenFile, view: StoredView, writer: WriterStats | undefined): StorageStats {
  const { settings, place } = file
  return {
    path: place?.file ?? settings.path,
    durability: settings.isFull ? 'full' : 'relaxed',
    fileBytes: place === undefined ? 0 : sizeOf(place.file),
    walBytes: place === undefined ? 0 : sizeOf(place.wal),
    ...view.counts(),
    commits: writer?.commits ?? 0,
    commitMs: { mean: writer?.meanMs ?? 0, max: writer?.longestMs ?? 0 },
    journal: writer?.unfolded ?? 0,
    thread: writer?.hasThread ?? false,
  }
}
