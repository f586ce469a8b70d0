/**
 * The queue's log: every event as one structured entry, at a level by its key. Silent unless a logger is given. An entry
 * holds the event's fields, with texts cut and control characters made visible, so that one entry stays one line; a
 * command's payload stands in it only when that was asked for.
 */
import { configInvalid } from './errors.js'
import type { EventKey, EventPayloads } from './events.js'
import { checkBoolean } from './options.js'

/** Where log entries go: pino's shape, which many loggers have. `fields` is plain data; what comes back is not waited for. */
export interface Logger {
  debug(fields: object, message: string): unknown
  info(fields: object, message: string): unknown
  warn(fields: object, message: string): unknown
  error(fields: object, message: string): unknown
  /** Asked before an entry is made, where the logger has it. */
  isLevelEnabled?(level: string): boolean
}

/** A level of the log. */
type LogLevel = 'debug' | 'info' | 'warn' | 'error'

/** What every single command does is for debugging; what an operator should see is not. */
const LEVELS: Readonly<Record<EventKey, LogLevel>> = {
  'queue.command.submitted': 'debug',
  'queue.command.started': 'debug',
  'queue.command.completed': 'debug',
  'queue.command.retry': 'warn',
  'queue.command.failed': 'error',
  'queue.command.timeout': 'error',
  'queue.command.dead_lettered': 'warn',
  'queue.command.cancelled': 'info',
  'queue.command.progress': 'debug',
  'queue.command.delayed': 'debug',
  'queue.command.preempted': 'info',
  'queue.command.resumed': 'debug',
  'queue.command.recovered': 'warn',
  'queue.command.deduplicated': 'debug',
  'queue.command.rejected': 'warn',
  'queue.lane.pressure': 'warn',
  'queue.lane.idle': 'info',
  'queue.lane.starving': 'warn',
  'queue.lane.relieved': 'info',
  'queue.lane.breaker': 'warn',
  'queue.lane.paused': 'info',
  'queue.lane.resumed': 'info',
  'queue.lane.configured': 'info',
  'queue.dead_letter.redriven': 'info',
  'queue.alert': 'warn',
  'queue.shutdown.started': 'info',
  'queue.shutdown.complete': 'info',
  'queue.fault': 'error',
  'events.dropped': 'warn',
}

/** Longest text in an entry. */
const LONGEST_TEXT = 1000

/** What makes two lines of one, or moves a terminal's cursor. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: finding them is its purpose
const CONTROL = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g

/** A text as it stands in a log entry. */
function logText(text: string): string {
  const cut = text.length > LONGEST_TEXT ? `${text.slice(0, LONGEST_TEXT)}… (${text.length} characters)` : text
  return cut.replace(CONTROL, (found) => `\\u${found.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

/** What the log needs of its queue. */
export type LogOptions = {
  readonly logger: Logger
  /** Whether entries of submitted commands hold their payload. */
  readonly payloads: boolean
  /** The payload of a command that is known. */
  readonly payloadOf: (commandId: string) => unknown
  /** A logger that throws. */
  readonly onFault: (error: unknown) => void
}

export class EventLog {
  readonly #options: LogOptions

  constructor(options: LogOptions) {
    this.#options = options
  }

  write<K extends EventKey>(key: K, payload: EventPayloads[K]): void {
    const { logger, onFault } = this.#options
    const level = key === 'queue.alert' ? alertLevel(payload as EventPayloads['queue.alert']) : LEVELS[key]
    try {
      if (logger.isLevelEnabled?.(level) === false) return
      const written = logger[level](this.#fields(key, payload), key)
      if (written instanceof Promise) written.catch(onFault)
    } catch (error) {
      onFault(error)
    }
  }

  #fields(key: EventKey, payload: EventPayloads[EventKey]): object {
    const fields: Record<string, unknown> = {}
    for (const [name, value] of Object.entries(payload ?? {})) {
      // What a handler reports with its progress is its payload, too.
      if (key === 'queue.command.progress' && name === 'value') {
        if (this.#options.payloads) fields[name] = tamed(value)
      } else fields[name] = typeof value === 'string' ? logText(value) : value
    }
    if (this.#options.payloads && key === 'queue.command.submitted') {
      fields['payload'] = tamed(this.#options.payloadOf(fields['command_id'] as string))
    }
    return fields
  }
}

function alertLevel({ level }: EventPayloads['queue.alert']): LogLevel {
  if (level === 'critical') return 'error'
  return level === 'warning' ? 'warn' : 'info'
}

/** A value of the user's: a copy with its texts tamed, or the beginning of its text when that is long. */
function tamed(value: unknown): unknown {
  try {
    const text = JSON.stringify(value)
    if (text === undefined) return null
    if (text.length > LONGEST_TEXT) return logText(text)
    return JSON.parse(text, (_key, part: unknown) => tamedPart(part)) as unknown
  } catch {
    return 'a payload that cannot be shown'
  }
}

function tamedPart(part: unknown): unknown {
  if (typeof part === 'string') return logText(part)
  if (typeof part !== 'object' || part === null || Array.isArray(part)) return part
  return Object.fromEntries(Object.entries(part).map(([name, value]) => [logText(name), value as unknown]))
}

/** Checks the options of the log; undefined when there is none. */
export function checkedLog(logger: unknown, payloads: unknown): Pick<LogOptions, 'logger' | 'payloads'> | undefined {
  if (payloads !== undefined) checkBoolean('logPayloads', payloads)
  if (logger === undefined) {
    if (payloads === true) throw configInvalid('logPayloads', 'left out when there is no logger', payloads)
    return undefined
  }
  checkLogger('logger', logger)
  return { logger, payloads: payloads === true }
}

export function checkLogger(option: string, logger: unknown): asserts logger is Logger {
  const methods = ['debug', 'info', 'warn', 'error'] as const
  const isLogger =
    typeof logger === 'object' &&
    logger !== null &&
    methods.every((name) => typeof (logger as Logger)[name] === 'function')
  if (!isLogger) throw configInvalid(option, 'an object with the methods debug, info, warn and error', logger)
}
