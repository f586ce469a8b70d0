/** What a checker is: it looks, and reports what must not be. */
import type { CommandRun, LaneEvent } from '@a3s-lab/lane'
import type { SubmitSpec } from './lane-spec.js'
import type { BodyPicture, CommandPicture, Picture } from './picture.js'

/** An event with its name (the last word of its key) and what it is about. */
export type SeenEvent = {
  readonly name: string
  readonly event: LaneEvent
  readonly command: CommandPicture | undefined
  readonly laneId: string | undefined
  readonly fields: Readonly<Record<string, unknown>>
}

/** What happened where no event tells of it. */
export type SeenBody = {
  readonly what: 'entered' | 'left' | 'aborted' | 'goes-on' | 'yields'
  readonly body: BodyPicture
}

/** A submit that has returned. */
export type Accepted = {
  readonly spec: SubmitSpec
  readonly run: CommandRun
  /** The command that it made; undefined when it was given another's run, or refused. */
  readonly accepted: CommandPicture | undefined
  readonly wasRefused: boolean
  /** A listener used the queue before it returned. */
  readonly wasMeddled: boolean
}

type Answer = { readonly command: CommandPicture; readonly text: string }

/** Each method is optional; a checker is made anew for each seed, so it may keep what it needs. */
export interface Checker {
  /** A command starts, and the picture still shows what was before. Claims are those after. */
  beforeStart?(command: CommandPicture, picture: Picture): void
  /** An event was published, and the picture knows it. */
  onEvent?(seen: SeenEvent, picture: Picture): void
  onBody?(seen: SeenBody, picture: Picture): void
  /** A submit is about to be made. */
  onSubmitting?(spec: SubmitSpec, picture: Picture): void
  onSubmitted?(submitted: Accepted, picture: Picture): void
  /** A run has settled. */
  onAnswer?(answer: Answer, picture: Picture): void
  /** Everything but time has come to rest. */
  atQuiescence?(picture: Picture): void
  /** Faults were switched off, and everything has come to its end. */
  atEnd?(picture: Picture): void
}

export type CheckerKind = {
  readonly name: string
  readonly invariants: readonly string[]
  readonly make: () => Checker
}
