/** What came of it: was each command settled once, is each result right, and what happened to those of the dead worker. */
import { isDeepStrictEqual } from 'node:util'
import type { CommandRecord } from '@a3s-lab/lane'
import type { Queue } from './lanes.js'
import type { Sent, Traffic } from './traffic.js'
import type { Tree } from './tree.js'
import { seconds } from './view.js'
import { type WorkType, work } from './work.js'
import type { Workers } from './workers.js'

/** What a dying process has still sent is there within this time; nothing is run again so soon. */
const ON_ITS_WAY_MS = 1000

/** Does every different piece of work once more, here, without a queue. Gives what differs from what came back. */
async function differences(sent: readonly Sent[], tree: Tree): Promise<{ of: number; wrong: readonly Sent[] }> {
  const pieces = new Map<string, Sent[]>()
  for (const one of sent) {
    if (one.type === 'status') continue
    const key = `${one.type} ${one.name}`
    const same = pieces.get(key)
    if (same === undefined) pieces.set(key, [one])
    else same.push(one)
  }
  const wrong: Sent[] = []
  for (const group of chunks([...pieces.values()], 4)) {
    await Promise.all(
      group.map(async (same) => {
        const [{ type, name }] = same as [Sent]
        const right = await work(type as WorkType, tree.root, { name })
        wrong.push(...same.filter(({ result }) => !isDeepStrictEqual(result, right)))
      }),
    )
  }
  return { of: pieces.size, wrong }
}

/** Prints whether it was as it has to be, and says it. */
export async function report(queue: Queue, traffic: Traffic, workers: Workers, tree: Tree): Promise<boolean> {
  const { sent } = traffic
  const { of, wrong } = await differences(sent, tree)
  const completed = await allCompleted(queue)
  const { totalPending, totalActive, totalDelayed } = await queue.clusterStats()
  const { recoveries } = workers
  const left = leftBy(workers, completed)
  const again = left.filter((id) => recoveries.some((recovery) => recovery.id === id))
  const checks = {
    [`all ${sent.length} commands are settled, each once`]:
      sent.every(({ outcomes, error }) => outcomes === 1 && error === undefined) &&
      [...workers.ends.values()].every((ends) => ends === 1) &&
      isDeepStrictEqual(new Set(completed.map(({ id }) => id)), new Set(sent.map(({ id }) => id))) &&
      completed.length === sent.length,
    [`their results are those of ${of} pieces of work done directly`]: wrong.length === 0,
    [`what the killed worker has left was run again by others: ${left.length}`]: again.length === left.length,
    'nothing waits or runs any more': totalPending + totalActive + totalDelayed === 0,
  }
  for (const [check, holds] of Object.entries(checks)) console.log(`${holds ? 'yes' : 'NO '}  ${check}`)
  console.log(`\nrecovered  ${recoveryText(recoveries.map(({ afterMs }) => afterMs))}`)
  console.log(`control    ${startText(sent.filter(({ id }) => !left.includes(id)))}`)
  return Object.values(checks).every(Boolean)
}

/** What ran where a worker was killed, without that which had its outcome by then: word of it may have been lost. */
function leftBy({ killed, lost }: Workers, completed: readonly CommandRecord[]): readonly string[] {
  const until = (killed?.killedAt ?? 0) + ON_ITS_WAY_MS
  const ended = completed.filter(({ endedAt = '' }) => Date.parse(endedAt) < until).map(({ id }) => id)
  return lost.filter((id) => !ended.includes(id))
}

/** All that the engine keeps as completed. */
async function allCompleted(queue: Queue): Promise<CommandRecord[]> {
  const records: CommandRecord[] = []
  let cursor: string | undefined
  do {
    const { items, nextCursor } = await queue.list({ state: 'completed', limit: 1000, cursor })
    records.push(...items)
    cursor = nextCursor
  } while (cursor !== undefined)
  return records
}

function recoveryText(delays: readonly number[]): string {
  if (delays.length === 0) return 'nothing had to be'
  const [first, last] = [seconds(Math.min(...delays)), seconds(Math.max(...delays))]
  return `${delays.length}, started again ${first === last ? first : `${first} to ${last}`} after the kill`
}

/** From the submit in the coordinator to the start of the handler in a worker. */
function startText(sent: readonly Sent[]): string {
  const delays = sent
    .filter(({ type, result }) => type === 'status' && result !== undefined)
    .map(({ submittedAt, result }) => (result as { readonly startedAt: number }).startedAt - submittedAt)
    .sort((a, b) => a - b)
  const at = (share: number): string => `${(delays[Math.ceil(share * delays.length) - 1] ?? 0).toFixed(1)} ms`
  return `${delays.length}, submit to start p50 ${at(0.5)}, p99 ${at(0.99)}, longest ${at(1)}`
}

function* chunks<T>(all: readonly T[], size: number): Generator<readonly T[]> {
  for (let at = 0; at < all.length; at += size) yield all.slice(at, at + size)
}
