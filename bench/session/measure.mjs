// @ts-check
/**
 * The measuring process of the suite `session`: one subject, one workload, once. Its argument says which, as JSON, its last
 * line of output the figures as JSON.
 */
import { sessionWorkloads } from './workloads.mjs'

const wanted = JSON.parse(process.argv[2] ?? '{}')
const workload = sessionWorkloads.find(({ id }) => id === wanted.workload)
if (workload === undefined) throw new Error(`no workload ${wanted.workload}`)
const text = JSON.stringify(await workload.measure(wanted.subject, wanted.settings))
process.stdout.write(`${text}\n`, () => process.exit(0))
