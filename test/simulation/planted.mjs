/** `npm run sim -- --planted`: every planted bug has to be caught by some seed, and by an invariant that it breaks. */
import { join } from 'node:path'
import { bundle, timesFound } from './build.mjs'
import { crewSize, runSeeds } from './crew.mjs'
import { plantedBugs } from './planted-bugs.mjs'

/** @typedef {import('./planted-bugs.mjs').PlantedBug} PlantedBug */
/** @typedef {{ bug: PlantedBug, seed: number, invariant: string, text: string } | { bug: PlantedBug, seed: undefined }} Verdict */

/** Seeds after which a bug counts as missed. */
const MOST_SEEDS = 1500
/** Fewer commands than usual, and more seeds: what differs between seeds finds more than what is repeated in one. */
const SETTINGS = { commands: 150, limitMs: 20_000 }

/** Answers whether a seed passes without any planted bug, and remembers it. @param {string} file */
function control(file) {
  /** @type {Map<string, Promise<boolean>>} */
  const known = new Map()
  return (/** @type {number} */ seed, /** @type {PlantedBug} */ { commands, storage = 'none' }) => {
    const key = `${seed} ${storage} ${commands ?? ''}`
    const before = known.get(key)
    if (before !== undefined) return before
    const verdict = (async () => {
      /** @type {boolean[]} */
      const passed = []
      const note = (/** @type {import('./worker.mjs').Answer} */ { violations }) => {
        passed.push(violations.length === 0)
      }
      await runSeeds(file, [seed], note, {
        ...SETTINGS,
        ...(commands === undefined ? {} : { commands }),
        storage,
        size: 1,
      })
      return passed[0] === true
    })()
    known.set(key, verdict)
    return verdict
  }
}

/**
 * Runs seeds until one fails that passes without the bug.
 *
 * @param {PlantedBug} bug
 * @param {string} file
 * @param {(seed: number, bug: PlantedBug) => Promise<boolean>} passesWithout
 * @returns {Promise<Verdict>}
 */
async function hunt(bug, file, passesWithout) {
  await bundle(file, bug)
  for (let from = 0; from < MOST_SEEDS; ) {
    /** @type {Verdict[]} */
    const found = []
    const seeds = Array.from({ length: MOST_SEEDS - from }, (_, n) => from + n)
    await runSeeds(
      file,
      seeds,
      ({ seed, violations }) => {
        // one broken promise breaks others: one that the bug is about will do
        const first = violations.find(({ invariant }) => bug.by.includes(invariant)) ?? violations[0]
        if (first === undefined) return true
        found.push({ bug, seed, invariant: first.invariant, text: first.text })
        return false
      },
      {
        ...{ ...SETTINGS, storage: bug.storage ?? 'none', size: 1 },
        ...(bug.commands === undefined ? {} : { commands: bug.commands }),
      },
    )
    const [verdict = { bug, seed: undefined }] = found
    if (verdict.seed === undefined || (await passesWithout(verdict.seed, bug))) return verdict
    from = verdict.seed + 1
  }
  return { bug, seed: undefined }
}

/**
 * @param {string} workplace
 * @param {string} wanted  only bugs whose name contains it
 * @returns {Promise<boolean>} whether all were caught
 */
export async function judgePlanted(workplace, wanted) {
  const bugs = plantedBugs.filter(({ name }) => name.includes(wanted))
  for (const bug of bugs) {
    const found = timesFound(bug)
    if (found !== (bug.times ?? 1))
      throw new Error(`'${bug.name}': the text stands ${found} times in src/${bug.file}: ${bug.find}`)
  }
  const passesWithout = control(await bundle(join(workplace, 'clean.mjs')))
  const left = [...bugs.entries()]
  let caught = 0
  async function work() {
    for (let next = left.shift(); next !== undefined; next = left.shift()) {
      const verdict = await hunt(next[1], join(workplace, `planted-${next[0]}.mjs`), passesWithout)
      if (print(verdict)) caught++
    }
  }
  await Promise.all(Array.from({ length: crewSize }, work))
  process.stdout.write(`planted: ${caught} caught, ${bugs.length - caught} missed\n`)
  return caught === bugs.length
}

/** One row of the table; whether the bug was caught as it should be. @param {Verdict} verdict */
function print(verdict) {
  const { bug, seed } = verdict
  const isRight = seed !== undefined && bug.by.includes(verdict.invariant)
  const by =
    seed === undefined ? 'NOT CAUGHT' : `${verdict.invariant.padEnd(4)} seed ${String(seed).padEnd(5)} ${verdict.text}`
  const notRight = seed === undefined ? 'MISS' : 'ODD '
  const mark = isRight ? 'ok  ' : notRight
  process.stdout.write(`${mark}  ${bug.name.padEnd(62)}  ${(by.split('\n')[0] ?? '').slice(0, 110)}\n`)
  return isRight
}
