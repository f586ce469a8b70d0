/**
 * `npm run sim`: the deterministic simulation.
 *
 *   npm run sim                      kept seeds, 200 seeds, the sweep of failing calls, the small scope
 *   npm run sim -- --seeds 2000      kept seeds and 2,000 seeds; --from N starts at another seed
 *   npm run sim -- --seed N          one seed again, with its options; --log prints all that was seen
 *   npm run sim -- --planted [name]  every planted bug has to be caught
 *   npm run sim -- --sweep [scenario [kind k mode]]   that alone; a scenario of it; one failing call again
 *   npm run sim -- --scope [name [path]]              the same for a scope, and a path through it
 *   npm run sim -- --storage-sweep [history [call k mode]]   the same for calls to a storage
 *   --storage only|none              of each seed the half that runs on a storage alone, also where it draws none; or the other
 *   --commands N                     commands per seed instead of as many as it draws
 *
 * The exit code is 1 when an invariant was broken, a planted bug was missed, or a seed did not repeat itself.
 */
import { appendFileSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import { bundle, newWorkplace } from './build.mjs'
import { runSeeds } from './crew.mjs'
import { judgePlanted } from './planted.mjs'

/** @typedef {import('./worker.mjs').Answer} Answer */

const KEPT = fileURLToPath(new URL('seeds.txt', import.meta.url))
/** Seeds that every run runs twice: the same seed has to look the same. */
const TWICE = 20

const { values, positionals } = parseArgs({
  options: {
    seeds: { type: 'string' },
    from: { type: 'string', default: '0' },
    seed: { type: 'string' },
    commands: { type: 'string' },
    log: { type: 'boolean', default: false },
    planted: { type: 'boolean', default: false },
    sweep: { type: 'boolean', default: false },
    scope: { type: 'boolean', default: false },
    'storage-sweep': { type: 'boolean', default: false },
    storage: { type: 'string' },
  },
  allowPositionals: true,
})
const commands = values.commands === undefined ? undefined : Number(values.commands)
const storage = /** @type {'only' | 'none' | undefined} */ (values.storage)

/** @param {string} line */
const print = (line) => process.stdout.write(`${line}\n`)

/** Seeds that failed once: a number per line, then what it found. */
const keptSeeds = () =>
  readFileSync(KEPT, 'utf8')
    .split('\n')
    .filter((line) => /^\d/.test(line))
    .map((line) => Number.parseInt(line, 10))

/** @param {string} file @param {number} seed */
async function replay(file, seed) {
  /** @type {typeof import('./main.js')} */
  const { runSeed, availableFeatures } = await import(pathToFileURL(file).href)
  const available = await availableFeatures()
  const log = values.log ? print : undefined
  const result = await runSeed(seed, { available, commands, storage, log })
  print(JSON.stringify(result.options, null, 2))
  print(
    `seed ${seed}: ${result.commands} commands, ${result.events} events, ${result.virtualMs} ms, hash ${result.hash}`,
  )
  for (const { invariant, text, at } of result.violations) print(`${invariant} at ${at} ms: ${text}`)
  return result.violations.length === 0
}

/** @param {string} file @param {number} count */
async function runMany(file, count) {
  const startedAt = performance.now()
  const first = Number(values.from)
  const fresh = Array.from({ length: count }, (_, n) => first + n)
  const kept = keptSeeds()
  /** @type {Map<number, string>} */
  const hashes = new Map()
  const sum = { seeds: 0, failed: 0, commands: 0, events: 0, starts: 0, virtualMs: 0, repeated: 0 }
  await runSeeds(
    file,
    [...new Set([...kept, ...fresh]), ...fresh.slice(0, TWICE)],
    (answer) => {
      const before = hashes.get(answer.seed)
      if (before === undefined) count1(answer, sum)
      else sum.repeated++
      if (before !== undefined && before !== answer.hash) {
        sum.failed++
        print(`seed ${answer.seed} does not repeat itself: hash ${before}, then ${answer.hash}`)
      }
      hashes.set(answer.seed, answer.hash)
      if (before === undefined && answer.violations.length > 0) keep(answer, kept)
    },
    { commands, storage },
  )
  const seconds = (performance.now() - startedAt) / 1000
  const hours = Math.round(sum.virtualMs / 3_600_000)
  print(
    `${sum.seeds} seeds (${kept.length} kept), ${sum.failed} failed: ${sum.commands} commands, ${sum.starts} starts, ${sum.events} events, ${hours} virtual hours in ${seconds.toFixed(1)} s (${Math.round(sum.commands / seconds)} commands/s); ${sum.repeated} seeds run twice looked the same`,
  )
  return sum.failed === 0
}

/** @param {Answer} answer @param {Record<'seeds' | 'failed' | 'commands' | 'events' | 'starts' | 'virtualMs', number>} sum */
function count1(answer, sum) {
  sum.seeds++
  if (answer.violations.length > 0) sum.failed++
  sum.commands += answer.commands
  sum.events += answer.events
  sum.starts += answer.starts
  sum.virtualMs += answer.virtualMs
}

/** A seed that failed is run for ever after. @param {Answer} answer @param {number[]} kept */
function keep({ seed, violations }, kept) {
  const [first] = violations
  if (first === undefined) return
  print(`seed ${seed}: ${first.invariant} at ${first.at} ms: ${first.text}`)
  if (kept.includes(seed) || commands !== undefined || storage !== undefined) return
  appendFileSync(KEPT, `${seed}  ${first.invariant}: ${first.text.slice(0, 100)}\n`)
}

/** The proofs that need no seed. @param {string} file @param {{ sweeps: boolean, scopes: boolean, storages: boolean }} which */
async function prove(file, { sweeps, scopes, storages }) {
  const { href } = pathToFileURL(file)
  /** @type {typeof import('./main.js')} */
  const { availableFeatures, findSites, runScope, runStorageSweep, runSweep } = await import(href)
  const sites = findSites(readFileSync(file, 'utf8'))
  const isSwept = !sweeps || (await runSweep({ print, wanted: positionals, sites }))
  const isExplored = !scopes || (await runScope({ print, wanted: positionals }))
  const isStored =
    !storages || (await runStorageSweep({ print, wanted: positionals, available: await availableFeatures() }))
  return isSwept && isExplored && isStored
}

const workplace = newWorkplace()
try {
  const file = await bundle(join(workplace, 'sim.mjs'))
  let isRight = true
  if (values.seed !== undefined) isRight = await replay(file, Number(values.seed))
  else if (values.planted) isRight = await judgePlanted(workplace, positionals[0] ?? '')
  else if (values.sweep || values.scope || values['storage-sweep']) {
    const which = { sweeps: values.sweep, scopes: values.scope, storages: values['storage-sweep'] }
    isRight = await prove(file, which)
  } else {
    isRight = await runMany(file, Number(values.seeds ?? 200))
    if (values.seeds === undefined)
      isRight = (await prove(file, { sweeps: true, scopes: true, storages: true })) && isRight
  }
  process.exitCode = isRight ? 0 : 1
} finally {
  rmSync(workplace, { recursive: true, force: true })
}
