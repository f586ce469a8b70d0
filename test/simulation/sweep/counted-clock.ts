/** The clock that the queue is given: the simulated one, with every call counted. */
import type { Clock } from '@a3s-lab/lane'
import type { SimClock } from '../sim-clock.js'
import type { Calls } from './calls.js'
import type { Ledger } from './ledger.js'

export function countedClock({ face }: SimClock, calls: Calls, ledger: Ledger): Clock {
  return {
    now: () => {
      calls.now('clock.now')
      return face.now()
    },
    wallNow: () => {
      calls.now('clock.wallNow')
      return face.wallNow()
    },
    setTimer: (delayMs, fire) => {
      calls.now('clock.setTimer')
      return face.setTimer(delayMs, () => {
        try {
          fire()
        } catch (error) {
          // on a host this is an uncaught exception
          ledger.escaped.push(error)
        }
      })
    },
    clearTimer: (timer) => {
      calls.now('clock.clearTimer')
      face.clearTimer(timer)
    },
  }
}
