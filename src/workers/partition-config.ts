/** Over how many partitions commands are spread, and how. */

import { availableParallelism } from 'node:os'
import { checkInteger, configInvalid } from '../core/index.js'
import { HashPartitioner, type Partitioner, RoundRobinPartitioner } from './partitioner.js'

const STRATEGIES = ['RoundRobin', 'Hash', 'None'] as const

/** How commands are spread: one after the other, by key or type, or not at all. */
export type PartitionStrategy = (typeof STRATEGIES)[number]

/** Plain data: it survives JSON, and `new PartitionConfig(data.numPartitions, data.strategy)` brings it back. */
export class PartitionConfig {
  readonly numPartitions: number
  readonly strategy: PartitionStrategy

  /** `CONFIG_INVALID` for a number of partitions that is no integer of at least 1, or an unknown strategy. */
  constructor(numPartitions: number, strategy: PartitionStrategy) {
    checkInteger('numPartitions', numPartitions, 1)
    if (!STRATEGIES.includes(strategy)) {
      throw configInvalid('strategy', `one of 'RoundRobin', 'Hash', 'None'`, strategy)
    }
    this.numPartitions = numPartitions
    this.strategy = strategy
  }

  /** As many partitions as the machine runs threads at once, one after the other. */
  static auto(): PartitionConfig {
    return new PartitionConfig(availableParallelism(), 'RoundRobin')
  }

  /** Commands of one key, or of one type, in order. */
  static hash(numPartitions: number): PartitionConfig {
    return new PartitionConfig(numPartitions, 'Hash')
  }

  static roundRobin(numPartitions: number): PartitionConfig {
    return new PartitionConfig(numPartitions, 'RoundRobin')
  }

  /** One partition: all commands in order. */
  static none(): PartitionConfig {
    return new PartitionConfig(1, 'None')
  }

  createPartitioner(): Partitioner {
    if (this.strategy === 'RoundRobin') return new RoundRobinPartitioner()
    return this.strategy === 'Hash' ? new HashPartitioner() : { partition: () => 0 }
  }
}
