import type { Accepted, CheckerKind } from '../checker.js'
import { describe } from '../observer.js'
import type { CommandPicture, Picture } from '../picture.js'

type Hold = { owner: CommandPicture; expiresAt: number; next: CommandPicture | undefined }

/** Instants this close to the end of a window prove nothing. */
const SLACK_MS = 1e-6

/**
 * I21 for `dedupe`: one owner per id, by the rules of the duplicate's mode, each duplicate announced. `drop` gives the
 * owner's run; `replace` and `keep-last` take the place of one that has not started; `keep-last` follows one that has.
 */
export const dedupe: CheckerKind = {
  name: 'dedupe',
  invariants: ['I21'],
  make: () => {
    const holds = new Map<string, Hold>()
    const unknown = new Set<string>()
    let before: Before | undefined
    return {
      onSubmitting: ({ dedupe: given }, picture) => {
        const hold = given === undefined ? undefined : holds.get(given.id)
        before = hold === undefined ? undefined : beforeOf(hold, picture)
      },
      onSubmitted: (submitted, picture) => {
        const { dedupe: given } = submitted.spec
        if (given === undefined || unknown.has(given.id)) return
        // a listener may have changed everything in between: what became of the id is not known any more
        if (submitted.wasMeddled) return void unknown.add(given.id)
        // a refused submit changes nothing
        if (submitted.wasRefused) return
        if (before?.isHeld === true) judge(submitted, before, picture)
        else if (submitted.accepted === undefined && before?.isDoubtful !== true)
          picture.report('I21', `a submit under the free dedupe id '${given.id}' gave another's run`)
        note(submitted, before, holds)
      },
      onEvent: ({ name, command }) => {
        if (command === undefined) return
        if (name === 'deduplicated' && before?.hold.owner === command) before.isAnnounced = true
        const id = command.spec.dedupe?.id
        const hold = id === undefined ? undefined : holds.get(id)
        if (hold === undefined || command.final === undefined) return
        if (hold.next === command) hold.next = undefined
        if (hold.owner !== command || hold.next === undefined) return
        holds.set(id as string, { owner: hold.next, expiresAt: expiryOf(hold.next), next: undefined })
      },
    }
  },
}

/** What held before a submit. */
type Before = {
  readonly hold: Hold
  readonly isHeld: boolean
  readonly isDoubtful: boolean
  readonly isSettled: boolean
  readonly hadStarted: boolean
  isAnnounced: boolean
}

function beforeOf(hold: Hold, picture: Picture): Before {
  const { owner, expiresAt } = hold
  const isSettled = owner.phase === 'settled'
  const isDoubtful = isSettled && Math.abs(picture.now - expiresAt) <= SLACK_MS
  const isHeld = !isDoubtful && (!isSettled || picture.now < expiresAt)
  return { hold, isHeld, isDoubtful, isSettled, hadStarted: owner.attempt > 0, isAnnounced: false }
}

const expiryOf = ({ submittedAt, spec }: CommandPicture): number => submittedAt + (spec.dedupe?.ttlMs ?? 0)

function judge({ spec, accepted, run }: Accepted, before: Before, picture: Picture): void {
  const { mode, id } = spec.dedupe as NonNullable<typeof spec.dedupe>
  const { owner } = before.hold
  const name = `a duplicate of '${id}' (${mode})`
  if (!before.isAnnounced) picture.report('I21', `${name} was not announced with ${describe(owner)}`)
  const takesPlace = mode !== 'drop' && !before.isSettled && !before.hadStarted
  const follows = mode === 'keep-last' && !before.isSettled && before.hadStarted
  if ((takesPlace || follows) !== (accepted !== undefined))
    picture.report('I21', `${name} of ${describe(owner)} was ${accepted === undefined ? 'not ' : ''}accepted`)
  if (takesPlace && owner.final !== 'cancelled') picture.report('I21', `${name} left ${describe(owner)} alive`)
  if (follows && accepted?.isFollower !== true) picture.report('I21', `${name} does not follow ${describe(owner)}`)
  if (accepted === undefined && owner.run !== undefined && run !== owner.run)
    picture.report('I21', `${name} was not given the run of ${describe(owner)}`)
}

function note({ spec, accepted }: Accepted, before: Before | undefined, holds: Map<string, Hold>): void {
  if (accepted === undefined || spec.dedupe === undefined) return
  const { id } = spec.dedupe
  if (before?.isHeld !== true)
    return void holds.set(id, { owner: accepted, expiresAt: expiryOf(accepted), next: undefined })
  const { hold } = before
  if (accepted.isFollower) hold.next = accepted
  // who takes the place of another takes over what is left of its window
  else holds.set(id, { owner: accepted, expiresAt: hold.expiresAt, next: hold.next })
}
