/**
 * The form in which a batch is written: one run of bytes, which costs the thread that queues a fraction of what rows
 * would. Whole numbers and instants are doubles, texts stand behind them in one piece, absent fields take no room.
 *
 *     magic, checksum, number of doubles, encoding of the texts, number of changes (4 bytes each, 4 unused)
 *     doubles     names: count, then the length of each; then the changes, each begun by its shape
 *     texts       names, then the texts of the changes, in the order of their lengths
 *
 * A shape is kind + 8 × state + 64 × which fields follow. It carries everything that it needs: no batch refers to another.
 */
import type { CommandState } from '../core/index.js'

export const MAGIC = 0x6c_61_6e_31
export const HEADER_BYTES = 24

export const STATES: readonly CommandState[] = [
  'pending',
  'delayed',
  'active',
  'completed',
  'failed',
  'timed_out',
  'cancelled',
]
const STATE_NUMBERS = new Map(STATES.map((state, index) => [state, index]))

export const stateNumber = (state: CommandState): number => STATE_NUMBERS.get(state) as number

export const SUBMIT = 1
export const UPDATE = 2
export const SETTLE = 3
export const BURY = 4
export const UNBURY = 5
export const COOL = 6
export const WITHDRAW = 7

export const HAS_ID = 64
export const HAS_KEY = 128
export const HAS_PAYLOAD = 256
export const HAS_OPTIONS = 512
export const HAS_DUE = 1024
export const HAS_CHECKPOINT = 2048
export const HAS_DETAILS = 4096
export const IS_COLD = 8192
export const HAS_RESULT = 64
export const HAS_ERROR = 128
export const HAS_KEEP = 256

export const LATIN1 = 0
export const UTF8 = 1
export const UTF16 = 2
export const ENCODINGS: readonly BufferEncoding[] = ['latin1', 'utf8', 'utf16le']
