/** Groups of rate limits over many queues: who is passed over, who is not, and when the next one starts. */
import {
  type CommandContext,
  type Cost,
  type LaneDefinition,
  PriorityBoostConfig,
  QueueManager,
  RateLimitConfig,
  RateLimitGroup,
  type RateLimitOptions,
} from '@a3s-lab/lane'
import { MemoryStorage, VirtualClock } from '@a3s-lab/lane/testing'
import { expect, test } from 'vitest'

type Options = {
  readonly cap?: number
  readonly work?: Partial<LaneDefinition>
  /** Limits beside the shared one. */
  readonly more?: readonly RateLimitConfig[]
  readonly storage?: MemoryStorage
}

/** Queues whose lanes `work` share one limit per second, and what has started when. */
class Shop implements AsyncDisposable {
  readonly clock = new VirtualClock()
  readonly starts: [string, number][] = []
  readonly #queues: QueueManager[] = []
  readonly #limit: RateLimitConfig

  constructor(maxCommands: number, options: RateLimitOptions = {}) {
    this.#limit = RateLimitConfig.perSecond(maxCommands, { ...options, group: new RateLimitGroup() })
  }

  async queue({ cap, work, more = [], storage }: Options = {}): Promise<QueueManager> {
    const queue = new QueueManager({
      clock: this.clock,
      ...(storage === undefined ? {} : { storage }),
      ...(cap === undefined ? {} : { maxConcurrency: cap }),
      lanes: {
        busy: { priority: 0, minConcurrency: 0 },
        work: { priority: 1, minConcurrency: 0, maxConcurrency: 10, rateLimit: [this.#limit, ...more], ...work },
      },
    })
    this.#queues.push(queue)
    await queue.start()
    return queue
  }

  submit(queue: QueueManager, name: string, cost?: Cost): void {
    const body = (): void => void this.starts.push([name, this.clock.now()])
    queue.submit('work', body, cost === undefined ? {} : { cost }).catch(() => undefined)
  }

  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => this.clock.setTimer(ms, resolve))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = Promise.all(this.#queues.map((queue) => queue.close({ timeoutMs: 0 })))
    await this.clock.advanceToEnd()
    await closed
  }
}

test('lanes whose queues have no slot are passed over, and have their turn when they have one', async () => {
  await using shop = new Shop(1)
  const full = await Promise.all([1, 2, 3].map(() => shop.queue({ cap: 1 })))
  const free = await shop.queue()
  shop.submit(free, 'the first token')
  await shop.clock.settle()
  for (const queue of full) shop.submit(queue, 'full')
  await shop.clock.settle()
  for (const name of ['free', 'free again']) shop.submit(free, name)
  for (const queue of full) void queue.submit('busy', () => shop.sleep(1500))
  await shop.clock.advance(10_000)
  expect(shop.starts).toEqual([
    ['the first token', 0],
    ['free', 1000],
    ['full', 2000],
    ['full', 3000],
    ['full', 4000],
    ['free again', 5000],
  ])
})

test('a lane that finds its queue full at its turn is passed over at once', async () => {
  await using shop = new Shop(1)
  const [full, free] = [await shop.queue({ cap: 1 }), await shop.queue()]
  shop.submit(free, 'the first token')
  await shop.clock.settle()
  shop.submit(full, 'full')
  for (let n = 0; n < 3; n++) shop.submit(free, `free ${n}`)
  await shop.clock.advance(500)
  void full.submit('busy', () => shop.sleep(2000))
  await shop.clock.advance(10_000)
  expect(shop.starts).toEqual([
    ['the first token', 0],
    ['free 0', 1000],
    ['free 1', 2000],
    ['full', 3000],
    ['free 2', 4000],
  ])
})

test('a queue that closes, and keeps what is stored, is passed over while it still works', async () => {
  await using shop = new Shop(1)
  const closing = await Promise.all([1, 2].map(() => shop.queue({ storage: new MemoryStorage() })))
  const other = await shop.queue()
  shop.submit(other, 'the first token')
  await shop.clock.settle()
  for (const queue of closing) {
    queue.handle('kept', () => shop.starts.push(['kept', shop.clock.now()]))
    queue.handle('slow', () => shop.sleep(5000))
    queue.submit('busy', { type: 'slow' }).catch(() => undefined)
    queue.submit('work', { type: 'kept' }).catch(() => undefined)
  }
  await shop.clock.advance(100)
  for (let n = 0; n < 3; n++) shop.submit(other, `other ${n}`)
  await shop.clock.advance(100)
  const closed = Promise.all(closing.map((queue) => queue.close({ timeoutMs: 10_000 })))
  await shop.clock.advance(4000)
  expect(shop.starts).toEqual([
    ['the first token', 0],
    ['other 0', 1000],
    ['other 1', 2000],
    ['other 2', 3000],
  ])
  await shop.clock.advance(10_000)
  await closed
})

test('a child in the place of its parent has its turn among lanes that always have work', async () => {
  await using shop = new Shop(10, { unit: 'tokens' })
  const parent = await shop.queue({ work: { maxConcurrency: 1 } })
  const others = await Promise.all([1, 2, 3, 4, 5].map(() => shop.queue()))
  for (const queue of others) for (let n = 0; n < 40; n++) shop.submit(queue, 'other', 1)
  await shop.clock.advance(100)
  const started = parent.submit('work', (ctx) => ctx.run('work', () => shop.clock.now(), { cost: 8 }), { cost: 0 })
  await shop.clock.advance(5000)
  // Six claims are older than the child's at most, then its own 8 tokens come in.
  expect(await started).toBeLessThanOrEqual(100 + 600 + 600 + 800)
  expect(shop.starts.length).toBeGreaterThan(40)
})

test('a child that waits aside and is cancelled leaves its turn to the next at once', async () => {
  await using shop = new Shop(10, { unit: 'tokens' })
  const [parent, other] = [await shop.queue({ work: { maxConcurrency: 1 } }), await shop.queue()]
  shop.submit(other, 'the first tokens', 10)
  await shop.clock.settle()
  const stop = new AbortController()
  const run = parent.submit('work', (ctx) => ctx.run('work', () => 1, { cost: 8, signal: stop.signal }), { cost: 0 })
  run.catch(() => undefined)
  await shop.clock.advance(10)
  for (let n = 0; n < 3; n++) shop.submit(other, `other ${n}`, 1)
  await shop.clock.advance(190)
  expect(shop.starts).toHaveLength(1)
  stop.abort()
  await shop.clock.settle()
  expect(shop.starts.slice(1)).toEqual([
    ['other 0', 200],
    ['other 1', 200],
  ])
  await shop.clock.advance(1000)
})

test('a child that its lane’s own limit keeps back takes nothing from the claim of the lane’s next command', async () => {
  await using shop = new Shop(10, { unit: 'tokens' })
  const usd = RateLimitConfig.perMinute(10, { unit: 'usd' })
  const parent = await shop.queue({ work: { maxConcurrency: 2 }, more: [usd] })
  const others = await Promise.all([1, 2, 3].map(() => shop.queue()))
  const body = async (ctx: CommandContext): Promise<unknown> => {
    await shop.sleep(200)
    return ctx.run('work', () => 1, { cost: { usd: 10 } })
  }
  const started = parent.submit('work', body, { cost: { usd: 1 } })
  await shop.clock.settle()
  for (const queue of others) for (let n = 0; n < 40; n++) shop.submit(queue, 'other', 1)
  await shop.clock.advance(100)
  shop.submit(parent, 'large', { tokens: 8 })
  await shop.clock.advance(4000)
  const [, at] = shop.starts.find(([name]) => name === 'large') as [string, number]
  expect(at).toBeLessThanOrEqual(100 + 400 + 800)
  await shop.clock.advance(20_000)
  await started
})

test('a command whose lane had a child served meanwhile goes on waiting in its group', async () => {
  await using shop = new Shop(10, { unit: 'tokens' })
  const parent = await shop.queue({ work: { maxConcurrency: 2 } })
  const others = await Promise.all([1, 2, 3].map(() => shop.queue()))
  for (const queue of others) for (let n = 0; n < 60; n++) shop.submit(queue, 'other', 1)
  await shop.clock.advance(100)
  const started = parent.submit(
    'work',
    async (ctx) => {
      shop.submit(parent, 'large', 8)
      await shop.sleep(1)
      return ctx.run('work', () => shop.clock.now(), { cost: 1 })
    },
    { cost: 0 },
  )
  await shop.clock.advance(6000)
  const [, at] = shop.starts.find(([name]) => name === 'large') as [string, number]
  // For each of both: three claims are older, then its own tokens come in.
  expect(await started).toBeLessThanOrEqual(100 + 700 + 100)
  expect(at).toBeLessThanOrEqual(900 + 300 + 800)
})

test('a lane that is lifted while it waits goes first from then on', async () => {
  await using shop = new Shop(1)
  const boost = PriorityBoostConfig.aggressive(6250)
  const [late, ...others] = [
    await shop.queue({ work: { priority: 5, priorityBoost: boost } }),
    ...(await Promise.all([1, 2, 3].map(() => shop.queue({ work: { priority: 2 } })))),
  ] as [QueueManager, ...QueueManager[]]
  for (const queue of others) for (let n = 0; n < 3; n++) shop.submit(queue, 'other')
  await shop.clock.settle()
  shop.submit(late, 'late')
  await shop.clock.advance(20_000)
  const [, at] = shop.starts.find(([name]) => name === 'late') as [string, number]
  expect([at, shop.starts.length]).toEqual([3000, 10])
})

test('a queue that closes while it is first in line leaves its turn to the next', async () => {
  await using shop = new Shop(1)
  const [closing, ...others] = (await Promise.all([1, 2, 3].map(() => shop.queue()))) as [QueueManager, QueueManager]
  shop.submit(closing, 'the first token')
  shop.submit(closing, 'never')
  await shop.clock.settle()
  for (const queue of others) shop.submit(queue, 'other')
  await shop.clock.advance(999)
  const closed = closing.close({ timeoutMs: 0 })
  await shop.clock.advance(5000)
  await closed
  expect(shop.starts).toEqual([
    ['the first token', 0],
    ['other', 1000],
    ['other', 2000],
  ])
})
