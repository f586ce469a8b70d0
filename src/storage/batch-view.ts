/** From the bytes of a batch back to its changes: found in one pass, read in full only where they are wanted. */
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
  UNBURY,
  UPDATE,
  WITHDRAW,
} from './batch-format.js'
import { sumOfBytes } from './checksum.js'
import { corrupt } from './failure.js'

/** One change of a batch: where it stands. */
export class PackedChange {
  readonly view: BatchView
  readonly kind: number
  readonly seq: number
  /** Where its numbers begin, its texts. */
  readonly at: number
  readonly textAt: number

  constructor(view: BatchView, seq: number, at: number, textAt: number) {
    this.view = view
    this.kind = (view.numbers[at] as number) & 7
    this.seq = seq
    this.at = at
    this.textAt = textAt
  }

  get shape(): number {
    return this.view.numbers[this.at] as number
  }

  /** Of a submit. */
  get isCold(): boolean {
    return (this.shape & IS_COLD) !== 0
  }
}

/** What a submit says, as it stands in a row. */
export type SubmitFields = {
  readonly laneId: string
  readonly commandType: string
  readonly priority: number
  readonly createdAt: number
  readonly id: string | null
  readonly key: string | null
  readonly payload: string | null
  readonly options: string | null
}
export type ProgressFields = {
  readonly state: number
  readonly attempt: number
  readonly dueAt: number | null
  readonly checkpoint: string | null
  readonly details: string | null
}
export type OutcomeFields = {
  readonly state: number
  readonly attempt: number
  readonly endedAt: number
  readonly result: string | null
  readonly error: string | null
  readonly keepUntil: number | null
  readonly details: string | null
}

const stateOf = (shape: number): number => (shape >> 3) & 7

export class BatchView {
  readonly byteLength: number
  readonly numbers: Float64Array
  readonly #bytes: Buffer
  readonly #textsAt: number
  readonly #encoding: number
  readonly #names: readonly string[]
  readonly #firstAt: number
  readonly #firstText: number
  #texts: string | undefined

  /** `STORAGE_CORRUPT` for bytes that are not as they were written. */
  constructor(bytes: Uint8Array) {
    const header = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    const isSound =
      bytes.byteLength >= HEADER_BYTES &&
      header.getUint32(0, true) === MAGIC &&
      header.getUint32(4, true) === sumOfBytes(bytes.subarray(8))
    if (!isSound) throw corrupt('A batch of the journal is damaged')
    this.byteLength = bytes.byteLength
    const doubles = header.getUint32(8, true)
    // a view of doubles must begin at a multiple of eight
    const own = bytes.byteOffset % 8 === 0 ? bytes : Uint8Array.from(bytes)
    this.#bytes = Buffer.from(own.buffer, own.byteOffset, own.byteLength)
    this.numbers = new Float64Array(own.buffer, own.byteOffset + HEADER_BYTES, doubles)
    this.#encoding = header.getUint32(12, true)
    this.#textsAt = HEADER_BYTES + 8 * doubles
    const count = this.numbers[0] as number
    const names: string[] = []
    let textAt = 0
    for (let index = 1; index <= count; index++) {
      const length = this.numbers[index] as number
      names.push(this.#text(textAt, length))
      textAt += length
    }
    this.#names = names
    this.#firstAt = 1 + count
    this.#firstText = textAt
  }

  /** Every change in its order. */
  each(visit: (change: PackedChange) => void): void {
    const { numbers } = this
    let at = this.#firstAt
    let textAt = this.#firstText
    while (at < numbers.length) {
      visit(new PackedChange(this, numbers[at + 1] as number, at, textAt))
      const shape = numbers[at] as number
      const [plain, others, texts] = LAYOUTS[shape & 7] as Layout
      at += plain
      for (const flag of ORDER) {
        if ((shape & flag & others) !== 0) at++
        else if ((shape & flag & texts) !== 0) textAt += numbers[at++] as number
      }
      if ((shape & 7) === BURY) textAt += numbers[at++] as number
    }
  }

  submit({ at, textAt, shape }: PackedChange): SubmitFields {
    const { numbers } = this
    const texts = new TextReader(this, at + 7, textAt)
    return {
      laneId: this.#names[numbers[at + 3] as number] as string,
      commandType: this.#names[numbers[at + 4] as number] as string,
      priority: numbers[at + 5] as number,
      createdAt: numbers[at + 6] as number,
      id: texts.next((shape & HAS_ID) !== 0),
      key: texts.next((shape & HAS_KEY) !== 0),
      payload: texts.next((shape & HAS_PAYLOAD) !== 0),
      options: texts.next((shape & HAS_OPTIONS) !== 0),
    }
  }

  /** Where a submit puts its command; without reading the rest. */
  place({ at }: PackedChange): { laneId: string; priority: number } {
    const { numbers } = this
    return { laneId: this.#names[numbers[at + 3] as number] as string, priority: numbers[at + 5] as number }
  }

  /** Of a submit or an update. */
  progress({ at, textAt, shape, kind }: PackedChange): ProgressFields {
    const texts = new TextReader(this, at + (kind === SUBMIT ? 7 : 3), textAt)
    if (kind === SUBMIT) for (const flag of SUBMIT_TEXTS) texts.skip((shape & flag) !== 0)
    return {
      state: stateOf(shape),
      attempt: this.numbers[at + 2] as number,
      dueAt: (shape & HAS_DUE) === 0 ? null : texts.number(),
      checkpoint: texts.next((shape & HAS_CHECKPOINT) !== 0),
      details: texts.next((shape & HAS_DETAILS) !== 0),
    }
  }

  outcome({ at, textAt, shape }: PackedChange): OutcomeFields {
    const texts = new TextReader(this, at + 4, textAt)
    return {
      state: stateOf(shape),
      attempt: this.numbers[at + 2] as number,
      endedAt: this.numbers[at + 3] as number,
      result: texts.next((shape & HAS_RESULT) !== 0),
      error: texts.next((shape & HAS_ERROR) !== 0),
      keepUntil: (shape & HAS_KEEP) === 0 ? null : texts.number(),
      details: texts.next((shape & HAS_DETAILS) !== 0),
    }
  }

  /** Of an outcome: until when it must be kept; without reading the rest. */
  keepUntil({ at, shape }: PackedChange): number | null {
    if ((shape & HAS_KEEP) === 0) return null
    const texts = ((shape & HAS_RESULT) === 0 ? 0 : 1) + ((shape & HAS_ERROR) === 0 ? 0 : 1)
    return this.numbers[at + 4 + texts] as number
  }

  endedAt({ at }: PackedChange): number {
    return this.numbers[at + 3] as number
  }

  letter({ at, textAt }: PackedChange): { failedAt: number; letter: string } {
    const { numbers } = this
    return { failedAt: numbers[at + 2] as number, letter: this.textAt(textAt, numbers[at + 3] as number) }
  }

  /** A text by its place, in characters. */
  textAt(from: number, length: number): string {
    return this.#text(from, length)
  }

  #text(from: number, length: number): string {
    if (this.#encoding === LATIN1) {
      const start = this.#textsAt + from
      return this.#bytes.toString('latin1', start, start + length)
    }
    this.#texts ??= this.#bytes.toString(ENCODINGS[this.#encoding], this.#textsAt)
    return this.#texts.slice(from, from + length)
  }
}

/** Reads the optional fields of a change one after another. */
class TextReader {
  readonly #view: BatchView
  #at: number
  #textAt: number

  constructor(view: BatchView, at: number, textAt: number) {
    this.#view = view
    this.#at = at
    this.#textAt = textAt
  }

  next(isThere: boolean): string | null {
    if (!isThere) return null
    const length = this.number()
    const text = this.#view.textAt(this.#textAt, length)
    this.#textAt += length
    return text
  }

  skip(isThere: boolean): void {
    if (isThere) this.#textAt += this.number()
  }

  number(): number {
    return this.#view.numbers[this.#at++] as number
  }
}

/** Numbers that are always there; flags of further numbers; flags of texts. Fields come in the order of their flags. */
type Layout = readonly [plain: number, numbers: number, texts: number]
const SUBMIT_TEXTS = [HAS_ID, HAS_KEY, HAS_PAYLOAD, HAS_OPTIONS]
const PROGRESS_TEXTS = HAS_CHECKPOINT | HAS_DETAILS
const LAYOUTS: Readonly<Record<number, Layout>> = {
  [SUBMIT]: [7, HAS_DUE, HAS_ID | HAS_KEY | HAS_PAYLOAD | HAS_OPTIONS | PROGRESS_TEXTS],
  [UPDATE]: [3, HAS_DUE, PROGRESS_TEXTS],
  [SETTLE]: [4, HAS_KEEP, HAS_RESULT | HAS_ERROR | HAS_DETAILS],
  [BURY]: [3, 0, 0],
  [UNBURY]: [2, 0, 0],
  [COOL]: [2, 0, 0],
  [WITHDRAW]: [2, 0, 0],
}
/** Every flag of a field, in the order in which fields stand. */
const ORDER = [64, 128, 256, 512, 1024, 2048, 4096]
