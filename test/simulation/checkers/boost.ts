import type { CheckerKind } from '../checker.js'
import { describe } from '../observer.js'
import type { LanePicture, Picture } from '../picture.js'
import { effectiveRange, stepsOf } from '../urgency.js'

/**
 * What a lane claims as its effective priority is what its waiting commands make of it, so boosts come in time, go away
 * again, and stop at protected lanes (I14, I31). `starving` and `relieved` alternate, and tell the truth.
 */
export const boost: CheckerKind = {
  name: 'boost',
  invariants: ['I14', 'I31'],
  make: () => {
    const starving = new Set<string>()
    return {
      onEvent: ({ name, laneId, fields }, picture) => {
        if (laneId === undefined || (name !== 'starving' && name !== 'relieved')) return
        if (starving.has(laneId) === (name === 'starving')) picture.report('I20', `${laneId} announced ${name} twice`)
        if (name === 'relieved') return void starving.delete(laneId)
        starving.add(laneId)
        const lane = picture.lane(laneId)
        const command = picture.commands.get(String(fields['command_id']))
        if (command === undefined) return
        const { deadlineMs = 0 } = stepsOf(command, lane) ?? {}
        if (fields['deadline_ms'] !== deadlineMs)
          picture.report('I14', `${describe(command)} starves by a deadline of ${String(fields['deadline_ms'])}`)
      },
      atQuiescence: (picture) => {
        if (!picture.isPunctual) return
        for (const lane of picture.lanes.values()) judge(lane, picture)
      },
    }
  },
}

function judge(lane: LanePicture, picture: Picture): void {
  const { effectivePriority } = picture.claimsOf(lane.id)
  const [best, worst] = effectiveRange(lane, picture)
  if (effectivePriority >= best && effectivePriority <= worst) return
  const isAboveProtected = effectivePriority < best && lane.spec.protected !== true
  picture.report(
    isAboveProtected ? 'I31' : 'I14',
    `${lane.id} claims priority ${effectivePriority}, expected ${best === worst ? best : `${best} to ${worst}`}`,
  )
}
