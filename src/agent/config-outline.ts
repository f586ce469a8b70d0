/** Where what stands in a configuration text: for errors that are found after the text was parsed. */

/** A key, a block or an item of a list, with what is inside. */
export type Outline = {
  /** Where it begins, in UTF-16 units from the start of the text. */
  readonly at: number
  readonly isBlock: boolean
  /** By key, each time that the key is there. */
  readonly keys: Map<string, Outline[]>
  readonly items: Outline[]
}

export const outlineAt = (at: number, isBlock = false): Outline => ({ at, isBlock, keys: new Map(), items: [] })

/** Adds what stands under a key. */
export function addKey(parent: Outline, key: string, child: Outline): Outline {
  const before = parent.keys.get(key)
  if (before === undefined) parent.keys.set(key, [child])
  else before.push(child)
  return child
}

/** The steps of a path as errors name it: `providers[1].models[0].id`. */
export const stepsOf = (path: string): (string | number)[] =>
  [...path.matchAll(/\[(\d+)\]|[^.[\]]+/g)].map(([step, index]) => (index === undefined ? step : Number(index)))

/** Where a path begins; what is not there itself, as near to it as can be said. */
export function placeOf(root: Outline, path: string): number | undefined {
  let places: readonly Outline[] = [root]
  let found: number | undefined
  for (const step of stepsOf(path)) {
    places = typeof step === 'string' ? (places[0]?.keys.get(step) ?? []) : itemOf(places, step)
    if (places[0] === undefined) break
    found = places[0].at
  }
  return found
}

/** One of several blocks, or an item of a list. */
function itemOf(places: readonly Outline[], index: number): Outline[] {
  const items = places[0]?.items ?? []
  const item = (items.length > 0 ? items : places)[index]
  return item === undefined ? [] : [item]
}

/** Line and column of a place, both from 1. */
export function lineAndColumn(text: string, at: number): { line: number; column: number } {
  const before = text.slice(0, at).split('\n')
  return { line: before.length, column: (before.at(-1) as string).length + 1 }
}
