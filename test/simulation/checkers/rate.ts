import type { CheckerKind } from '../checker.js'
import { amountOf, type LimiterModel } from '../limiters.js'
import { describe } from '../observer.js'

/**
 * I6: by arithmetic of our own, no start finds its limiter empty, so a bucket never gives more than burst + rate × T and a
 * window never more than its number; a debt is repaid first; and a lane that a provider closed starts nothing.
 */
export const rate: CheckerKind = {
  name: 'rate',
  invariants: ['I6'],
  make: () => ({
    beforeStart: (command, picture) => {
      const { limits, id } = picture.lane(command.laneId)
      if (limits.allows(command.spec.cost, picture.now) === 'no') {
        const [short] = limits.models.filter(
          (model) => model.allows(amountOf(model.spec.unit, command.spec.cost), picture.now) === 'no',
        )
        picture.report('I6', `${describe(command)} started though ${textOf(short as LimiterModel, picture.now)}`)
      }
      if (picture.now < limits.closedUntil)
        picture.report('I6', `${describe(command)} started though ${id} is closed until ${limits.closedUntil}`)
    },
  }),
}

const textOf = (model: LimiterModel, now: number): string =>
  `its ${model.spec.algorithm} of ${model.spec.maxCommands} in ${model.spec.windowMs} ms has ${model.available(now)} left`
