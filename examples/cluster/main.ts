/**
 * `npm run example cluster [folder …]`: one queue, five processes, and one of them dies.
 *
 * It starts a Redis server of its own, three worker processes, and is the coordinator itself. For some seconds it submits
 * work on a copy of the folders (default this package's source and documentation) to the six built-in lanes, with
 * control commands in between. Then it kills a worker in the middle of its work, and starts no other: what ran there is
 * run again by those that are left. In the end it does all the work once more, directly, and compares.
 *
 * The exit code is 0 when every command was settled once, with the right result.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { LEASE_MS, newQueue, type Queue, sharedNow } from './lanes.js'
import { report } from './report.js'
import { Server } from './server.js'
import { Traffic } from './traffic.js'
import { copyTree, OWN_TREE } from './tree.js'
import { newView, type Scene, seconds, type View } from './view.js'
import { type Worker, Workers } from './workers.js'

/** How long work comes in (`SECONDS` says otherwise), and when in it a worker is killed. */
const WORK_MS = Number(process.env['SECONDS'] ?? 10) * 1000
const KILL_AT_MS = 3000
/** For so long one is waited for that has much to lose. */
const KILL_BY_MS = 4500
const TICK_MS = 20
const LOOK_MS = 200

async function run(folders: readonly string[], place: string): Promise<number> {
  await mkdir(join(place, 'redis'))
  using server = await Server.start(join(place, 'redis'))
  const tree = await copyTree(folders, join(place, 'tree'))
  const queue = newQueue(server.url, 'coordinator', (error) => console.error('coordinator:', error))
  await using _end = { [Symbol.asyncDispose]: () => queue.close() }
  await queue.start()
  await using workers = new Workers(['w1', 'w2', 'w3'], [server.url, tree.root])
  await workers.ready()
  const traffic = new Traffic(queue, tree)
  const scene: Scene = {
    about: `Lanes over ${workers.list.length} workers, ${await serverName(queue)}, lease ${seconds(LEASE_MS)}`,
    startedAt: sharedNow(),
    traffic,
    workers: workers.list,
    said: [],
    stats: await queue.clusterStats(),
  }
  const view = newView(scene, process.stdout)
  workers.onRecovered = ({ id, by, afterMs }) =>
    view.say(`${by} runs again: ${traffic.about(id)} (${seconds(afterMs)} after the kill)`)
  const looking = look(scene, queue, view)
  await submitAll(scene, workers, view)
  await traffic.allSettled()
  await looking.end()
  view.say('all is settled; now the same work once more, directly')
  view.close()
  console.log()
  return (await report(queue, traffic, workers, tree)) ? 0 : 1
}

/** Lets the work flow in, and kills a worker on the way. */
async function submitAll({ startedAt, traffic }: Scene, workers: Workers, view: View): Promise<void> {
  for (let elapsed = 0; elapsed < WORK_MS; elapsed = sharedNow() - startedAt) {
    traffic.flow(elapsed)
    if (elapsed >= KILL_AT_MS && workers.killed === undefined) {
      const victim = busiest(workers.list)
      if (elapsed >= KILL_BY_MS || hasMuchToLose(victim)) {
        const running = [...victim.running].map((id) => traffic.about(id))
        workers.kill(victim)
        view.say(`${victim.name} is killed while it runs ${running.join(', ') || 'nothing'}`)
      }
    }
    await sleep(TICK_MS)
  }
}

const isLong = (id: string): boolean => id.startsWith('prompt')

const hasMuchToLose = ({ running }: Worker): boolean => running.size >= 3 && [...running].some(isLong)

/** The one with something long to lose, and most of it. */
function busiest(workers: readonly Worker[]): Worker {
  const weight = ({ running }: Worker): number => [...running].reduce((sum, id) => sum + (isLong(id) ? 100 : 1), 0)
  return workers.reduce((best, worker) => (weight(worker) > weight(best) ? worker : best))
}

/** Asks the queue for its counts again and again, and shows them. */
function look(scene: Scene, queue: Queue, view: View): { end(): Promise<void> } {
  const stop = new AbortController()
  const looking = (async () => {
    while (!stop.signal.aborted) {
      scene.stats = await queue.clusterStats()
      view.draw()
      await sleep(LOOK_MS, undefined, { signal: stop.signal }).catch(() => undefined)
    }
    scene.stats = await queue.clusterStats()
  })()
  return {
    end() {
      stop.abort()
      return looking
    },
  }
}

async function serverName(queue: Queue): Promise<string> {
  return String((await queue.clusterStats()).connection['server'])
}

const folder = mkdtempSync(join(tmpdir(), 'lane-cluster-'))
process.once('exit', () => rmSync(folder, { recursive: true, force: true }))
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130))

const named = process.argv.slice(2).map((path) => resolve(path))
process.exitCode = await run(named.length === 0 ? OWN_TREE : named, folder).catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error)
  return 1
})
