/** Dead letters in their table. */
import type { StoredLetter } from '../core/index.js'
import { sumOfValues } from './checksum.js'
import type { Row } from './driver.js'
import { corrupt } from './failure.js'
import { fromColumn } from './text-column.js'

export const sumOfLetter = (seq: number, failedAt: number, letter: string): number =>
  sumOfValues([seq, failedAt, letter])

/** A letter from its row: number, seq, failed_at, letter, sum. */
export function toLetter(row: Row): StoredLetter {
  const [, seq, failedAt, stored, sum] = row as Row & [number, number, number, string, number]
  const letter = fromColumn(stored)
  if (sumOfLetter(seq, failedAt, letter) !== sum) throw corrupt(`The dead letter of the command ${seq} is damaged`)
  return { seq, failedAt, letter }
}
