import type { CheckerKind, SeenEvent } from '../checker.js'
import type { CommandPicture, Picture } from '../picture.js'

/** What may follow what, for one command (I19). `fault`, `deduplicated`, `rejected` and `redriven` stand outside. */
const AFTER: Readonly<Record<string, readonly string[]>> = {
  submitted: ['delayed', 'started', 'cancelled', 'failed', 'dead_lettered'],
  delayed: ['started', 'cancelled', 'failed', 'dead_lettered'],
  started: [
    'resumed',
    'progress',
    'completed',
    'retry',
    'delayed',
    'preempted',
    'dead_lettered',
    'failed',
    'timeout',
    'cancelled',
  ],
  resumed: [
    'progress',
    'completed',
    'retry',
    'delayed',
    'preempted',
    'dead_lettered',
    'failed',
    'timeout',
    'cancelled',
  ],
  progress: [
    'progress',
    'completed',
    'retry',
    'delayed',
    'preempted',
    'dead_lettered',
    'failed',
    'timeout',
    'cancelled',
  ],
  retry: ['started', 'cancelled', 'failed', 'dead_lettered'],
  preempted: ['started', 'cancelled', 'failed', 'dead_lettered'],
  dead_lettered: ['failed', 'timeout'],
  completed: [],
  failed: [],
  timeout: [],
  cancelled: [],
}

const OUTSIDE = new Set(['fault', 'deduplicated', 'rejected', 'dead_letter.redriven'])

/** I19: the events of a command come in the order of the grammar; those of a shutdown come once. */
export const grammar: CheckerKind = {
  name: 'grammar',
  invariants: ['I19'],
  make: () => {
    const last = new Map<CommandPicture, string>()
    const resumes = new Set<CommandPicture>()
    let ends = 0
    return {
      onEvent: (seen, picture) => {
        if (picture.isComplete && ends > 0) picture.report('I19', `${seen.event.key} after queue.shutdown.complete`)
        if (seen.name === 'shutdown.complete') ends++
        judge(seen, last, resumes, picture)
      },
    }
  },
}

function judge(
  { name, command, event, laneId }: SeenEvent,
  last: Map<CommandPicture, string>,
  resumes: Set<CommandPicture>,
  picture: Picture,
): void {
  if (OUTSIDE.has(name) || !event.key.startsWith('queue.command.')) return
  if (command === undefined) return picture.report('I19', `${event.key} tells of a command that nobody submitted`)
  if (laneId !== command.laneId) picture.report('I19', `${event.key} of ${command.id} names ${String(laneId)}`)
  const before = last.get(command)
  const isLegal = before === undefined ? name === 'submitted' : (AFTER[before]?.includes(name) ?? false)
  if (!isLegal) picture.report('I19', `${command.id}: ${name} after ${before ?? 'nothing'}`)
  if (before === 'started' && resumes.has(command) !== (name === 'resumed') && name !== 'cancelled')
    picture.report('I19', `${command.id}: ${name} right after a start, resumed expected: ${resumes.has(command)}`)
  if (name === 'preempted') resumes.add(command)
  else if (name === 'resumed') resumes.delete(command)
  last.set(command, name)
}
