/** How the commands of a lane are handled: here, elsewhere, or here with somebody watching. */
import { configInvalid, integerSetting, type ReadSetting, readSettings } from '../core/index.js'
import { capitalised, quoted, required } from './config-words.js'

/**
 * 'internal' runs commands here. 'external' hands each attempt out as an external task and waits for its completion.
 * 'hybrid' runs them here and tells the start and the end like those of an external task.
 */
export type HandlerMode = 'internal' | 'external' | 'hybrid'

/** The handler of a lane. */
export type LaneHandlerConfig = {
  readonly mode: HandlerMode
  /** How long an external attempt waits for its completion, in milliseconds. */
  readonly timeoutMs: number
}

const HANDLER_MODES: readonly HandlerMode[] = ['internal', 'external', 'hybrid']

/** What a lane has that was given no handler. */
export const DEFAULT_HANDLER: LaneHandlerConfig = Object.freeze({ mode: 'internal', timeoutMs: 60_000 })

/** The handler from what was written. `CONFIG_INVALID` for unknown keys and modes, naming the allowed ones. */
export const laneHandlerConfig: ReadSetting<LaneHandlerConfig> = (option, value, form) => {
  const { mode, timeoutMs = DEFAULT_HANDLER.timeoutMs } = readSettings(option, value, HANDLER, form)
  return { mode: required(`${option}.mode`, mode, `one of ${quoted(HANDLER_MODES)}`), timeoutMs }
}

const handlerMode: ReadSetting<HandlerMode> = (option, value) => {
  const mode = HANDLER_MODES.find((one) => one === value || capitalised(one) === value)
  if (mode === undefined) throw configInvalid(option, `one of ${quoted(HANDLER_MODES)}`, value)
  return mode
}

const HANDLER = { mode: { read: handlerMode }, timeoutMs: { read: integerSetting(1) } }
