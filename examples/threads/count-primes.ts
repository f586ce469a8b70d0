/** What each thread does: counts the primes from `from` up to, and without, `to`. */
import { defineThreadHandler } from '@a3s-lab/lane/workers'

export type Range = { readonly from: number; readonly to: number }

export default defineThreadHandler<Range, number>(({ from, to }, { signal }) => {
  let primes = 0
  for (let n = from; n < to; n++) {
    // A loop that never waits sees a timeout or a cancellation when it looks.
    if (n % 1000 === 0) signal.throwIfAborted()
    if (isPrime(n)) primes++
  }
  return primes
})

function isPrime(n: number): boolean {
  for (let divisor = 2; divisor * divisor <= n; divisor++) if (n % divisor === 0) return false
  return n >= 2
}
