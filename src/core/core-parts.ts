/** What a queue's core is made of. */
import type { Clock } from './clock.js'
import type { DeadLetterQueue } from './dead-letters.js'
import type { LogOptions } from './event-log.js'
import type { EventEmitter } from './event-stream.js'
import type { Random } from './random.js'
import type { Tracing } from './tracing.js'

/** What the core is made of. */
export type CoreParts = {
  readonly clock: Clock
  readonly random: Random
  readonly events: EventEmitter
  readonly maxConcurrency: number
  readonly deadLetters: DeadLetterQueue | undefined
  readonly retained: number
  readonly onFault: ((error: unknown) => void) | undefined
  readonly log: Omit<LogOptions, 'onFault'> | undefined
  readonly tracing: Tracing | undefined
}
