/**
 * A whole queue at work, recorded for crash images. What it sees goes into one history, which is its file of
 * acknowledgements: it is written when the queue has answered.
 *
 *   queue <folder> <full | relaxed> <commands>
 */
import { join } from 'node:path'
import { Points } from '../armed-storage.js'
import { openHistory } from '../history.js'
import { openQueue, Tortured } from '../tortured.js'

const [folder = '', durability = 'full', commands = '120'] = process.argv.slice(2)
const history = openHistory(folder, 'before', 'acks')
const path = join(folder, 'lane.db')
const { queue } = await openQueue(
  // writes to the main file happen often
  { path, durability: durability === 'full' ? 'full' : 'relaxed', checkpointBytes: 24 * 4096 },
  (inner) => inner,
)
const tortured = new Tortured(queue, history, new Points(undefined), () => {})
await queue.start()
for (let done = 0; done < Number(commands); done += 6) {
  const names = Array.from({ length: 6 }, (_, n) => `power-${done + n}`)
  await tortured.submitAll(names)
}
// nothing tidies up behind a power failure
process.kill(process.pid, 'SIGKILL')
