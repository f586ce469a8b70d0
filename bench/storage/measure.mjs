// @ts-check
/**
 * The measuring process of the suite `storage`: one subject, one workload, once; or, with `fill`, a file in which commands
 * wait. Its argument says which, as JSON, its last line of output the figures as JSON. It ends itself, because some workloads
 * leave work behind.
 */
import { storageWorkloads } from './workloads.mjs'

const wanted = JSON.parse(process.argv[2] ?? '{}')

/** @type {{ default: import('./subjects/subject.mjs').StorageSubject }} */
const { default: subject } = await import(`./subjects/${wanted.subject}.mjs`)

async function figures() {
  if (wanted.fill === true) {
    if (subject.fill === undefined) throw new Error(`${subject.name} fills no file`)
    await subject.fill(wanted.filled, wanted.settings.waiting)
    return {}
  }
  const workload = storageWorkloads.find(({ id }) => id === wanted.workload)
  if (workload === undefined) throw new Error(`no workload ${wanted.workload}`)
  return workload.measure(subject, wanted.settings, wanted.filled)
}

const text = JSON.stringify(await figures())
process.stdout.write(`${text}\n`, () => process.exit(0))
