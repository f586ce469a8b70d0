/**
 * A disk as it would be after the power failed, from the log that shim/record.c writes.
 *
 * What a sync has covered is durable. Of the rest, each piece of 512 bytes survives by its own draw, which is tearing and
 * reordering at once; a truncation survives whole or not at all. Creating, renaming and deleting a file count at once: the
 * model assumes that they are durable. What the program has told the world outside, a line in a file of acknowledgements,
 * counts at once, too.
 */
import type { Random } from '@a3s-lab/lane'

export type DiskCall =
  | { readonly kind: 'write'; readonly path: string; readonly offset: number; readonly data: Buffer }
  | { readonly kind: 'truncate'; readonly path: string; readonly length: number }
  | { readonly kind: 'syncBegin' | 'syncEnd'; readonly path: string; readonly sync: number }
  | { readonly kind: 'unlink'; readonly path: string }
  | { readonly kind: 'rename'; readonly path: string; readonly to: string }

const MAGIC = 0x4c_41_4e_45
const HEAD = 24
const PIECE = 512

/** The calls in a log; a record that its author did not finish ends it. */
export function parseDiskLog(log: Buffer): DiskCall[] {
  const calls: DiskCall[] = []
  for (let at = 0; at + HEAD <= log.length; ) {
    if (log.readUInt32LE(at) !== MAGIC) throw new Error(`the log of disk calls has no record at byte ${at}`)
    const kind = log.readUInt32LE(at + 4)
    const number = Number(log.readBigUInt64LE(at + 8))
    const dataAt = at + HEAD + log.readUInt32LE(at + 16)
    const end = dataAt + log.readUInt32LE(at + 20)
    if (end > log.length) break
    const path = log.toString('utf8', at + HEAD, dataAt)
    // a file without a name is nobody's after a crash
    if (!path.endsWith(' (deleted)')) calls.push(callOf(kind, path, number, log.subarray(dataAt, end)))
    at = end
  }
  return calls
}

function callOf(kind: number, path: string, number: number, data: Buffer): DiskCall {
  if (kind === 1) return { kind: 'write', path, offset: number, data }
  if (kind === 2) return { kind: 'truncate', path, length: number }
  if (kind === 3) return { kind: 'syncBegin', path, sync: number }
  if (kind === 4) return { kind: 'syncEnd', path, sync: number }
  if (kind === 5) return { kind: 'unlink', path }
  if (kind === 6) return { kind: 'rename', path, to: data.toString('utf8') }
  throw new Error(`the log of disk calls has an unknown kind: ${kind}`)
}

type Write = Extract<DiskCall, { kind: 'write' }>
type Change = Write | Extract<DiskCall, { kind: 'truncate' }>

/** One file: what is durable of it, and what is not yet. */
class RecordedFile {
  readonly durable = new Content()
  /** Changes since the last sync, each with its number. */
  #waiting: { readonly number: number; readonly change: Change }[] = []
  #changes = 0
  /** How many changes had been made when a sync began. */
  readonly #begun = new Map<number, number>()

  change(change: Change): void {
    this.#waiting.push({ number: this.#changes++, change })
  }

  beginSync(sync: number): void {
    this.#begun.set(sync, this.#changes)
  }

  endSync(sync: number): void {
    const covered = this.#begun.get(sync) ?? 0
    this.#begun.delete(sync)
    for (const { number, change } of this.#waiting) if (number < covered) this.durable.apply(change)
    this.#waiting = this.#waiting.filter(({ number }) => number >= covered)
  }

  /** What may be found after the power failed now; every waiting piece survives with the same chance. */
  survivor(random: Random, chance: number): Buffer {
    const survives = (): boolean => random.next() < chance
    const content = this.durable.copy()
    for (const { change } of this.#waiting) {
      if (change.kind === 'truncate') {
        if (survives()) content.apply(change)
      } else for (const piece of piecesOf(change)) if (survives()) content.apply(piece)
    }
    return content.bytes()
  }
}

/** A write, cut at the borders of the disk's blocks. */
function piecesOf({ path, offset, data }: Write): Write[] {
  const pieces: Write[] = []
  for (let at = 0; at < data.length; ) {
    const end = Math.min(data.length, at + PIECE - ((offset + at) % PIECE))
    pieces.push({ kind: 'write', path, offset: offset + at, data: data.subarray(at, end) })
    at = end
  }
  return pieces
}

/** Bytes that grow at their end; a gap reads as zeros. */
class Content {
  #bytes: Buffer
  #length: number

  constructor(bytes: Buffer = Buffer.alloc(4096), length = 0) {
    this.#bytes = bytes
    this.#length = length
  }

  apply(change: Change): void {
    if (change.kind === 'truncate') {
      this.#reserve(change.length)
      this.#bytes.fill(0, Math.min(change.length, this.#length), Math.max(change.length, this.#length))
      this.#length = change.length
      return
    }
    const end = change.offset + change.data.length
    this.#reserve(end)
    change.data.copy(this.#bytes, change.offset)
    this.#length = Math.max(this.#length, end)
  }

  copy(): Content {
    return new Content(Buffer.from(this.bytes()), this.#length)
  }

  bytes(): Buffer {
    return this.#bytes.subarray(0, this.#length)
  }

  #reserve(size: number): void {
    if (size <= this.#bytes.length) return
    const bytes = Buffer.alloc(Math.max(size, this.#bytes.length * 2))
    this.#bytes.copy(bytes)
    this.#bytes = bytes
  }
}

/** Takes calls in the order of the log; at any moment gives what a power failure would leave. */
export class RecordedDisk {
  readonly #files = new Map<string, RecordedFile>()
  readonly #isAck: (path: string) => boolean
  #acks = ''

  constructor(isAck: (path: string) => boolean) {
    this.#isAck = isAck
  }

  apply(call: DiskCall): void {
    if (this.#isAck(call.path)) {
      if (call.kind === 'write') this.#acks += call.data.toString('utf8')
      return
    }
    if (call.kind === 'unlink') this.#files.delete(call.path)
    else if (call.kind === 'rename') this.#rename(call.path, call.to)
    else this.#change(call)
  }

  /** Whole lines that the world outside had seen. */
  acks(): string[] {
    return this.#acks.split('\n').slice(0, -1)
  }

  /** The files after a power failure. The shared-memory file is made anew at open; an empty journal is none. */
  survivors(random: Random, chance: number): Map<string, Buffer> {
    const image = new Map<string, Buffer>()
    for (const [path, file] of this.#files) {
      if (path.endsWith('-shm')) continue
      const content = file.survivor(random, chance)
      if (content.length > 0 || !path.endsWith('-journal')) image.set(path, content)
    }
    return image
  }

  #change(call: Change | Extract<DiskCall, { readonly sync: number }>): void {
    let file = this.#files.get(call.path)
    if (!file) {
      file = new RecordedFile()
      this.#files.set(call.path, file)
    }
    if (!('sync' in call)) file.change(call)
    else if (call.kind === 'syncBegin') file.beginSync(call.sync)
    else file.endSync(call.sync)
  }

  #rename(from: string, to: string): void {
    const file = this.#files.get(from)
    this.#files.delete(from)
    if (file) this.#files.set(to, file)
  }
}
