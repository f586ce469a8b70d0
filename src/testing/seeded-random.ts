import type { Random } from '../core/index.js'

/**
 * Random numbers that a seed replays: the same seed gives the same numbers on every machine. A `Random` for the queue's
 * `random` option. The generator is mulberry32 (Tommy Ettinger, 2017, public domain): 32 bits of state, good enough for
 * tests and not for secrets.
 */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0
  return {
    next() {
      state = (state + 0x6d_2b_79_f5) >>> 0
      let mixed = Math.imul(state ^ (state >>> 15), state | 1)
      mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
      return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
    },
  }
}
