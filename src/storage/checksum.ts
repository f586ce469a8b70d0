/**
 * Checksums of what is stored, so that a damaged file is noticed and wrong data never served. Each step is a bijection
 * of what came before: a change of any one word, or any one character, changes the sum for certain.
 */

const START = 0x25_45_f4_91
const FACTOR = 0x9e_37_79_b1

const step = (sum: number, word: number): number => {
  const mixed = Math.imul(sum ^ word, FACTOR)
  return mixed ^ (mixed >>> 15)
}

/** Sum of bytes, an unsigned 32-bit number. */
export function sumOfBytes(bytes: Uint8Array): number {
  const words = bytes.byteLength >>> 2
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  let sum = step(START, bytes.byteLength)
  for (let index = 0; index < words; index++) sum = step(sum, view.getInt32(index << 2, true))
  for (let index = words << 2; index < bytes.byteLength; index++) sum = step(sum, bytes[index] as number)
  return sum >>> 0
}

/** Sum of a text. */
export function sumOfText(text: string): number {
  return addText(START, text) >>> 0
}

/** Sum of values in their order; null and undefined are the same, a text is never the same as a number. */
export function sumOfValues(values: readonly (string | number | null | undefined)[]): number {
  let sum = START
  for (const value of values) {
    if (value === null || value === undefined) sum = step(sum, 1)
    else if (typeof value === 'string') sum = addText(step(sum, 2), value)
    else sum = addNumber(sum, value)
  }
  return sum >>> 0
}

function addText(start: number, text: string): number {
  const { length } = text
  let sum = step(start, length)
  for (let index = 0; index < length; index++) sum = step(sum, text.charCodeAt(index))
  return sum
}

const double = new Float64Array(1)
const words = new Int32Array(double.buffer)

function addNumber(sum: number, value: number): number {
  // a negative zero comes back as zero
  double[0] = value + 0
  return step(step(step(sum, 3), words[0] as number), words[1] as number)
}
