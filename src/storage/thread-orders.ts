/** What the queue's thread and the writing thread say to each other: orders, each answered once, in their order. */
import type { FailurePhase } from './failure.js'
import type { Retention } from './retention.js'

/** What a writing thread is given at its start. */
export type ThreadSettings = {
  readonly path: string
  readonly starts: string
  readonly identity: string
  readonly isFull: boolean
}

/** What a thread is given that makes a copy of a file, and ends. */
export type CopyOrder = { readonly copyOf: string; readonly target: string }

export const isCopyOrder = (given: ThreadSettings | CopyOrder): given is CopyOrder => 'copyOf' in given

/** What is done between writes, a portion at a time. */
export type Step =
  | { readonly kind: 'fold'; readonly retention: Retention; readonly now: number }
  | { readonly kind: 'checkpoint' }
  | { readonly kind: 'compact'; readonly pages: number }

/** Changes (in so many batches) that were folded, or pages that are left; and whether there is more to do. */
export type StepDone = { readonly value: number; readonly batches: number; readonly more: boolean }

export type ThreadOrder =
  | Step
  | { readonly kind: 'write'; readonly number: number; readonly bytes: Uint8Array }
  | { readonly kind: 'close' }

/** An error on its way between threads: what is needed to judge it. */
export type SentFailure = {
  readonly phase: FailurePhase
  readonly message: string
  readonly code: string
  readonly isCorruption: boolean
}

export type ThreadAnswer =
  | ({ readonly isDone: true; readonly ms: number } & StepDone)
  | { readonly isDone: false; readonly failure: SentFailure }
