/** Which of several partitions a command belongs to. */
import { checkInteger, configInvalid, LaneError } from '../core/index.js'

/** What a partitioner sees of a command. */
export type PartitionedCommand = {
  readonly commandType: string
  /** Its user, tenant or session, where it was submitted with one. */
  readonly key?: string | undefined
}

/** Chooses the partition of a command: an index from 0 to `numPartitions` - 1. */
export interface Partitioner {
  partition(command: PartitionedCommand, numPartitions: number): number | Promise<number>
}

/** One after the other. */
export class RoundRobinPartitioner implements Partitioner {
  #next = 0

  partition(_command: PartitionedCommand, numPartitions: number): number {
    checkInteger('numPartitions', numPartitions, 1)
    const index = this.#next % numPartitions
    this.#next = index + 1
    return index
  }
}

/** The same key always has the same partition, in every process; a command without a key goes by its type. */
export class HashPartitioner implements Partitioner {
  partition(command: PartitionedCommand, numPartitions: number): number {
    checkInteger('numPartitions', numPartitions, 1)
    return fnv1a(command.key ?? command.commandType) % numPartitions
  }
}

/** A function of yours: any integer, taken modulo the number of partitions. `CONFIG_INVALID` for anything else. */
export class CustomPartitioner implements Partitioner {
  readonly #choose: PartitionFunction

  constructor(choose: PartitionFunction) {
    if (typeof choose !== 'function') throw configInvalid('CustomPartitioner', 'a function', choose)
    this.#choose = choose
  }

  partition(command: PartitionedCommand, numPartitions: number): number | Promise<number> {
    checkInteger('numPartitions', numPartitions, 1)
    const chosen: unknown = this.#choose(command)
    return chosen instanceof Promise
      ? chosen.then((index) => wrapped(index, numPartitions))
      : wrapped(chosen, numPartitions)
  }
}

/** The function of a `CustomPartitioner`. */
export type PartitionFunction = (command: PartitionedCommand) => number | Promise<number>

function wrapped(index: unknown, numPartitions: number): number {
  if (!Number.isSafeInteger(index)) throw configInvalid('the index of a partition', 'an integer', index)
  return (((index as number) % numPartitions) + numPartitions) % numPartitions
}

/** The index that a partitioner has chosen. `CONFIG_INVALID` when there is no such partition. */
export function checkedPartition(index: unknown, numPartitions: number): number {
  if (Number.isInteger(index) && (index as number) >= 0 && (index as number) < numPartitions) return index as number
  throw new LaneError('CONFIG_INVALID', `Invalid partition ID: ${String(index)}`)
}

const utf8 = new TextEncoder()

/** FNV-1a, 32 bits, of the text as UTF-8 (RFC 9923): short, and the same everywhere. */
function fnv1a(text: string): number {
  let hash = 0x81_1c_9d_c5
  for (const byte of utf8.encode(text)) hash = Math.imul(hash ^ byte, 0x01_00_01_93)
  return hash >>> 0
}
