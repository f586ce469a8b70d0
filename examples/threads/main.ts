/**
 * CPU-bound work on all cores, and a control lane that never notices.
 *
 * Two lanes count primes on worker threads, first on one thread, then on as many as the machine has cores. All the while a
 * `control` command is submitted every few milliseconds; it runs in process, on the event loop that the primes leave free.
 * The exit code is 0 when the primes were counted right and control commands have run meanwhile.
 */
import { availableParallelism } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { QueueManager } from '@a3s-lab/lane'
import { ThreadPool } from '@a3s-lab/lane/workers'
import type { Range } from './count-primes.js'

const UP_TO = 2_000_000
const PRIMES = 148_933
const RANGES = 100
const CONTROL_EVERY_MS = 4

type Trial = { readonly ms: number; readonly primes: number; readonly waits: readonly number[] }

async function tryOut(threads: number): Promise<Trial> {
  await using pool = new ThreadPool({ threads })
  await using queue = new QueueManager({
    lanes: {
      control: { priority: 0 },
      system: { priority: 1, maxConcurrency: threads },
      skill: { priority: 5, maxConcurrency: threads },
    },
  })
  queue.handle('count', pool.handler<Range, number>(new URL('./count-primes.js', import.meta.url)))
  queue.handle<number, number>('beat', (submittedAt) => performance.now() - submittedAt)
  await queue.start()

  const startedAt = performance.now()
  const counts = Array.from({ length: RANGES }, (_, index) => {
    const payload = { from: (UP_TO / RANGES) * index, to: (UP_TO / RANGES) * (index + 1) }
    return queue.submit<number>(index % 2 === 0 ? 'system' : 'skill', { type: 'count', payload })
  })
  let isBusy = true
  const primes = Promise.all(counts).finally(() => {
    isBusy = false
  })
  const beats: PromiseLike<number>[] = []
  while (isBusy) {
    beats.push(queue.submit<number>('control', { type: 'beat', payload: performance.now() }))
    await sleep(CONTROL_EVERY_MS)
  }
  const total = (await primes).reduce((sum, count) => sum + count, 0)
  const ms = performance.now() - startedAt
  const waits = await Promise.all(beats)
  return { ms, primes: total, waits: waits.sort((a, b) => a - b) }
}

const quantile = (sorted: readonly number[], share: number): string =>
  (sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0).toFixed(2)

function print(title: string, { ms, primes, waits }: Trial): void {
  console.log(title)
  console.log(`  ranges     ${RANGES} in ${ms.toFixed(0)} ms, ${((RANGES * 1000) / ms).toFixed(0)} per second`)
  console.log(`  primes     ${primes.toLocaleString('en')} below ${UP_TO.toLocaleString('en')}`)
  console.log(`  control    ${waits.length} commands, submit to start in ms:`)
  console.log(`             p50 ${quantile(waits, 0.5)}  p99 ${quantile(waits, 0.99)}  max ${quantile(waits, 1)}\n`)
}

const one = await tryOut(1)
print('One thread', one)
const cores = availableParallelism()
const all = await tryOut(cores)
print(`${cores} threads`, all)
console.log(`${(one.ms / all.ms).toFixed(2)} times as fast on ${cores} cores\n`)

const checks = {
  'both count every prime': one.primes === PRIMES && all.primes === PRIMES,
  'control commands have run all the while': one.waits.length > 0 && all.waits.length > 0,
}
for (const [check, holds] of Object.entries(checks)) console.log(`${holds ? 'yes' : 'NO '}  ${check}`)
console.log(
  `${Number(quantile(all.waits, 0.99)) <= 5 ? 'yes' : 'no '}  control starts within 5 ms, p99, while all cores are busy`,
)
process.exitCode = Object.values(checks).every(Boolean) ? 0 : 1
