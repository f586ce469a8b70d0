/** Some lines of a file of any size: what stands before them is passed over, and what comes after is only counted. */
import type { FileHandle } from 'node:fs/promises'
import { shownLine } from './clipped.js'

const CHUNK_BYTES = 64 * 1024
const LINE_FEED = 10

export type LinesWanted = {
  /** Number of the first line, from 1. */
  readonly offset: number
  readonly lines: number
  /** Characters of all lines together, and of one. */
  readonly chars: number
  readonly lineChars: number
  /** Up to which size of a file all its lines are counted. */
  readonly countedBytes: number
}

export type LinesFound = {
  readonly lines: readonly string[]
  /** How many lines the file has; undefined when not all were counted. */
  readonly total: number | undefined
}

/** Reads lines from where the handle stands; `first` is what was read already. */
export async function readLines(
  handle: FileHandle,
  first: Buffer,
  wanted: LinesWanted,
  signal: AbortSignal,
): Promise<LinesFound> {
  const collected = new CollectedLines(wanted)
  const { size } = await handle.stat()
  const chunk = Buffer.allocUnsafe(CHUNK_BYTES)
  collected.add(first)
  for (;;) {
    signal.throwIfAborted()
    if (collected.isFull && size > wanted.countedBytes) return { lines: collected.lines, total: undefined }
    const { bytesRead } = await handle.read(chunk, 0, CHUNK_BYTES, null)
    if (bytesRead === 0) return { lines: collected.lines, total: collected.end() }
    collected.add(chunk.subarray(0, bytesRead))
  }
}

class CollectedLines {
  readonly lines: string[] = []
  readonly #wanted: LinesWanted
  /** Pieces of the line that goes on in the next chunk, as far as they are shown. */
  #pieces: Buffer[] = []
  #pieceBytes = 0
  /** Whether the last line has begun. */
  #isBegun = false
  #number = 1
  #chars = 0
  isFull = false

  constructor(wanted: LinesWanted) {
    this.#wanted = wanted
  }

  add(chunk: Buffer): void {
    let from = 0
    while (from < chunk.length) {
      const end = chunk.indexOf(LINE_FEED, from)
      const to = end < 0 ? chunk.length : end
      this.#piece(chunk.subarray(from, to))
      if (end < 0) return
      this.#endLine()
      from = end + 1
    }
  }

  /** Ends the last line, if it has begun; gives how many lines there were. */
  end(): number {
    if (this.#isBegun) this.#endLine()
    return this.#number - 1
  }

  #piece(bytes: Buffer): void {
    this.#isBegun = true
    if (this.isFull || this.#number < this.#wanted.offset) return
    // a character has at most four bytes, and one more than is shown tells that the line is too long
    const room = this.#wanted.lineChars * 4 + 4 - this.#pieceBytes
    if (room <= 0) return
    const kept = Buffer.from(bytes.subarray(0, room))
    this.#pieces.push(kept)
    this.#pieceBytes += kept.length
  }

  #endLine(): void {
    const { offset, lines, chars, lineChars } = this.#wanted
    const isWanted = !this.isFull && this.#number >= offset
    if (isWanted) {
      const line = shownLine(Buffer.concat(this.#pieces).toString(), lineChars)
      this.#chars += line.length
      // one line is given however long it is: it was cut already
      if (this.#chars > chars && this.lines.length > 0) this.isFull = true
      else this.lines.push(line)
      if (this.lines.length >= lines) this.isFull = true
    }
    this.#pieces = []
    this.#pieceBytes = 0
    this.#isBegun = false
    this.#number++
  }
}
