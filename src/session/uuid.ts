/** Random ids in the form of RFC 9562, version 4. */
import type { Random } from '../core/index.js'

/** A new id. Drawn from the queue's random numbers, so that a seed gives the same ids again. */
export function newUuid(random: Random): string {
  const digits = Array.from({ length: 32 }, () => Math.floor(random.next() * 16))
  digits[12] = 4
  digits[16] = 8 + ((digits[16] as number) % 4)
  const text = digits.map((digit) => digit.toString(16)).join('')
  return [text.slice(0, 8), text.slice(8, 12), text.slice(12, 16), text.slice(16, 20), text.slice(20)].join('-')
}
