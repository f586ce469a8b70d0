// @ts-check
/** The measuring process of the suite `engine`: one subject, one workload, once, with a server of its own. */
import { startRedis } from './redis-server.mjs'
import { engineWorkloads } from './workloads.mjs'

const wanted = JSON.parse(process.argv[2] ?? '{}')
const workload = engineWorkloads.find(({ id }) => id === wanted.workload)
if (workload === undefined) throw new Error(`no workload ${wanted.workload}`)
const redis = await startRedis()
let text
try {
  text = JSON.stringify(await workload.measure(wanted.subject, redis.url, wanted.settings))
} finally {
  await redis.stop()
}
process.stdout.write(`${text}\n`, () => process.exit(0))
