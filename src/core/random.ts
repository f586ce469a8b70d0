/** The only place that draws random numbers. Everything else gets a `Random`, so that a seed replays a run. */

/** A source of numbers from 0 (included) to 1 (excluded). */
export interface Random {
  next(): number
}

/** The machine's random numbers. */
export const systemRandom: Random = { next: () => Math.random() }

/** `length` random characters from 0-9 and a-z. */
export function randomText(random: Random, length: number): string {
  let text = ''
  while (text.length < length) text += Math.floor(random.next() * 36).toString(36)
  return text
}
