/** Figures as people read them. */
import type { Booking } from './provider.js'

export const count = (n: number): string => Math.round(n).toLocaleString('en')
export const percent = (share: number): string => `${(share * 100).toFixed(1)} %`

const BARS = '▁▂▃▄▅▆▇█'

/** Tokens of the calls that were accepted from `from` on and before `to`, in milliseconds. */
export const tokensIn = (accepted: readonly Booking[], from: number, to: number): number =>
  accepted.reduce((sum, { at, tokens }) => (at >= from && at < to ? sum + tokens : sum), 0)

/** Tokens per second as a small curve: a bar for each `stepMs`, as high as its share of `most`. */
export function curve(accepted: readonly Booking[], totalMs: number, stepMs: number, most: number): string {
  let bars = ''
  for (let from = 0; from + stepMs <= totalMs; from += stepMs) {
    const rate = (tokensIn(accepted, from, from + stepMs) * 1000) / stepMs
    bars += BARS.charAt(Math.min(BARS.length - 1, Math.round((rate / most) * (BARS.length - 1))))
  }
  return bars
}
