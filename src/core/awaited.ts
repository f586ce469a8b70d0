/** Runs that wait for word from an engine, and submits that go to it together. */
import type { EngineCommand } from './engine.js'
import type { Entry } from './entry.js'
import type { LaneError } from './errors.js'
import type { ProgressReader } from './progress.js'
import { quiet, type Run, type Settle } from './run.js'
import type { Origin } from './stored-admission.js'
import type { CheckedOptions } from './submit-options.js'

/** A run that waits for word from the engine. */
export type Awaited = {
  readonly run: Run
  readonly settle: Settle
  readonly type: string
  readonly payload: string | undefined
  /** What was submitted, where a schema has made the payload from it. */
  readonly given: unknown
  /** Its delay in milliseconds; -1 for none. */
  readonly dueMs: number
  readonly accepted: Promise<void>
  readonly accept: () => void
  readonly refuse: (error: LaneError) => void
  /** The command whose handler has submitted it, and with which it falls. */
  readonly parent: Entry | undefined
  readers: Set<ProgressReader> | undefined
  unwatch: (() => void) | undefined
  isAccepted: boolean
  /** The run has its outcome: what is still on its way is no news. */
  isOver: boolean
  /** It is to be cancelled: as soon as the engine has it. */
  cancelled: { readonly reason: unknown } | undefined
}

/** What is known of a submit beside its run. */
export type Sent = Pick<Awaited, 'type' | 'payload' | 'given'> & {
  readonly checked: CheckedOptions
  readonly origin: Origin | undefined
}

/** Submits that go to the engine together. */
export class Submits {
  readonly commands: EngineCommand[] = []
  readonly awaited: Awaited[] = []
}

const nothing = (): void => undefined

/** `now` is an instant of the monotonic clock. */
export function newAwaited(run: Run, { type, payload, given, checked, origin }: Sent, now: number): Awaited {
  const { signal, dueAt, detached } = checked
  const parent = detached ? undefined : origin?.parent
  let accept: Awaited['accept'] = nothing
  let refuse: Awaited['refuse'] = nothing
  const accepted = new Promise<void>((resolve, reject) => {
    accept = resolve
    refuse = reject
  })
  const orphaned = parent?.run.state === 'cancelled' ? { reason: 'its parent was cancelled' } : undefined
  return {
    run,
    settle: run.inner as Settle,
    type,
    payload,
    given,
    dueMs: dueAt === undefined ? -1 : Math.max(0, dueAt - now),
    accepted: quiet(accepted),
    accept,
    refuse,
    parent,
    readers: undefined,
    unwatch: undefined,
    isAccepted: false,
    isOver: false,
    cancelled: signal?.aborted === true ? { reason: signal.reason } : orphaned,
  }
}
