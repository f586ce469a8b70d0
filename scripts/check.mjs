/**
 * `npm run check`: everything that can be judged without running the whole test suite, one line per step.
 *
 *   npm run check                   all steps
 *   npm run check -- lint types     these, and what they need
 *   npm run check -- --no-tests     without the steps that `npm test` runs too
 *
 * Steps run side by side, as many as the machine has cores. A failed step's output is shown below its line; the exit
 * code is 1 when any step failed.
 */
import { spawn } from 'node:child_process'
import { availableParallelism } from 'node:os'
import { root } from './entry-points.mjs'

/**
 * @typedef {object} Step
 * @property {string} name
 * @property {string} command
 * @property {string} says      what holds when it passes
 * @property {string} [needs]   the step that has to pass before it
 * @property {RegExp} [refuses] output that fails it in spite of exit code 0
 * @property {boolean} [isTest] `npm test` runs it too
 */

/** Longest first: with two cores the order decides how long the last step runs alone. @type {Step[]} */
const steps = [
  { name: 'build', command: 'npm run --silent build', says: 'src compiles to dist, with portable globals only' },
  { name: 'lint-types', command: 'eslint .', says: 'rules that need types: promises, any, exhaustive switches' },
  {
    name: 'pack',
    command: 'node scripts/pack-check.mjs',
    says: 'the packed tarball installs and imports',
    needs: 'build',
  },
  { name: 'house', command: 'vitest run test/house test/docs', says: 'layers, tidiness, documentation', isTest: true },
  { name: 'types', command: 'tsc -p tsconfig.json', says: 'src, tests, type tests, examples and scripts' },
  {
    name: 'examples',
    command: 'tsc -p examples --noEmit',
    says: 'examples, against the built package',
    needs: 'build',
    isTest: true,
  },
  {
    name: 'api',
    command: 'node scripts/api-listing.mjs',
    says: 'the listing of the public API is current',
    needs: 'build',
  },
  { name: 'knip', command: 'knip', says: 'no unused file, export or dependency' },
  { name: 'lint', command: 'biome lint --error-on-warnings .', says: 'fast rules', refuses: /Found \d+ info/ },
  { name: 'format', command: 'biome check --linter-enabled=false .', says: 'formatting and import order' },
]

const arguments_ = process.argv.slice(2)
const wanted = arguments_.filter((argument) => !argument.startsWith('--'))
const unknown = wanted.filter((name) => !steps.some((step) => step.name === name))
if (unknown.length > 0) {
  process.stderr.write(
    `check: no step '${unknown.join("', '")}'; there are ${steps.map(({ name }) => name).join(', ')}\n`,
  )
  process.exit(2)
}

const noTests = arguments_.includes('--no-tests')
const needed = new Set(steps.filter(({ name }) => wanted.includes(name)).flatMap(({ name, needs }) => [name, needs]))
const chosen = steps.filter((step) => (wanted.length === 0 || needed.has(step.name)) && !(noTests && step.isTest))

/** @type {Map<string, 'passed' | 'failed' | 'skipped'>} */
const outcomes = new Map()
const startedAt = performance.now()

/** @param {Step} step */
async function run(step) {
  if (step.needs !== undefined && outcomes.get(step.needs) !== 'passed') {
    report(step, 'skipped', `needs ${step.needs}`)
    return
  }
  const stepStartedAt = performance.now()
  const { code, output } = await execute(step.command)
  const passed = code === 0 && !step.refuses?.test(output)
  report(step, passed ? 'passed' : 'failed', seconds(stepStartedAt), passed ? '' : `$ ${step.command}\n${output}`)
}

/**
 * @param {string} command
 * @returns {Promise<{ code: number | null, output: string }>}
 */
function execute(command) {
  // Compilers and linters fill the young generation over and over: with a larger one they need a tenth less.
  const options = `--max-semi-space-size=64 ${process.env['NODE_OPTIONS'] ?? ''}`
  const env = { ...process.env, NODE_OPTIONS: options, PATH: `${root}/node_modules/.bin:${process.env['PATH']}` }
  const child = spawn(command, { cwd: root, env, shell: true, stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  const collect = (/** @type {Buffer} */ chunk) => {
    output += chunk.toString()
  }
  child.stdout.on('data', collect)
  child.stderr.on('data', collect)
  return new Promise((resolve) => child.on('close', (code) => resolve({ code, output })))
}

/**
 * @param {Step} step
 * @param {'passed' | 'failed' | 'skipped'} outcome
 * @param {string} note
 * @param {string} [detail]
 */
function report(step, outcome, note, detail = '') {
  outcomes.set(step.name, outcome)
  const mark = { passed: 'ok  ', failed: 'FAIL', skipped: 'skip' }[outcome]
  process.stdout.write(`${mark}  ${step.name.padEnd(11)} ${note.padStart(11)}  ${step.says}\n`)
  if (detail) process.stdout.write(`${detail.trimEnd().replaceAll(/^/gm, '      ')}\n`)
}

/** @param {number} since */
function seconds(since) {
  return `${((performance.now() - since) / 1000).toFixed(1)} s`
}

/** Takes the next step that can run until none is left; a step whose need is still running waits its turn. */
async function work() {
  for (;;) {
    const index = queue.findIndex(({ needs }) => needs === undefined || outcomes.has(needs))
    const [step] = queue.splice(Math.max(index, 0), index < 0 ? 0 : 1)
    if (step) await run(step)
    else if (queue.length === 0) return
    else await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

const queue = [...chosen]
await Promise.all(Array.from({ length: Math.max(2, availableParallelism()) }, work))

const count = (/** @type {string} */ outcome) => [...outcomes.values()].filter((value) => value === outcome).length
const skipped = count('skipped') > 0 ? `, ${count('skipped')} skipped` : ''
process.stdout.write(`check: ${count('passed')} passed, ${count('failed')} failed${skipped} in ${seconds(startedAt)}\n`)
process.exitCode = count('failed') === 0 ? 0 : 1
