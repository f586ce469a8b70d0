/**
 * A storage under the batches of seam-workload.ts, each acknowledged when its write has been answered.
 *
 *   seam <folder> <full | relaxed> <seed> <steps> [acks-first]
 *
 * `acks-first` is the control: it acknowledges before the answer.
 */
import { appendFileSync } from 'node:fs'
import { join } from 'node:path'
import { LocalStorage } from '@a3s-lab/lane/storage'
import { drawSteps } from '../seam-workload.js'

const [folder = '', durability = 'full', seed = '1', steps = '100', control = ''] = process.argv.slice(2)
const storage = await LocalStorage.open({
  path: join(folder, 'lane.db'),
  durability: durability === 'full' ? 'full' : 'relaxed',
  // writes to the main file happen often
  checkpointBytes: 24 * 4096,
})
storage.attach({
  idPrefix: 'seam-',
  retention: { count: 1_000_000, ageMs: 1e12 },
  now: () => 1_700_000_200_000,
  onFault: (error) => {
    throw error
  },
})

const acknowledge = (number: number): void => appendFileSync(join(folder, 'acks'), `${number}\n`)
const atOnce = storage.writesAtOnce ?? 1
let underWay: Promise<void>[] = []
let done = 0
for (const { starts, batch } of drawSteps(Number(seed), Number(steps))) {
  const number = ++done
  if (starts.length > 0) storage.begin(starts)
  if (control === 'acks-first') acknowledge(number)
  const answer = Promise.resolve(storage.write(batch)).then(() => {
    if (control !== 'acks-first') acknowledge(number)
  })
  underWay.push(answer)
  if (underWay.length < atOnce) continue
  await underWay[0]
  underWay = underWay.slice(1)
}
await Promise.all(underWay)
// nothing tidies up behind a power failure
process.kill(process.pid, 'SIGKILL')
