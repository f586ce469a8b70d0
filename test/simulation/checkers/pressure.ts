import type { CheckerKind } from '../checker.js'

/** I20: pressure at its threshold, idle at nothing waiting, and the two alternate per lane. */
export const pressure: CheckerKind = {
  name: 'pressure',
  invariants: ['I20'],
  make: () => {
    const pressed = new Set<string>()
    return {
      onEvent: ({ name, laneId, event }, picture) => {
        if (laneId === undefined || (event.key !== 'queue.lane.pressure' && event.key !== 'queue.lane.idle')) return
        const { pending } = picture.claimsOf(laneId)
        const threshold = picture.lane(laneId).spec.pressureThreshold ?? Number.POSITIVE_INFINITY
        const isPressure = name === 'pressure'
        if (pressed.has(laneId) === isPressure) picture.report('I20', `${laneId} announced ${name} twice`)
        if (isPressure ? pending < threshold : pending > 0)
          picture.report('I20', `${laneId} announced ${name} with ${pending} pending, threshold ${threshold}`)
        if (isPressure) pressed.add(laneId)
        else pressed.delete(laneId)
      },
      atQuiescence: (picture) => {
        for (const laneId of pressed) {
          if (picture.claimsOf(laneId).pending === 0) picture.report('I20', `${laneId} never announced idle`)
        }
      },
    }
  },
}
