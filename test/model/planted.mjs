/**
 * `npm run planted`: plants one bug after the other in a copy of src and runs the tests of this folder against it. Every
 * bug has to be caught; without any, the tests have to pass. An argument takes only the bugs whose name contains it.
 *
 * LANE_MODEL_SRC names another src to plant them in.
 */
import { spawn } from 'node:child_process'
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { plantedBugs } from './planted-bugs.mjs'

/** @typedef {import('./planted-bugs.mjs').PlantedBug} PlantedBug */
/** @typedef {{ passed: boolean, caughtBy: string[] }} Verdict */

const root = fileURLToPath(new URL('../..', import.meta.url))
const source = process.env['LANE_MODEL_SRC'] ?? join(root, 'src')
const workplace = mkdtempSync(join(tmpdir(), 'lane-planted-'))
/** A bug may make a test wait for ever: that is caught too. */
const LIMIT_MS = 120_000

/**
 * @param {PlantedBug} bug
 * @param {string} folder
 */
function plant({ name, file, find, replace, times = 1 }, folder) {
  const path = join(folder, file)
  const text = readFileSync(path, 'utf8')
  const found = text.split(find).length - 1
  if (found !== times)
    throw new Error(`'${name}': the text stands ${found} times in src/${file}, expected ${times}: ${find}`)
  writeFileSync(
    path,
    text.replaceAll(find, () => replace),
  )
}

/**
 * @param {string} folder
 * @returns {Promise<Verdict>}
 */
function tryTests(folder) {
  const report = `${folder}.json`
  const env = { ...process.env, LANE_MODEL_SRC: folder, LANE_MODEL_SHRINK: '0' }
  const config = 'test/model/other-source.config.ts'
  const options = ['run', 'test/model', '--config', config, '--bail=1', '--reporter=json', `--outputFile=${report}`]
  const child = spawn(join(root, 'node_modules/.bin/vitest'), options, { cwd: root, env, stdio: 'ignore' })
  return new Promise((resolve) => {
    const limit = setTimeout(() => child.kill('SIGKILL'), LIMIT_MS)
    child.on('close', (code) => {
      clearTimeout(limit)
      resolve({ passed: code === 0, caughtBy: code === 0 ? [] : failedTests(report) })
    })
  })
}

/** @param {string} report */
function failedTests(report) {
  try {
    /** @type {{ testResults: { name: string, message?: string, assertionResults: { status: string, title: string }[] }[] }} */
    const { testResults } = JSON.parse(readFileSync(report, 'utf8'))
    const titles = testResults.flatMap(({ name, assertionResults }) =>
      assertionResults
        .filter(({ status }) => status === 'failed')
        .map(({ title }) => `${name.slice(name.lastIndexOf('/') + 1)}: ${title}`),
    )
    return titles.length > 0 ? titles : ['an error outside every test']
  } catch {
    return ['tests that do not end']
  }
}

/**
 * @param {PlantedBug | undefined} bug
 * @param {number} index
 */
async function judge(bug, index) {
  const folder = join(workplace, `src${index}`)
  cpSync(source, folder, { recursive: true })
  if (bug !== undefined) plant(bug, folder)
  const verdict = await tryTests(folder)
  rmSync(folder, { recursive: true })
  return verdict
}

/**
 * @param {readonly PlantedBug[]} planted
 * @returns {Promise<number>} how many were missed
 */
async function judgeAll(planted) {
  let missed = 0
  const left = [...planted.entries()]
  async function work() {
    for (let next = left.shift(); next !== undefined; next = left.shift()) {
      const [index, bug] = next
      const { passed, caughtBy } = await judge(bug, index)
      if (passed) missed++
      const [by = 'NOT CAUGHT'] = caughtBy
      process.stdout.write(`${passed ? 'FAIL' : 'ok  '}  ${bug.name.padEnd(72)}  ${by}\n`)
    }
  }
  await Promise.all(Array.from({ length: availableParallelism() }, work))
  return missed
}

const wanted = process.argv[2] ?? ''
const bugs = plantedBugs.filter(({ name }) => name.includes(wanted))
try {
  // all texts first: a bug that cannot be planted should not wait for those before it
  for (const bug of bugs) {
    const folder = join(workplace, 'trial')
    cpSync(source, folder, { recursive: true })
    plant(bug, folder)
    rmSync(folder, { recursive: true })
  }
  const clean = await judge(undefined, -1)
  if (!clean.passed) throw new Error(`the tests fail without any planted bug: ${clean.caughtBy.join('; ')}`)
  const missed = await judgeAll(bugs)
  process.stdout.write(`planted: ${bugs.length - missed} caught, ${missed} missed\n`)
  process.exitCode = missed === 0 ? 0 : 1
} finally {
  rmSync(workplace, { recursive: true, force: true })
}
