import type { CheckerKind } from '../checker.js'

/**
 * What a lane claims about itself, which other checkers build upon: its reserve is what was asked for (all minima of a seed
 * are explicit), its maximum and its base priority are those of its options.
 */
export const reserve: CheckerKind = {
  name: 'claims',
  invariants: ['I3'],
  make: () => ({
    onEvent: ({ name }, picture) => {
      if (name !== 'configured' && name !== 'started') return
      for (const { id, spec } of picture.lanes.values()) {
        const { min, max, priority, paused } = picture.claimsOf(id)
        if (min !== spec.minConcurrency && name === 'started')
          picture.report('I3', `${id} has ${min} slots reserved, ${spec.minConcurrency} were asked for`)
        if ((max !== spec.maxConcurrency || priority !== spec.priority) && name === 'started')
          picture.report('I1', `${id} claims at most ${max} and priority ${priority}`)
        if (paused !== picture.lane(id).paused) picture.report('I17', `${id} claims paused: ${paused}`)
      }
    },
  }),
}
