// @ts-check
/** What the threads of T1 and T2 do: count primes up to `upTo`, or, for 0, nothing. */

/** @param {{ upTo: number }} payload */
export default function countPrimes({ upTo }) {
  let primes = 0
  for (let n = 2; n <= upTo; n++) if (isPrime(n)) primes++
  return primes
}

/** @param {number} n */
function isPrime(n) {
  for (let divisor = 2; divisor * divisor <= n; divisor++) if (n % divisor === 0) return false
  return true
}
