/**
 * Marks of attempts that have begun, in a file beside the database: one record per place, written with one call and no
 * sync, so that a crash of the process leaves them and a power loss may not. A record counts only when its checksum does.
 *
 * Its head says which commit was answered last. A database that has fewer has lost some, which a damaged journal file would
 * otherwise hide: SQLite takes its valid beginning for the whole.
 */
import {
  closeSync,
  existsSync,
  fstatSync,
  ftruncateSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
  writeSync,
} from 'node:fs'
import type { StoredStart } from '../core/index.js'
import { sumOfBytes, sumOfText } from './checksum.js'

const HEAD_BYTES = 32
const RECORD_BYTES = 24

/** What the file says at open. */
export type MarksFound = {
  /** The last answered commit of this database; undefined when the file does not know. */
  readonly answered: number | undefined
  readonly starts: readonly StoredStart[]
}

/** Which database the file belongs to, and whether its commits survive a power loss. */
export type MarksOwner = { readonly identity: string; readonly isFull: boolean }

export class StartMarks {
  readonly #path: string | undefined
  #fd: number | undefined
  readonly #owner: number
  readonly #isFull: boolean
  readonly #head = new DataView(new ArrayBuffer(HEAD_BYTES))
  #records = Buffer.alloc(64 * RECORD_BYTES)

  /** Without a path it keeps nothing beyond its process. */
  constructor(path: string | undefined, { identity, isFull }: MarksOwner) {
    this.#owner = sumOfText(identity)
    this.#isFull = isFull
    this.#path = path
    this.#fd = path === undefined ? undefined : openForWriting(path)
  }

  begin(starts: readonly StoredStart[]): void {
    if (this.#fd === undefined || starts.length === 0) return
    let first = Number.POSITIVE_INFINITY
    let last = 0
    for (const start of starts) {
      if (start.place < first) first = start.place
      if (start.place > last) last = start.place
      this.#put(start)
    }
    const from = first * RECORD_BYTES
    const length = (last + 1) * RECORD_BYTES - from
    writeSync(this.#fd, this.#records, from, length, HEAD_BYTES + from)
  }

  /** The commit with this number is answered now. */
  answered(commit: number): void {
    if (this.#fd === undefined) return
    const head = this.#head
    head.setUint32(0, this.#owner)
    head.setUint32(4, this.#isFull ? 1 : 0)
    head.setFloat64(8, commit)
    head.setUint32(16, sumOfBytes(new Uint8Array(head.buffer, 0, 16)))
    try {
      writeSync(this.#fd, head, 0, HEAD_BYTES, 0)
    } catch {
      // it is committed all the same: only a later check knows less
    }
  }

  /** What an earlier process has left. */
  read(): MarksFound {
    if (this.#fd === undefined) return NOTHING
    const bytes = Buffer.alloc(fstatSync(this.#fd).size)
    readSync(this.#fd, bytes, 0, bytes.length, 0)
    return marksIn(bytes, this.#owner)
  }

  /** Forgets all starts. */
  clear(): void {
    if (this.#fd !== undefined) ftruncateSync(this.#fd, HEAD_BYTES)
  }

  /** Ends it, and the file with it when nothing in it is needed. */
  close(isNeeded: boolean): void {
    if (this.#path !== undefined && !isNeeded) rmSync(this.#path, { force: true })
    if (this.#fd !== undefined) closeSync(this.#fd)
    this.#fd = undefined
  }

  #put({ place, seq, attempt }: StoredStart): void {
    const at = place * RECORD_BYTES
    if (at + RECORD_BYTES > this.#records.length) {
      const larger = Buffer.alloc(2 * (at + RECORD_BYTES))
      this.#records.copy(larger)
      this.#records = larger
    }
    this.#records.writeDoubleBE(seq, at)
    this.#records.writeDoubleBE(attempt, at + 8)
    this.#records.writeUInt32BE(place, at + 16)
    this.#records.writeUInt32BE(sumOfBytes(this.#records.subarray(at, at + 20)), at + 20)
  }
}

/** The last commit of a database that a file of marks knows to be answered. */
export function readAnswered(path: string, identity: string): number | undefined {
  return existsSync(path) ? marksIn(readFileSync(path), sumOfText(identity)).answered : undefined
}

/** A file that is made if it is not there; what it has is kept. */
function openForWriting(path: string): number {
  closeSync(openSync(path, 'a'))
  return openSync(path, 'r+')
}

function marksIn(bytes: Buffer, owner: number): MarksFound {
  if (bytes.length < HEAD_BYTES) return NOTHING
  if (bytes.readUInt32BE(16) !== sumOfBytes(bytes.subarray(0, 16)) || bytes.readUInt32BE(0) !== owner) return NOTHING
  const isFull = bytes.readUInt32BE(4) === 1
  return { answered: isFull ? bytes.readDoubleBE(8) : undefined, starts: startsIn(bytes) }
}

const NOTHING: MarksFound = { answered: undefined, starts: [] }

function startsIn(bytes: Buffer): StoredStart[] {
  const starts: StoredStart[] = []
  for (let at = HEAD_BYTES; at + RECORD_BYTES <= bytes.length; at += RECORD_BYTES) {
    if (bytes.readUInt32BE(at + 20) !== sumOfBytes(bytes.subarray(at, at + 20))) continue
    starts.push({
      seq: bytes.readDoubleBE(at),
      attempt: bytes.readDoubleBE(at + 8),
      place: bytes.readUInt32BE(at + 16),
    })
  }
  return starts
}
