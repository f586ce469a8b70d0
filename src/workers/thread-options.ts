/** Options of a thread pool: checked, with every default. */
import { statSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { resolve } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import type { ResourceLimits, Transferable } from 'node:worker_threads'
import {
  type Clock,
  checkInteger,
  checkMs,
  checkObject,
  configInvalid,
  refuseUnknown,
  systemClock,
} from '../core/index.js'
import {
  CustomPartitioner,
  HashPartitioner,
  type Partitioner,
  type PartitionFunction,
  RoundRobinPartitioner,
} from './partitioner.js'

/** How commands are spread over the threads. */
export type ThreadPartition = 'none' | 'round-robin' | 'hash' | PartitionFunction | Partitioner

/** Options of `ThreadPool` and `threadHandler`. */
export type ThreadPoolOptions = {
  /** How many bodies run at once, each in a thread of its own. `'auto'` (default): as many as the machine runs at once. */
  readonly threads?: number | 'auto' | undefined
  /**
   * `'none'` (default): any thread takes the next command. `'round-robin'`: one thread after the other. `'hash'`: commands
   * of the same `key` (without one: of the same type) always on the same thread, one after the other. A function or a
   * `Partitioner` chooses the thread itself.
   */
  readonly partition?: ThreadPartition | undefined
  /**
   * How long a body that timed out or was cancelled may go on before its thread is ended. Milliseconds, default 1,000.
   * A preempted body is not ended, unless it is cancelled or times out meanwhile.
   */
  readonly killAfterMs?: number | undefined
  /** Memory limits of each thread, as of `new Worker`. A thread that exceeds them ends, and the attempt fails. Default: Node's. */
  readonly resourceLimits?: ResourceLimits | undefined
  /** What of a payload is moved to the thread and not copied. It is gone here: a retry does not find it. Default: nothing. */
  readonly transfer?: ((payload: unknown) => readonly Transferable[]) | undefined
  /** Time for `killAfterMs` and `close`. Default: the machine's. */
  readonly clock?: Clock | undefined
}

/** The options with every default. */
export type ThreadSettings = {
  readonly threads: number
  /** None: all threads share their work. */
  readonly partitioner: Partitioner | undefined
  readonly killAfterMs: number
  readonly resourceLimits: ResourceLimits | undefined
  readonly transfer: ((payload: unknown) => readonly Transferable[]) | undefined
  readonly clock: Clock
}

const KNOWN = ['threads', 'partition', 'killAfterMs', 'resourceLimits', 'transfer', 'clock'] as const

/** Default of `killAfterMs`: long for one who listens, short for one who holds a thread. */
const KILL_AFTER_MS = 1000

export function threadSettings(options: ThreadPoolOptions): ThreadSettings {
  checkObject('ThreadPool options', options)
  refuseUnknown('ThreadPool', options, KNOWN)
  const { threads = 'auto', killAfterMs = KILL_AFTER_MS, resourceLimits, transfer, clock = systemClock } = options
  if (threads !== 'auto') checkInteger('threads', threads, 1)
  checkMs('killAfterMs', killAfterMs, 0)
  if (resourceLimits !== undefined && (typeof resourceLimits !== 'object' || resourceLimits === null)) {
    throw configInvalid('resourceLimits', 'an object', resourceLimits)
  }
  if (transfer !== undefined && typeof transfer !== 'function') throw configInvalid('transfer', 'a function', transfer)
  return {
    threads: threads === 'auto' ? availableParallelism() : threads,
    partitioner: partitionerOf(options.partition),
    killAfterMs,
    resourceLimits,
    transfer,
    clock,
  }
}

function partitionerOf(partition: unknown): Partitioner | undefined {
  if (partition === undefined || partition === 'none') return undefined
  if (partition === 'round-robin') return new RoundRobinPartitioner()
  if (partition === 'hash') return new HashPartitioner()
  if (typeof partition === 'function') return new CustomPartitioner(partition as PartitionFunction)
  const { partition: choose } = (partition ?? {}) as { partition?: unknown }
  if (typeof choose === 'function') return partition as Partitioner
  throw configInvalid('partition', `'none', 'round-robin', 'hash', a function or a Partitioner`, partition)
}

/** The file of a handler as a `file:` URL: from a URL, a path, or a path relative to the process's folder. `CONFIG_INVALID` when it is none. */
export function handlerFile(file: unknown): string {
  const path = pathOf(file)
  if (statSync(path, { throwIfNoEntry: false })?.isFile() !== true) {
    throw configInvalid('the file of a thread handler', 'a file that is there', path)
  }
  return pathToFileURL(path).href
}

function pathOf(file: unknown): string {
  const isText = typeof file === 'string' && file !== ''
  try {
    if (file instanceof URL || (isText && file.startsWith('file:'))) return fileURLToPath(file)
  } catch (error) {
    const wrong = configInvalid('the file of a thread handler', `a 'file:' URL or a path`, String(file))
    throw Object.assign(wrong, { cause: error })
  }
  if (isText) return resolve(file)
  throw configInvalid('the file of a thread handler', `a 'file:' URL or a path`, file)
}
