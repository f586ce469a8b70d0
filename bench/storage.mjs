// @ts-check
/**
 * The suite `storage`: durable commands against what the disk and other stores can do. As in `core`, every measurement is a
 * fresh process and all take turns; each has files of its own in the temporary folder, which has to be on a real disk.
 */
import { loadavg } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import Database from 'better-sqlite3'
import { goalLine, judge, storageGoals } from './goals.mjs'
import { describeCommit, describeMachine, versionsOf } from './machine.mjs'
import { measure } from './measurement.mjs'
import { checked, keepResult, print, warnWhenBusy } from './outcome.mjs'
import { headerLines } from './report.mjs'
import { measuredInTurns, planOf } from './rounds.mjs'
import { describePlace, ownFolder } from './storage/folder.mjs'
import { storageWorkloads } from './storage/workloads.mjs'

/** @typedef {import('./storage/workloads.mjs').StorageSettings} StorageSettings */
/** @typedef {import('./storage/workloads.mjs').StorageWorkload} StorageWorkload */

const script = fileURLToPath(new URL('storage/measure.mjs', import.meta.url))

/** The package behind every subject. @type {Readonly<Record<string, string>>} */
const packages = {
  lane: '@a3s-lab/lane',
  sqlite: 'better-sqlite3',
  'sqlite-100': 'better-sqlite3',
  'sqlite-100-pipelined': 'better-sqlite3',
  'sqlite-1000': 'better-sqlite3',
  'sqlite-1000-pipelined': 'better-sqlite3',
  plainjob: 'plainjob',
  lmdb: 'lmdb',
}

/** @type {{ rounds: number, settings: StorageSettings }} */
const full = { rounds: 7, settings: { warmUpMs: 1500, measureMs: 2000, waiting: 1_000_000 } }
/** @type {{ rounds: number, settings: StorageSettings }} */
const quickly = { rounds: 3, settings: { warmUpMs: 800, measureMs: 800, waiting: 1_000_000 } }

/** Every subject. */
export const storageSubjects = Object.keys(packages)

/** Every workload's id. */
export const storageIds = storageWorkloads.map(({ id }) => id)

/**
 * @param {import('./core.mjs').CoreOptions} options
 * @returns {Promise<number>} the exit code
 */
export async function runStorage(options) {
  const { rounds, settings } = options.quick ? quickly : full
  const plan = planOf(storageWorkloads, options)
  const about = {
    suite: 'storage',
    quick: options.quick,
    rounds: options.rounds ?? rounds,
    settings,
    machine: describeMachine(),
    place: describePlace(),
    loadAtStart: loadavg()[0] ?? 0,
    commit: describeCommit(),
    versions: {
      ...versionsOf(plan.flatMap(({ subjects }) => subjects.map((name) => packages[name] ?? name))),
      SQLite: sqliteVersion(),
    },
  }
  print([...headerLines(about), placeLine(about.place)])
  warnWhenBusy(about.loadAtStart)
  const filled = await filledFiles(plan, settings)
  const rows = await measuredInTurns(plan, {
    rounds: about.rounds,
    quick: options.quick,
    figuresOf: ({ id }, subject) =>
      measure({ workload: id, subject, settings, ...fileOf(filled, subject) }, { script }),
  })
  const verdicts = judge(rows, { quick: options.quick, held: storageGoals })
  print(['', ...verdicts.map(goalLine)])
  keep(options, about.rounds, { ...about, workloads: rows, goals: verdicts })
  return options.check ? checked(verdicts) : 0
}

/**
 * A file with waiting commands for every subject of a workload that opens one: made once, copied for each measurement.
 *
 * @param {StorageWorkload[]} plan
 * @param {StorageSettings} settings
 * @returns {Promise<Map<string, string>>} the files, by subject
 */
async function filledFiles(plan, settings) {
  /** @type {Map<string, string>} */
  const files = new Map()
  for (const { id, subjects } of plan.filter(({ isFilled }) => isFilled === true)) {
    for (const subject of subjects) {
      process.stderr.write(`a file with ${settings.waiting} waiting commands: ${subject}\n`)
      const filled = join(ownFolder(), 'filled.db')
      await measure({ workload: id, subject, settings, filled, fill: true }, { script })
      files.set(subject, filled)
    }
  }
  return files
}

/**
 * @param {Map<string, string>} files
 * @param {string} subject
 */
function fileOf(files, subject) {
  const filled = files.get(subject)
  return filled === undefined ? {} : { filled }
}

function sqliteVersion() {
  const database = new Database(':memory:')
  const version = String(database.prepare('SELECT sqlite_version()').pluck().get())
  database.close()
  return version
}

/** @param {ReturnType<typeof describePlace>} place */
function placeLine({ folder, fileSystem, isInMemory }) {
  const where = `files in ${folder} (${fileSystem})`
  return isInMemory ? `${where}: in memory, so syncs cost nothing and no synced figure counts; set TMPDIR` : where
}

/**
 * Writes the result when it is a whole one, as `core` does.
 *
 * @param {import('./core.mjs').CoreOptions} options
 * @param {number} rounds
 * @param {object} result
 */
function keep(options, rounds, result) {
  const whole = options.workloads.length === storageIds.length && options.subjects.length === storageSubjects.length
  if (!whole || (!options.quick && rounds < full.rounds)) return
  keepResult(options.quick ? 'storage-quick.json' : 'storage.json', result)
}
