import type { CheckerKind } from '../checker.js'
import { describe } from '../observer.js'

/** I26: a body sees the last checkpoint that had resolved, or a later one that was being written; never an older one. */
export const checkpoints: CheckerKind = {
  name: 'checkpoints',
  invariants: ['I26'],
  make: () => ({
    onBody: ({ what, body }, picture) => {
      if (what !== 'entered') return
      const { command, restored } = body
      const { resolved, begun } = command.checkpointed
      if (restored < resolved || restored > begun)
        picture.report(
          'I26',
          `${describe(command)} was given checkpoint ${restored}, ${resolved} is the last of ${begun}`,
        )
    },
  }),
}
