// @ts-check
/**
 * The benchmark's command line, `npm run bench -- <suite> [options]`. Exit codes: 0 done, 1 a measurement failed or a goal
 * was missed under --check, 2 the command line makes no sense.
 */
import { parseArgs } from 'node:util'
import { BenchError, FAILED, USAGE } from './bench-error.mjs'
import { drawChart } from './chart.mjs'
import { runCore, subjectNames, workloadIds } from './core.mjs'
import { engineIds, engineSubjects, runEngine } from './engine.mjs'
import { runPolicies } from './policies.mjs'
import { runProfile } from './profile.mjs'
import { runSession, sessionIds, sessionSubjects } from './session.mjs'
import { runStorage, storageIds, storageSubjects } from './storage.mjs'

const usage = `npm run bench -- core [options]      measure the queue in process, and its peers
npm run bench -- policies [options]  W1 to W5 against the last commit without policies: what they cost when unused
npm run bench -- storage [options]   durable commands: raw limits of the disk, other stores, and ours
npm run bench -- session [options]   the lanes of an agent session: what they cost, what they give, how soon they stop
npm run bench -- engine [options]    lanes shared over BullMQ, and BullMQ itself; needs redis-server
npm run bench -- chart [options]     draw docs/images/bench-core.svg and bench-storage.svg from bench/results

  --quick            3 rounds, 200,000 waiting in W5, 10 % tolerance on goals; a few minutes
  --check            exit code 1 when a goal is missed
  --only W1,W3       only these workloads: ${workloadIds.join(' ')}
                     of storage: ${storageIds.join(' ')}
                     of session: ${sessionIds.join(' ')}
                     of engine: ${engineIds.join(' ')}
  --subject lane,…   only these subjects: ${subjectNames.join(' ')}
                     of storage: ${storageSubjects.join(' ')}
                     of session: ${sessionSubjects.join(' ')}
                     of engine: ${engineSubjects.join(' ')}
  --rounds N         instead of 7
  --profile          one subject, one workload, with the CPU profiler: where the time goes
  --from, --to       of chart: another result, another picture
`

/** @type {Record<string, (options: Options) => Promise<number>>} */
const suites = {
  core: (options) => (options.profile ? runProfile(options) : runCore(options)),
  policies: (options) => runPolicies(options),
  storage: (options) => runStorage(options),
  session: (options) => runSession(options),
  engine: (options) => runEngine(options),
  chart: (options) => drawChart(options),
}

/** What can be chosen of the suites that have workloads of their own. @type {Record<string, { workloads: string[], subjects: string[] }>} */
const choices = {
  storage: { workloads: storageIds, subjects: storageSubjects },
  session: { workloads: sessionIds, subjects: sessionSubjects },
  engine: { workloads: engineIds, subjects: engineSubjects },
}

/** @typedef {ReturnType<typeof parsedOptions>['options']} Options */

/** @param {string[]} args */
function parsedOptions(args) {
  const { values, positionals } = parsed(args)
  const suite = suiteOf(positionals)
  const known = choices[suite] ?? { workloads: workloadIds, subjects: subjectNames }
  const options = {
    quick: values.quick ?? false,
    check: values.check ?? false,
    profile: values.profile ?? false,
    help: values.help ?? false,
    rounds: values.rounds === undefined ? undefined : count(values.rounds),
    workloads: chosen(values.only, known.workloads, 'workload'),
    subjects: chosen(values.subject, known.subjects, 'subject'),
    from: values.from,
    to: values.to,
  }
  return { suite, options }
}

/** @param {string[]} args */
function parsed(args) {
  try {
    return parseArgs({
      args,
      allowPositionals: true,
      options: {
        quick: { type: 'boolean' },
        check: { type: 'boolean' },
        profile: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
        only: { type: 'string' },
        subject: { type: 'string' },
        rounds: { type: 'string' },
        from: { type: 'string' },
        to: { type: 'string' },
      },
    })
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    throw new BenchError(`${message.split('. ')[0]}.`, { exitCode: USAGE, cause: error })
  }
}

/** @param {string[]} positionals */
function suiteOf(positionals) {
  const [suite = 'core', ...more] = positionals
  if (more.length > 0)
    throw new BenchError(`One suite at a time, not ${positionals.join(' and ')}.`, { exitCode: USAGE })
  if (!Object.hasOwn(suites, suite)) throw unknown('suite', suite, Object.keys(suites))
  return suite
}

/**
 * @param {string | undefined} list  comma-separated
 * @param {string[]} known
 * @param {string} kind
 */
function chosen(list, known, kind) {
  if (list === undefined) return known
  const names = list.split(',').map((name) => name.trim())
  const stranger = names.find((name) => !known.includes(name))
  if (stranger !== undefined) throw unknown(kind, stranger, known)
  return known.filter((name) => names.includes(name))
}

/**
 * @param {string} kind
 * @param {string} name
 * @param {string[]} known
 */
function unknown(kind, name, known) {
  return new BenchError(`There is no ${kind} '${name}'; there are ${known.join(', ')}.`, { exitCode: USAGE })
}

/** @param {string} text */
function count(text) {
  const value = Number(text)
  if (!Number.isInteger(value) || value < 1)
    throw new BenchError(`--rounds takes a whole number from 1, not '${text}'.`, { exitCode: USAGE })
  return value
}

async function main() {
  const { suite, options } = parsedOptions(process.argv.slice(2))
  if (options.help) {
    process.stdout.write(usage)
    return 0
  }
  return /** @type {(options: Options) => Promise<number>} */ (suites[suite])(options)
}

main().then(
  (exitCode) => {
    process.exitCode = exitCode
  },
  (error) => {
    process.stderr.write(`${error instanceof BenchError ? error.message : error.stack}\n`)
    process.exitCode = error instanceof BenchError ? error.exitCode : FAILED
  },
)
