import type { Checker, CheckerKind } from '../checker.js'
import { describe } from '../observer.js'
import type { CommandPicture, LanePicture, Picture } from '../picture.js'
import { stepsOf } from '../urgency.js'

type Start = { readonly command: CommandPicture; readonly waitedMs: number; readonly older: number }

/** Whatever else a seed draws (pauses, limits, preemption …) may keep a command waiting with good reason. */
const ALLOWED = new Set(['boost', 'deadlines', 'cap', 'bursts'])

/**
 * I14: with a boost nobody starves. Past its deadline a command stands among the best, where at most each lane goes once
 * between two starts of its own, so it starts within S × (ceil(K × L / C) + ceil(K / M) + 1) of it: S the longest body, K the
 * command and the older ones of its lane, L the number of lanes, C the cap, M the most that its lane runs at once.
 *
 * Judged at the end, when the longest body is known, in seeds without protected lanes that draw nothing but boosts.
 */
export const starvation: CheckerKind = {
  name: 'starvation',
  invariants: ['I14'],
  make: (): Checker => {
    const olderThan = new Map<CommandPicture, number>()
    const starts: Start[] = []
    let longestMs = 0
    let startedAt = Number.NaN
    return {
      onEvent: ({ name, command }, picture) => {
        if (name !== 'submitted' || command === undefined || !isAbout(picture)) return
        olderThan.set(command, picture.lane(command.laneId).waiting.size)
      },
      beforeStart: (command, picture) => {
        if (Number.isNaN(startedAt)) startedAt = picture.now
        const older = olderThan.get(command)
        const steps = stepsOf(command, picture.lane(command.laneId))
        if (older === undefined || steps === undefined || command.attempt > 0) return
        const from = Math.max(startedAt, command.submittedAt + steps.deadlineMs)
        starts.push({ command, waitedMs: picture.now - from, older })
      },
      onBody: ({ what, body }, picture) => {
        if (what === 'left') longestMs = Math.max(longestMs, picture.now - body.enteredAt)
      },
      atEnd: (picture) => {
        for (const start of starts) judge(start, longestMs, picture)
      },
    }
  },
}

function isAbout({ options }: Picture): boolean {
  const isSimple = options.features.every((feature) => ALLOWED.has(feature))
  return isSimple && Object.values(options.lanes).every(({ protected: isProtected }) => isProtected !== true)
}

function judge({ command, waitedMs, older }: Start, longestMs: number, picture: Picture): void {
  const bodies = older + 1
  const { maxConcurrency }: LanePicture['spec'] = picture.lane(command.laneId).spec
  const turns = picture.hasCap ? Math.ceil((bodies * picture.lanes.size) / picture.options.cap) : 0
  const limit = longestMs * (turns + Math.ceil(bodies / maxConcurrency) + 1)
  if (waitedMs > limit)
    picture.report('I14', `${describe(command)} started ${waitedMs} ms after its deadline, ${limit} at most`)
}
