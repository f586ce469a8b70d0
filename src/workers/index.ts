export type { ChannelReceiver, ChannelSender } from './bounded-channel.js'
export { defineThreadHandler } from './define-thread-handler.js'
export {
  type CommandEnvelope,
  type CommandResult,
  type DistributedQueue,
  LocalDistributedQueue,
} from './distributed-queue.js'
export { PartitionConfig, type PartitionStrategy } from './partition-config.js'
export {
  CustomPartitioner,
  HashPartitioner,
  type PartitionedCommand,
  type Partitioner,
  type PartitionFunction,
  RoundRobinPartitioner,
} from './partitioner.js'
export type { ThreadContext, ThreadHandler } from './thread-context.js'
export { type HandlerOnThreads, threadHandler } from './thread-handler.js'
export type { ThreadPartition, ThreadPoolOptions } from './thread-options.js'
export { ThreadPool, type ThreadPoolStats } from './thread-pool.js'
export { type Executor, WorkerPool } from './worker-pool.js'
