/** One noisy tenant and nine small ones share a lane: who waits how long, with and without turns by key. */
import { setTimeout as sleep } from 'node:timers/promises'
import { QueueManager } from '@a3s-lab/lane'

type Tenant = { readonly key: string; readonly commands: number; readonly weight?: number }

/** Submits all commands of each tenant, one tenant after the other, and gives the key and the wait of each start in order. */
async function serve(fairness: 'none' | 'key', load: readonly Tenant[]) {
  await using queue = new QueueManager({ lanes: { shared: { priority: 0, maxConcurrency: 4, fairness } } })
  const starts: { readonly key: string; readonly waitedMs: number }[] = []
  const submittedAt = performance.now()
  for (const { key, commands, weight } of load) {
    const work = () => {
      starts.push({ key, waitedMs: performance.now() - submittedAt })
      return sleep(2)
    }
    for (let n = 0; n < commands; n++) void queue.submit('shared', work, { key, weight })
  }
  await queue.start()
  await queue.drain(60_000)
  return starts
}

const small = Array.from({ length: 9 }, (_, n) => `small-${n + 1}`)
const tenants = [{ key: 'noisy', commands: 1000 }, ...small.map((key) => ({ key, commands: 10 }))]
const served = { none: await serve('none', tenants), key: await serve('key', tenants) }

const last = (fairness: 'none' | 'key', key: string) => {
  const number = served[fairness].map((start) => start.key).lastIndexOf(key) + 1
  return { number, ms: served[fairness][number - 1]?.waitedMs ?? Number.NaN }
}
console.log("tenant   commands  its last start with fairness 'none'  with fairness 'key'")
for (const { key, commands } of tenants) {
  const cells = (['none', 'key'] as const).map((fairness) => {
    const { number, ms } = last(fairness, key)
    return `number ${String(number).padStart(4)}, after ${ms.toFixed(0).padStart(4)} ms`
  })
  console.log(`${key.padEnd(8)} ${String(commands).padStart(8)}  ${cells.join('            ')}`)
}

// A weight is a share: while all wait, gold is served four times as often as bronze.
const plans = [
  { key: 'gold', commands: 400, weight: 4 },
  { key: 'silver', commands: 400, weight: 2 },
  { key: 'bronze', commands: 400, weight: 1 },
]
const first = (await serve('key', plans)).slice(0, 350)
const shares = plans.map(({ key }) => first.filter((start) => start.key === key).length)
console.log(`\nof the first 350 starts: gold (weight 4) ${shares[0]}, silver (2) ${shares[1]}, bronze (1) ${shares[2]}`)

const checks = {
  'without turns every small tenant waits for all 1,000': small.every((key) => last('none', key).number > 1000),
  'with turns none waits for more than 100 starts': small.every((key) => last('key', key).number <= 100),
  'weights 4, 2 and 1 get 200, 100 and 50': shares.join() === '200,100,50',
}
for (const [check, holds] of Object.entries(checks)) console.log(`${holds ? 'yes' : 'NO '}  ${check}`)
process.exitCode = Object.values(checks).every(Boolean) ? 0 : 1
