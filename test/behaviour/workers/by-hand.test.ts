/** Partitions and workers by hand: no lanes, no threads. */
import { availableParallelism } from 'node:os'
import { seededRandom, VirtualClock } from '@a3s-lab/lane/testing'
import {
  type CommandEnvelope,
  type CommandResult,
  CustomPartitioner,
  type DistributedQueue,
  HashPartitioner,
  LocalDistributedQueue,
  PartitionConfig,
  RoundRobinPartitioner,
  WorkerPool,
} from '@a3s-lab/lane/workers'
import { describe, expect, test } from 'vitest'
import { errorOf, gate, thrownBy } from '../../support/setup.js'

const envelope = (id: string, more: Partial<CommandEnvelope> = {}): CommandEnvelope => ({
  id,
  commandType: 'resize',
  laneId: 'work',
  payload: { n: id },
  retryCount: 0,
  createdAt: '2026-01-01T00:00:00.000Z',
  ...more,
})

describe('partitioners', () => {
  test('round robin over four gives each its turn', () => {
    const partitioner = new RoundRobinPartitioner()
    const chosen = Array.from({ length: 5 }, () => partitioner.partition({ commandType: 'a' }, 4))
    expect(chosen).toEqual([0, 1, 2, 3, 0])
  })

  test('a hash is the same in every process: FNV-1a of the key, else of the type', () => {
    const partitioner = new HashPartitioner()
    const most = 0x7f_ff_ff_ff
    expect(partitioner.partition({ commandType: 'a' }, most)).toBe(0xe4_0c_29_2c % most)
    expect(partitioner.partition({ commandType: 'foobar' }, most)).toBe(0xbf_9c_f9_68 % most)
    expect(partitioner.partition({ commandType: 'x', key: 'foobar' }, most)).toBe(0xbf_9c_f9_68 % most)
    expect(partitioner.partition({ commandType: 'größe' }, 8)).toBe(partitioner.partition({ commandType: 'größe' }, 8))
  })

  test('a function of yours is taken modulo the number of partitions', async () => {
    const length = new CustomPartitioner(({ commandType }) => commandType.length)
    expect(length.partition({ commandType: 'abcde' }, 3)).toBe(2)
    expect(new CustomPartitioner(() => -1).partition({ commandType: 'a' }, 3)).toBe(2)
    expect(await new CustomPartitioner(async () => 4).partition({ commandType: 'a' }, 3)).toBe(1)
  })

  test('what is no integer, and what is no function, is refused', async () => {
    const odd = new CustomPartitioner(() => 0.5)
    expect(thrownBy(() => odd.partition({ commandType: 'a' }, 3))).toMatchObject({ code: 'CONFIG_INVALID' })
    expect(thrownBy(() => new CustomPartitioner(1 as never))).toMatchObject({ code: 'CONFIG_INVALID' })
  })

  test.each([new RoundRobinPartitioner(), new HashPartitioner(), new CustomPartitioner(() => 1)])(
    'zero or fractional partitions are refused by %o',
    (partitioner) => {
      for (const numPartitions of [0, -1, 1.5, Number.NaN]) {
        const error = thrownBy(() => partitioner.partition({ commandType: 'a' }, numPartitions))
        expect(error).toMatchObject({ code: 'CONFIG_INVALID' })
      }
    },
  )
})

describe('PartitionConfig', () => {
  test('has the four kinds of the reference', () => {
    expect(PartitionConfig.auto()).toEqual(new PartitionConfig(availableParallelism(), 'RoundRobin'))
    expect(PartitionConfig.hash(8)).toEqual(new PartitionConfig(8, 'Hash'))
    expect(PartitionConfig.roundRobin(3)).toEqual(new PartitionConfig(3, 'RoundRobin'))
    expect(PartitionConfig.none()).toEqual(new PartitionConfig(1, 'None'))
  })

  test('makes the partitioner of its strategy', () => {
    expect(PartitionConfig.roundRobin(3).createPartitioner()).toBeInstanceOf(RoundRobinPartitioner)
    expect(PartitionConfig.hash(3).createPartitioner()).toBeInstanceOf(HashPartitioner)
    expect(PartitionConfig.none().createPartitioner().partition({ commandType: 'a' }, 1)).toBe(0)
  })

  test('is plain data that survives JSON', () => {
    const { numPartitions, strategy } = JSON.parse(JSON.stringify(PartitionConfig.hash(8))) as PartitionConfig
    expect(new PartitionConfig(numPartitions, strategy)).toEqual(PartitionConfig.hash(8))
  })

  test('zero or fractional partitions and unknown strategies are refused', () => {
    for (const numPartitions of [0, -1, 2.5]) {
      expect(thrownBy(() => PartitionConfig.hash(numPartitions))).toMatchObject({ code: 'CONFIG_INVALID' })
    }
    expect(thrownBy(() => new PartitionConfig(1, 'Random' as 'Hash')).message).toContain('strategy')
  })
})

describe('LocalDistributedQueue', () => {
  test('gives what was enqueued, then nothing', async () => {
    const queue = new LocalDistributedQueue(PartitionConfig.none())
    await queue.enqueue(envelope('a'))
    expect(await queue.dequeue(0)).toEqual(envelope('a', { partitionId: 0 }))
    expect(await queue.dequeue(0)).toBeUndefined()
  })

  test('chooses the partition unless it is said', async () => {
    const queue = new LocalDistributedQueue(PartitionConfig.roundRobin(3))
    for (const id of ['a', 'b', 'c']) await queue.enqueue(envelope(id))
    await queue.enqueue(envelope('d', { partitionId: 1 }))
    expect((await queue.dequeue(0))?.id).toBe('a')
    expect([(await queue.dequeue(1))?.id, (await queue.dequeue(1))?.id]).toEqual(['b', 'd'])
    expect((await queue.dequeue(2))?.id).toBe('c')
  })

  test('refuses partitions that are not there', async () => {
    const queue = new LocalDistributedQueue(PartitionConfig.hash(2))
    const message = 'Invalid partition ID: 2'
    expect(await errorOf(queue.enqueue(envelope('a', { partitionId: 2 })))).toMatchObject({ message })
    expect(await errorOf(queue.dequeue(2))).toMatchObject({ message, code: 'CONFIG_INVALID' })
    expect(thrownBy(() => queue.partitionReceiver(-1)).message).toBe('Invalid partition ID: -1')
  })

  test('makes enqueue wait when a partition holds 1,000, and keeps the order', async () => {
    const queue = new LocalDistributedQueue(PartitionConfig.none())
    for (let n = 0; n < 1000; n++) await queue.enqueue(envelope(String(n)))
    const entered: string[] = []
    const waiting = ['x', 'y'].map((id) => queue.enqueue(envelope(id)).then(() => entered.push(id)))
    await Promise.resolve()
    expect(queue.partitionReceiver(0).size).toBe(1000)
    expect((await queue.dequeue(0))?.id).toBe('0')
    await waiting[0]
    expect(entered).toEqual(['x'])
    for (let n = 1; n < 1000; n++) await queue.dequeue(0)
    await waiting[1]
    expect([(await queue.dequeue(0))?.id, (await queue.dequeue(0))?.id]).toEqual(['x', 'y'])
  })

  test('keeps the newest 1,000 results for a reader, and counts the others', async () => {
    const queue = LocalDistributedQueue.auto()
    const result = (commandId: string): CommandResult => ({
      commandId,
      result: { Ok: 1 },
      workerId: queue.workerId(),
      durationMs: 1,
    })
    for (let n = 0; n < 1003; n++) await queue.complete(result(String(n)))
    queue.resultSender.send(result('last'))
    const { resultReceiver } = queue
    expect([resultReceiver.size, resultReceiver.dropped]).toEqual([1000, 4])
    expect(resultReceiver.tryReceive()?.commandId).toBe('4')
    expect((await resultReceiver.receive())?.commandId).toBe('5')
  })

  test('a reader of results waits until there is one, or until it is told to stop', async () => {
    const queue = LocalDistributedQueue.auto()
    const read = queue.resultReceiver.receive()
    queue.resultSender.send({ commandId: 'a', result: { Err: 'no' }, workerId: 'w', durationMs: 1 })
    expect((await read)?.commandId).toBe('a')
    const controller = new AbortController()
    const stopped = queue.resultReceiver.receive(controller.signal)
    controller.abort()
    expect(await stopped).toBeUndefined()
  })

  test('has both roles, a worker id, and its configuration', () => {
    const queue = new LocalDistributedQueue(PartitionConfig.hash(4), seededRandom(1))
    expect([queue.isCoordinator(), queue.isWorker(), queue.numPartitions()]).toEqual([true, true, 4])
    expect(queue.workerId()).toMatch(/^local-[\da-f]{8}-[\da-f]{4}-4[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}$/)
    expect(queue.partitionConfig).toEqual(PartitionConfig.hash(4))
    expect(queue.partitioner).toBeInstanceOf(HashPartitioner)
    expect(thrownBy(() => new LocalDistributedQueue(4 as never))).toMatchObject({ code: 'CONFIG_INVALID' })
  })

  test('envelopes and results survive JSON, results as Ok and Err', async () => {
    const ok: CommandResult = { commandId: 'a', result: { Ok: { n: 1 } }, workerId: 'w', durationMs: 1.5 }
    expect(JSON.stringify(ok.result)).toBe('{"Ok":{"n":1}}')
    expect(JSON.parse(JSON.stringify(ok))).toEqual(ok)
    expect(JSON.parse(JSON.stringify(envelope('a', { partitionId: 1 })))).toEqual(envelope('a', { partitionId: 1 }))
  })
})

describe('WorkerPool', () => {
  const results = async (queue: LocalDistributedQueue, count: number): Promise<CommandResult[]> => {
    const read: CommandResult[] = []
    while (read.length < count) read.push((await queue.resultReceiver.receive()) as CommandResult)
    return read
  }

  test('runs commands of every partition and tells their results', async () => {
    const clock = new VirtualClock()
    const queue = new LocalDistributedQueue(PartitionConfig.roundRobin(2))
    const pool = new WorkerPool(queue, { clock })
    pool.start(({ payload }) => payload)
    expect(pool.isRunning()).toBe(true)
    await queue.enqueue(envelope('a'))
    await queue.enqueue(envelope('b'))
    const read = await results(queue, 2)
    expect(read.map(({ commandId, result }) => [commandId, result])).toEqual([
      ['a', { Ok: { n: 'a' } }],
      ['b', { Ok: { n: 'b' } }],
    ])
    expect(read[0]).toMatchObject({ workerId: queue.workerId(), durationMs: 0 })
    await pool.shutdown()
    expect(pool.isRunning()).toBe(false)
  })

  test('sets no timer while a local queue is empty', async () => {
    const clock = new VirtualClock()
    const pool = new WorkerPool(LocalDistributedQueue.auto(), { clock })
    pool.start(() => 1)
    await clock.advance(100)
    expect(clock.timers).toBe(0)
    await pool.shutdown()
  })

  test.each([
    [
      'an error',
      () => {
        throw new Error('out of paper')
      },
      'out of paper',
    ],
    ['text', () => Promise.reject('no'), 'no'],
    ['a rejection', () => Promise.reject(new Error('later')), 'later'],
    ['nothing', () => Promise.reject(undefined), 'undefined'],
  ])('an executor that throws is one failed command: %s', async (_what, executor, text) => {
    const queue = new LocalDistributedQueue(PartitionConfig.none())
    const pool = new WorkerPool(queue)
    pool.start(({ id }) => (id === 'bad' ? executor() : undefined))
    await queue.enqueue(envelope('bad'))
    await queue.enqueue(envelope('good'))
    const read = await results(queue, 2)
    expect(read.map(({ result }) => result)).toEqual([{ Err: text }, { Ok: null }])
    await pool.shutdown()
  })

  test('a second start while it runs changes nothing', async () => {
    const queue = new LocalDistributedQueue(PartitionConfig.none())
    const pool = new WorkerPool(queue)
    pool.start(() => 'first')
    pool.start(() => 'second')
    await queue.enqueue(envelope('a'))
    await queue.enqueue(envelope('b'))
    expect((await results(queue, 2)).map(({ result }) => result)).toEqual([{ Ok: 'first' }, { Ok: 'first' }])
    await pool.shutdown()
  })

  test('shutdown waits for the command that runs, takes no other, and may be followed by a start', async () => {
    const queue = new LocalDistributedQueue(PartitionConfig.none())
    const pool = new WorkerPool(queue)
    const { promise, open } = gate<string>()
    const started = gate()
    pool.start(() => {
      started.open()
      return promise
    })
    await queue.enqueue(envelope('a'))
    await queue.enqueue(envelope('b'))
    await started.promise
    let isDown = false
    const down = pool.shutdown().then(() => {
      isDown = true
    })
    await Promise.resolve()
    expect(isDown).toBe(false)
    open('first')
    await down
    expect([queue.partitionReceiver(0).size, queue.resultReceiver.size]).toEqual([1, 1])
    pool.start(() => 'second')
    expect((await results(queue, 2)).map(({ result }) => result)).toEqual([{ Ok: 'first' }, { Ok: 'second' }])
    await pool.shutdown()
    await pool.shutdown()
    expect(pool.isRunning()).toBe(false)
  })

  /** A queue of somebody else's, whose methods may be made to fail. */
  class ForeignQueue implements DistributedQueue {
    readonly items: CommandEnvelope[] = []
    readonly results: CommandResult[] = []
    fails: string | undefined
    asked = 0

    #do<T>(method: string, what: () => T): T {
      if (this.fails === method) throw new Error(`${method} fails`)
      return what()
    }
    async enqueue(item: CommandEnvelope): Promise<void> {
      this.items.push(item)
    }
    dequeue(): Promise<CommandEnvelope | undefined> {
      this.asked++
      return this.#do('dequeue', async () => this.items.shift())
    }
    complete(result: CommandResult): Promise<void> {
      return this.#do('complete', async () => void this.results.push(result))
    }
    numPartitions(): number {
      return this.#do('numPartitions', () => 1)
    }
    workerId(): string {
      return this.#do('workerId', () => 'foreign')
    }
    isCoordinator = () => true
    isWorker = () => this.fails !== 'isWorker'
  }

  test('a foreign queue that cannot be waited for is asked once per millisecond', async () => {
    const clock = new VirtualClock()
    const queue = new ForeignQueue()
    const pool = new WorkerPool(queue, { clock })
    pool.start(() => 1)
    await clock.advance(50)
    expect(queue.asked).toBeGreaterThanOrEqual(50)
    expect(queue.asked).toBeLessThan(55)
    await queue.enqueue(envelope('a'))
    await clock.advance(1)
    expect(queue.results.map(({ workerId }) => workerId)).toEqual(['foreign'])
    await pool.shutdown()
    expect(clock.timers).toBe(0)
  })

  test.each(['dequeue', 'complete', 'workerId'])('a foreign queue whose %s throws stops no worker', async (method) => {
    const clock = new VirtualClock()
    const queue = new ForeignQueue()
    const pool = new WorkerPool(queue, { clock })
    queue.fails = method
    await queue.enqueue(envelope('a'))
    pool.start(() => 1)
    await clock.advance(100)
    expect(queue.asked).toBeLessThan(120)
    queue.fails = undefined
    await queue.enqueue(envelope('b'))
    await clock.advance(20)
    expect(queue.results.at(-1)?.commandId).toBe('b')
    await pool.shutdown()
  })

  test('a queue that says there is something when there is not keeps nobody busy', async () => {
    const clock = new VirtualClock()
    const queue = Object.assign(new ForeignQueue(), { waitFor: async () => undefined })
    const pool = new WorkerPool(queue, { clock })
    pool.start(() => 1)
    await clock.advance(50)
    expect(queue.asked).toBeLessThan(120)
    await pool.shutdown()
  })

  test('what makes no sense is refused at the start', () => {
    const queue = new ForeignQueue()
    expect(thrownBy(() => new WorkerPool({} as DistributedQueue))).toMatchObject({ code: 'CONFIG_INVALID' })
    const pool = new WorkerPool(queue)
    expect(thrownBy(() => pool.start(1 as never))).toMatchObject({ code: 'CONFIG_INVALID' })
    queue.fails = 'isWorker'
    expect(thrownBy(() => pool.start(() => 1))).toMatchObject({ code: 'CONFIG_INVALID' })
    queue.fails = 'numPartitions'
    expect(thrownBy(() => pool.start(() => 1)).message).toBe('numPartitions fails')
    expect(pool.isRunning()).toBe(false)
  })
})
