/** Commands spread over partitions by hand: the contract, and an implementation in one process. */
import { configInvalid, LaneError, type Random, systemRandom } from '../core/index.js'
import { BoundedChannel, type ChannelReceiver, type ChannelSender } from './bounded-channel.js'
import { PartitionConfig } from './partition-config.js'
import { checkedPartition, type Partitioner } from './partitioner.js'

/** A command on its way to a worker. Plain data. */
export type CommandEnvelope<P = unknown> = {
  readonly id: string
  readonly commandType: string
  readonly laneId: string
  /** Where it is to go; the queue chooses when it is left out. */
  readonly partitionId?: number | undefined
  readonly payload: P
  readonly retryCount: number
  /** RFC 3339, UTC. */
  readonly createdAt: string
}

/** What became of a command: a value, or the text of an error. */
export type CommandResult<R = unknown> = {
  readonly commandId: string
  readonly result: { readonly Ok: R } | { readonly Err: string }
  readonly workerId: string
  readonly durationMs: number
}

/** A queue that a `WorkerPool` works on. Implement it to spread commands in a way of your own. */
export interface DistributedQueue {
  /** Takes a command in; may wait until there is room. */
  enqueue(envelope: CommandEnvelope): Promise<void>
  /** The next command of a partition; undefined when there is none now. */
  dequeue(partitionId: number): Promise<CommandEnvelope | undefined>
  complete(result: CommandResult): Promise<void>
  numPartitions(): number
  workerId(): string
  /** Whether it may enqueue. */
  isCoordinator(): boolean
  /** Whether it may dequeue and run. */
  isWorker(): boolean
  /**
   * Resolves when the partition may have a command, or when the signal aborts. Left out, workers ask once per millisecond.
   */
  waitFor?(partitionId: number, signal: AbortSignal): Promise<void>
}

/** Commands that one partition holds, and results that nobody has read. */
const CAPACITY = 1000

/** One process: a bounded line per partition, and one of results. */
export class LocalDistributedQueue implements DistributedQueue {
  readonly partitioner: Partitioner
  readonly partitionConfig: PartitionConfig
  readonly #partitions: readonly BoundedChannel<CommandEnvelope>[]
  readonly #results = new BoundedChannel<CommandResult>(CAPACITY)
  readonly #workerId: string

  /** `random` makes the id of the worker. */
  constructor(partitionConfig: PartitionConfig, random: Random = systemRandom) {
    if (!(partitionConfig instanceof PartitionConfig)) {
      throw configInvalid('partitionConfig', 'a PartitionConfig', partitionConfig)
    }
    this.partitionConfig = partitionConfig
    this.partitioner = partitionConfig.createPartitioner()
    this.#partitions = Array.from(
      { length: partitionConfig.numPartitions },
      () => new BoundedChannel<CommandEnvelope>(CAPACITY),
    )
    this.#workerId = `local-${uuid(random)}`
  }

  static auto(): LocalDistributedQueue {
    return new LocalDistributedQueue(PartitionConfig.auto())
  }

  /** Waits while the partition holds 1,000 commands. `CONFIG_INVALID` for a partition that is not there. */
  async enqueue(envelope: CommandEnvelope): Promise<void> {
    const index = envelope.partitionId ?? (await this.partitioner.partition(envelope, this.numPartitions()))
    await this.#partition(index).enter({ ...envelope, partitionId: index })
  }

  async dequeue(partitionId: number): Promise<CommandEnvelope | undefined> {
    return this.#partition(partitionId).tryReceive()
  }

  /** Never waits: of 1,000 results that nobody has read the oldest is dropped, and counted by the receiver. */
  async complete(result: CommandResult): Promise<void> {
    this.#results.displace(result)
  }

  async waitFor(partitionId: number, signal: AbortSignal): Promise<void> {
    await this.#partition(partitionId).ready(signal)
  }

  numPartitions(): number {
    return this.partitionConfig.numPartitions
  }

  workerId(): string {
    return this.#workerId
  }

  isCoordinator(): boolean {
    return true
  }

  isWorker(): boolean {
    return true
  }

  partitionReceiver(partitionId: number): ChannelReceiver<CommandEnvelope> {
    return this.#partition(partitionId)
  }

  get resultReceiver(): ChannelReceiver<CommandResult> {
    return this.#results
  }

  get resultSender(): ChannelSender<CommandResult> {
    return { send: (result) => this.#results.displace(result) }
  }

  #partition(partitionId: number): BoundedChannel<CommandEnvelope> {
    const partition = this.#partitions[checkedPartition(partitionId, this.numPartitions())]
    if (partition === undefined) throw new LaneError('CONFIG_INVALID', `Invalid partition ID: ${partitionId}`)
    return partition
  }
}

/** A random UUID, version 4 (RFC 9562). */
function uuid(random: Random): string {
  const digit = (): string => Math.floor(random.next() * 16).toString(16)
  const digits = (length: number): string => Array.from({ length }, digit).join('')
  const variant = (8 + Math.floor(random.next() * 4)).toString(16)
  return `${digits(8)}-${digits(4)}-4${digits(3)}-${variant}${digits(3)}-${digits(12)}`
}
