/**
 * What the main thread and a thread tell each other about one body.
 *
 * A body is started by what piscina hands over (`BodyStart`) and answers once (`BodyEnding`). In between, reports go from
 * the thread to the main thread, and orders go back, on the thread's own port. That is another port than the answer's, so
 * the answer says how many reports were sent before it: whoever has fewer waits for the rest.
 */
import type { CommandContext, Outcome } from '../core/index.js'
import type { ThrownForm } from './thrown-form.js'

/** Starts a body in a thread. Everything is data: it is cloned on its way. */
export type BodyStart = {
  /** Names this body among all of its pool. */
  readonly body: number
  /** Where in the shared memory it is told to stop. */
  readonly place: number
  /** The user's file, as a `file:` URL. */
  readonly file: string
  readonly id: string
  readonly laneId: string
  readonly commandType: string
  readonly key?: string | undefined
  readonly traceContext?: CommandContext['traceContext']
  readonly attempt: number
  readonly restored?: unknown
  readonly payload: unknown
}

/** How a body has ended. */
export type BodyEnding = {
  /** How many reports were sent before. */
  readonly sent: number
  /** `reported`: the value is the last of the reports, where one that cannot be cloned does no harm. */
  readonly how: 'value' | 'reported' | 'outcome' | 'threw' | 'unsendable'
  readonly value?: unknown
  readonly outcome?: Outcome
  readonly thrown?: ThrownForm
}

/** What a body says while it runs. Calls are numbered and get an answer. */
export type Report = {
  readonly body: number
  readonly what: 'progress' | 'log' | 'charge' | 'checkpoint' | 'yield' | 'run' | 'value'
  readonly value?: unknown
  readonly call?: number
}

/** What a body is told while it runs: to stop, or the answer to one of its calls. */
export type Order = {
  readonly body: number
  readonly what: 'stop' | 'answer'
  readonly call?: number
  readonly value?: unknown
  readonly thrown?: ThrownForm
}

/** What all threads of a pool are given when they start. */
export type ThreadData = {
  /** One cell per place: the number of the body there that is to stop. */
  readonly stops: SharedArrayBuffer
}

/** Reports stand in an envelope, so that what a user's file posts by itself is not taken for one. */
export type Envelope<T> = { readonly '@a3s-lab/lane': T }

export const inEnvelope = <T>(content: T): Envelope<T> => ({ '@a3s-lab/lane': content })

export function contentOf<T>(message: unknown): T | undefined {
  if (typeof message !== 'object' || message === null) return undefined
  return (message as Partial<Envelope<T>>)['@a3s-lab/lane']
}
