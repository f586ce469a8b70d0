/** Every checker, in the order in which they look. */
import type { CheckerKind } from '../checker.js'
import { arrival } from './arrival.js'
import { attempts } from './attempts.js'
import { backOff } from './back-off.js'
import { boost } from './boost.js'
import { breakers } from './breakers.js'
import { cancel } from './cancel.js'
import { checkpoints } from './checkpoints.js'
import { conservation } from './conservation.js'
import { deadLetters } from './dead-letters.js'
import { dedupe } from './dedupe.js'
import { ending } from './ending.js'
import { grammar } from './grammar.js'
import { keys } from './keys.js'
import { laneOrder } from './lane-order.js'
import { limits } from './limits.js'
import { memory } from './memory.js'
import { metrics } from './metrics.js'
import { pause } from './pause.js'
import { pressure } from './pressure.js'
import { rate } from './rate.js'
import { reserve } from './reserve.js'
import { running } from './running.js'
import { settlement } from './settlement.js'
import { starvation } from './starvation.js'
import { timeouts } from './timeouts.js'
import { turns } from './turns.js'
import { victims } from './victims.js'
import { work } from './work.js'
import { yields } from './yields.js'

export const checkers: readonly CheckerKind[] = [
  grammar,
  conservation,
  metrics,
  limits,
  reserve,
  boost,
  starvation,
  laneOrder,
  turns,
  arrival,
  rate,
  settlement,
  attempts,
  backOff,
  timeouts,
  deadLetters,
  work,
  pause,
  cancel,
  ending,
  pressure,
  running,
  checkpoints,
  keys,
  victims,
  yields,
  breakers,
  dedupe,
  memory,
]
