import type { CheckerKind } from '../checker.js'

/**
 * I13: a letter exists exactly when a command failed for good, the ring drops its oldest, and a redrive takes the letter
 * out. The ring here is a list of ids.
 */
export const deadLetters: CheckerKind = {
  name: 'dead letters',
  invariants: ['I13'],
  make: () => {
    const ring: string[] = []
    return {
      onEvent: ({ name, command, event }, picture) => {
        const { deadLetters: capacity } = picture.options
        if (name === 'dead_lettered' && command !== undefined) {
          if (ring.length === capacity) ring.shift()
          ring.push(command.id)
        }
        if (name === 'dead_letter.redriven' && command !== undefined) ring.splice(ring.lastIndexOf(command.id), 1)
        if ((name === 'failed' || name === 'timeout') && command !== undefined) {
          // a listener may redrive the letter before the failure is told
          const isBuried = command.trail.includes('dead_lettered')
          if (isBuried !== capacity > 0) picture.report('I13', `${command.id} failed, buried: ${isBuried}`)
        }
        // a redrive takes its letter out, then tells of it
        const isRedriving = name === 'submitted' && command?.redrivenFrom !== undefined
        if (picture.claims.deadLetterCount !== ring.length && !isRedriving)
          picture.report('I13', `at ${event.key}: ${picture.claims.deadLetterCount} letters, expected ${ring.length}`)
      },
    }
  },
}
