/** From a batch to the bytes in which it is written: on the thread that queues, so nothing is done here that can be done elsewhere. */
import type { StorageChange } from '../core/index.js'
import {
  BURY,
  COOL,
  ENCODINGS,
  HAS_CHECKPOINT,
  HAS_DETAILS,
  HAS_DUE,
  HAS_ERROR,
  HAS_ID,
  HAS_KEEP,
  HAS_KEY,
  HAS_OPTIONS,
  HAS_PAYLOAD,
  HAS_RESULT,
  HEADER_BYTES,
  IS_COLD,
  LATIN1,
  MAGIC,
  SETTLE,
  SUBMIT,
  stateNumber,
  UNBURY,
  UPDATE,
  UTF8,
  UTF16,
  WITHDRAW,
} from './batch-format.js'
import { sumOfBytes } from './checksum.js'
import { isWellFormed } from './text-column.js'

/** Kinds that say nothing beyond the number. */
const PLAIN_KINDS = { unbury: UNBURY, cool: COOL, withdraw: WITHDRAW } as const

/** Makes the bytes of batches. One for all batches of a storage: what it gathers in is used again. */
export class BatchPacker {
  #numbers = new Float64Array(4096)
  #length = 0
  #texts: string[] = []
  readonly #names = new Map<string, number>()

  pack(batch: readonly StorageChange[]): Uint8Array<ArrayBuffer> {
    this.#length = 0
    this.#texts = []
    this.#names.clear()
    for (const change of batch) this.#add(change)
    return this.#assemble(batch.length)
  }

  #add(change: StorageChange): void {
    // no change has more numbers than this
    if (this.#length + 32 > this.#numbers.length) this.#grow()
    if (change.kind === 'submit') this.#addSubmit(change)
    else if (change.kind === 'settle') this.#addSettle(change)
    else if (change.kind === 'update') this.#addUpdate(change)
    else if (change.kind === 'bury') {
      this.#number(BURY)
      this.#number(change.letter.seq)
      this.#number(change.letter.failedAt)
      this.#text(change.letter.letter)
    } else {
      this.#number(PLAIN_KINDS[change.kind])
      this.#number(change.seq)
    }
  }

  #addSubmit({ command, isCold }: StorageChange & { kind: 'submit' }): void {
    const { id, key, payload, options, dueAt, checkpoint, details } = command
    let shape = SUBMIT + 8 * stateNumber(command.state)
    if (isCold) shape |= IS_COLD
    const at = this.#length
    this.#number(0)
    this.#number(command.seq)
    this.#number(command.attempt)
    this.#number(this.#name(command.laneId))
    this.#number(this.#name(command.commandType))
    this.#number(command.priority)
    this.#number(command.createdAt)
    if (id !== undefined) shape |= this.#optional(id, HAS_ID)
    if (key !== undefined) shape |= this.#optional(key, HAS_KEY)
    if (payload !== undefined) shape |= this.#optional(payload, HAS_PAYLOAD)
    if (options !== undefined) shape |= this.#optional(options, HAS_OPTIONS)
    this.#numbers[at] = shape | this.#progress(dueAt, checkpoint, details)
  }

  #addUpdate({ seq, state, attempt, dueAt, checkpoint, details }: StorageChange & { kind: 'update' }): void {
    const at = this.#length
    this.#number(0)
    this.#number(seq)
    this.#number(attempt)
    this.#numbers[at] = (UPDATE + 8 * stateNumber(state)) | this.#progress(dueAt, checkpoint, details)
  }

  #addSettle(change: StorageChange & { kind: 'settle' }): void {
    const { result, error, details, keepUntil } = change
    let shape = SETTLE + 8 * stateNumber(change.state)
    const at = this.#length
    this.#number(0)
    this.#number(change.seq)
    this.#number(change.attempt)
    this.#number(change.endedAt)
    if (result !== undefined) shape |= this.#optional(result, HAS_RESULT)
    if (error !== undefined) shape |= this.#optional(error, HAS_ERROR)
    if (keepUntil !== undefined) {
      shape |= HAS_KEEP
      this.#number(keepUntil)
    }
    if (details !== undefined) shape |= this.#optional(details, HAS_DETAILS)
    this.#numbers[at] = shape
  }

  #progress(dueAt: number | undefined, checkpoint: string | undefined, details: string | undefined): number {
    let shape = 0
    if (dueAt !== undefined) {
      shape = HAS_DUE
      this.#number(dueAt)
    }
    if (checkpoint !== undefined) shape |= this.#optional(checkpoint, HAS_CHECKPOINT)
    if (details !== undefined) shape |= this.#optional(details, HAS_DETAILS)
    return shape
  }

  #optional(text: string, flag: number): number {
    this.#text(text)
    return flag
  }

  #number(value: number): void {
    this.#numbers[this.#length++] = value
  }

  #text(text: string): void {
    this.#numbers[this.#length++] = text.length
    this.#texts.push(text)
  }

  #name(name: string): number {
    const known = this.#names.get(name)
    if (known !== undefined) return known
    const index = this.#names.size
    this.#names.set(name, index)
    return index
  }

  #grow(): void {
    const larger = new Float64Array(this.#numbers.length * 2)
    larger.set(this.#numbers)
    this.#numbers = larger
  }

  #assemble(changes: number): Uint8Array<ArrayBuffer> {
    const names = [...this.#names.keys()]
    const texts = names.join('') + this.#texts.join('')
    const [encoding, textBytes] = encodingOf(texts)
    const doubles = 1 + names.length + this.#length
    const textsAt = HEADER_BYTES + 8 * doubles
    const bytes = Buffer.from(new ArrayBuffer(textsAt + textBytes))
    const header = new Uint32Array(bytes.buffer, 0, HEADER_BYTES / 4)
    header.set([MAGIC, 0, doubles, encoding, changes, 0])
    const numbers = new Float64Array(bytes.buffer, HEADER_BYTES, doubles)
    numbers[0] = names.length
    for (const [index, name] of names.entries()) numbers[1 + index] = name.length
    numbers.set(this.#numbers.subarray(0, this.#length), 1 + names.length)
    bytes.write(texts, textsAt, ENCODINGS[encoding])
    return bytes as Uint8Array<ArrayBuffer>
  }
}

/** The shortest encoding that gives the texts back as they are, and their length in it. */
function encodingOf(text: string): [encoding: number, bytes: number] {
  const bytes = Buffer.byteLength(text, 'utf8')
  if (bytes === text.length) return [LATIN1, bytes]
  // UTF-8 has no form for half of a surrogate pair
  return isWellFormed(text) ? [UTF8, bytes] : [UTF16, 2 * text.length]
}

/** Writes the checksum into the bytes of a batch. */
export function seal(bytes: Uint8Array): void {
  new DataView(bytes.buffer, bytes.byteOffset).setUint32(4, sumOfBytes(bytes.subarray(8)), true)
}

/** How many changes a batch has. */
export const changesIn = (bytes: Uint8Array): number => new DataView(bytes.buffer, bytes.byteOffset).getUint32(16, true)
