/** A queue whose `does` commands run on threads. Real threads need real time: tests wait for conditions, not for durations. */
import {
  type CommandRun,
  type LaneDefinition,
  QueueManager,
  type QueueOptions,
  type SubmitOptions,
} from '@a3s-lab/lane'
import { ThreadPool, type ThreadPoolOptions } from '@a3s-lab/lane/workers'

export const BODIES = new URL('./bodies/does.mjs', import.meta.url)

/** Time for a thread to start on a slow machine, and for what a test does with it. */
export const LIMIT_MS = 30_000

type Options = ThreadPoolOptions & {
  readonly lanes?: Readonly<Record<string, Partial<LaneDefinition>>>
  readonly queue?: Partial<QueueOptions>
}

export class OnThreads implements AsyncDisposable {
  readonly queue: QueueManager
  readonly pool: ThreadPool

  constructor({ lanes = { work: {} }, queue, ...options }: Options) {
    this.pool = new ThreadPool(options)
    const definitions = Object.entries(lanes).map(([id, lane], index) => [
      id,
      { priority: index, maxConcurrency: 10, ...lane },
    ])
    this.queue = new QueueManager({
      ...queue,
      lanes: Object.fromEntries(definitions) as Record<string, LaneDefinition>,
    })
    this.queue.handle('does', this.pool.handler(BODIES))
  }

  /** Submits a command of which `does` says what its body does. */
  do<R = unknown>(does: string, more: object = {}, options: SubmitOptions & { lane?: string } = {}): CommandRun<R> {
    const { lane = 'work', ...submit } = options
    return this.queue.submit<R>(lane, { type: 'does', payload: { does, ...more } }, submit)
  }

  /** Submits one that says when it has started, and waits for that. */
  async started<R = unknown>(...command: Parameters<OnThreads['do']>): Promise<{ run: CommandRun<R> }> {
    const run = this.do<R>(...command)
    for await (const said of run.progress()) if (said === 'started') return { run }
    throw new Error(`${command[0]} has ended and never started`)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.queue.close({ timeoutMs: 0 })
    await this.pool.close({ timeoutMs: 0 })
    const { alive, running, waiting } = this.pool.stats()
    if (alive + running + waiting > 0) throw new Error(`Left of the pool: ${JSON.stringify(this.pool.stats())}`)
  }
}

export async function onThreads(options: Options = {}): Promise<OnThreads> {
  const t = new OnThreads({ threads: 2, ...options })
  await t.queue.start()
  return t
}

/** Waits until something is so. */
export async function until(what: string, isSo: () => boolean, limitMs = 10_000): Promise<void> {
  const end = performance.now() + limitMs
  while (!isSo()) {
    if (performance.now() > end) throw new Error(`Waited in vain for ${what}`)
    await new Promise<void>((resolve) => setTimeout(resolve, 2))
  }
}

/** A flag that a body can wait for. */
export function flag() {
  const go = new SharedArrayBuffer(4)
  return { go, raise: () => Atomics.store(new Int32Array(go), 0, 1) }
}
