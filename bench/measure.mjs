// @ts-check
/**
 * The measuring process: one subject, one workload (or one side of it), once. Its argument says which, as JSON, its last
 * line of output the figures as JSON. It ends itself, because some workloads leave work behind.
 */
import { allocationsOf } from './workloads/allocations.mjs'
import { workloads } from './workloads/index.mjs'

const wanted = JSON.parse(process.argv[2] ?? '{}')
const workload = workloads.find(({ id }) => id === wanted.workload)
if (workload === undefined) throw new Error(`no workload ${wanted.workload}`)

/** @type {{ default: import('./subjects/subject.mjs').Subject }} */
const { default: subject } = await import(`./subjects/${wanted.subject}.mjs`)
const figures = wanted.allocations
  ? await allocationsOf(workload.id, subject)
  : await workload.measure(subject, wanted.settings, wanted.side ?? '')

process.stdout.write(`${JSON.stringify(figures)}\n`, () => process.exit(0))
