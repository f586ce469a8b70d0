// @ts-check
/** A worker in a process of its own. Its argument says of which side, as JSON; it tells its parent how much it has done. */
import { sides } from './sides.mjs'

const { subject, url, concurrency } = JSON.parse(process.argv[2] ?? '{}')
let done = 0
let firstAt = 0
const side = sides[subject]
if (side === undefined) throw new Error(`no side ${subject}`)
const worker = await side.worker({
  url,
  concurrency,
  work: (n) => {
    if (done++ === 0) firstAt = performance.timeOrigin + performance.now()
    return n
  },
})
process.on('message', async (message) => {
  if (message === 'count') process.send?.({ done, firstAt })
  if (message !== 'close') return
  await worker.close()
  process.exit(0)
})
process.on('disconnect', () => process.exit(0))
process.send?.('ready')
