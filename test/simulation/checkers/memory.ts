import type { CheckerKind } from '../checker.js'

/** I23: at the end the counts are zero and the queue holds no timer; I2 again, from what the queue claims. */
export const memory: CheckerKind = {
  name: 'memory',
  invariants: ['I23'],
  make: () => ({
    atQuiescence: (picture) => {
      const { totalSlots, totalDelayed, totalActive } = picture.claims
      if (totalSlots > picture.options.cap)
        picture.report('I2', `${totalSlots} slots in use, the cap is ${picture.options.cap}`)
      const isIdle = totalSlots === 0 && totalDelayed === 0 && totalActive === 0 && picture.unsettled === 0
      if (isIdle && picture.waitsForNothing && picture.clock.queueTimers > 0)
        picture.report('I23', `an idle queue holds ${picture.clock.queueTimers} timers`)
    },
    atEnd: (picture) => {
      const { totalPending, totalActive, totalDelayed, totalSlots } = picture.claims
      if (totalPending + totalActive + totalDelayed + totalSlots > 0)
        picture.report(
          'I23',
          `left over: ${totalPending} pending, ${totalActive} active, ${totalDelayed} delayed, ${totalSlots} slots`,
        )
      if (picture.clock.queueTimers > 0) picture.report('I23', `${picture.clock.queueTimers} timers are left over`)
    },
  }),
}
