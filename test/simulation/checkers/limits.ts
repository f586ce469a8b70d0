import type { CheckerKind } from '../checker.js'
import { describe } from '../observer.js'
import { type BodyPicture, isBusy, type Picture } from '../picture.js'

/** I1, I2: bodies that do something never exceed the limit of their lane, of their key, of the queue; zombies included. */
export const limits: CheckerKind = {
  name: 'limits',
  invariants: ['I1', 'I2'],
  make: () => ({
    onBody: ({ what, body }, picture) => {
      if (what !== 'entered' && what !== 'goes-on') return
      if (isBusy(body)) judge(body, what, picture)
    },
  }),
}

function judge(body: BodyPicture, what: string, picture: Picture): void {
  const lane = picture.lane(body.command.laneId)
  const name = `${describe(body.command)} ${what}`
  const inLane = [...lane.bodies].filter(isBusy)
  if (inLane.length > lane.ceiling)
    picture.report('I1', `${name}: ${inLane.length} bodies in ${lane.id}, at most ${lane.ceiling}`)
  const all = [...picture.lanes.values()].flatMap(({ bodies }) => [...bodies].filter(isBusy))
  if (all.length > picture.options.cap) {
    const names = all.map(({ command }) => describe(command)).join(', ')
    picture.report('I2', `${name}: ${all.length} bodies in all, at most ${picture.options.cap}: ${names}`)
  }
  judgeKey(body, inLane, picture)
}

/** A lowered limit holds for starts: whoever goes on was there before. */
function judgeKey({ command }: BodyPicture, inLane: readonly BodyPicture[], picture: Picture): void {
  const { key } = command.spec
  const { keyConcurrency } = picture.lane(command.laneId).spec
  if (key === undefined || keyConcurrency === undefined || command.isAwaitedChild) return
  const ofKey = inLane.filter((one) => one.command.spec.key === key && !one.command.isAwaitedChild)
  const isOld = ofKey.some(({ enteredAt }) => enteredAt < picture.lane(command.laneId).keyLimitSince)
  if (ofKey.length > keyConcurrency && !isOld)
    picture.report('I1', `${describe(command)}: ${ofKey.length} of key ${key}, at most ${keyConcurrency}`)
}
