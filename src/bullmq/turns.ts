/**
 * What a worker asks of a lane in one turn of its event loop goes to the server in one call: commands that have completed,
 * and claims. An answer that is lost is asked for again one by one, by the calls that know how to repeat themselves.
 */
import type { ClaimAnswer, EngineUse } from '../core/index.js'
import { jobIdOf } from './ids.js'
import type { CheckedOptions } from './options.js'
import type { ServerCalls } from './server-calls.js'

/** `fields`: name and value in turn, or all of that as one text with a NUL between two. */
export type Claimed = readonly ['claimed', jobId: string, fields: readonly string[] | string]
export type Refused = readonly [why: 'empty' | 'full' | 'paused' | 'rate_limited', retryAt?: string]
type TurnReply = readonly [lost: readonly string[], claims: readonly Claimed[], refused: Refused | null]

/** A command that has completed, and nothing else is to be done for it. */
export type PlainEnd = {
  readonly id: string
  readonly token: string
  readonly attempt: number
  readonly details: string
  /** JSON text; '' for none. */
  readonly result: string
}

/** Who takes the answers, and asks one by one when one is lost. */
export type TurnHost = {
  taken(laneId: string, token: string, reply: Claimed | Refused): ClaimAnswer
  claimAgain(laneId: string, token: string): Promise<ClaimAnswer>
}

type Waiting<T> = { readonly resolve: (value: T) => void; readonly reject: (error: unknown) => void }
type EndWaiting = Waiting<boolean> & { readonly end: PlainEnd; readonly again: () => Promise<boolean> }
type ClaimWaiting = Waiting<ClaimAnswer> & { readonly token: string }

class Turn {
  readonly ends: EndWaiting[] = []
  readonly claims: ClaimWaiting[] = []
}

/** The answer to an earlier call was lost. */
class AnswerLost extends Error {}

/** Most ends, and most claims, of one call: the server does nothing else while it works on it. */
const MOST = 250

export class Turns {
  readonly #calls: ServerCalls
  readonly #use: EngineUse
  readonly #options: CheckedOptions
  readonly #host: TurnHost
  readonly #turns = new Map<string, Turn>()

  constructor(calls: ServerCalls, use: EngineUse, options: CheckedOptions, host: TurnHost) {
    this.#calls = calls
    this.#use = use
    this.#options = options
    this.#host = host
  }

  claim(laneId: string, token: string): Promise<ClaimAnswer> {
    return new Promise((resolve, reject) => {
      this.#turnOf(laneId).claims.push({ resolve, reject, token })
    })
  }

  /** Whether the lease was held. `again`: asks whether it was, when nobody knows whether the end was taken. */
  end(laneId: string, end: PlainEnd, again: () => Promise<boolean>): Promise<boolean> {
    return new Promise((resolve, reject) => {
      this.#turnOf(laneId).ends.push({ resolve, reject, end, again })
    })
  }

  #turnOf(laneId: string): Turn {
    const known = this.#turns.get(laneId)
    if (known !== undefined && known.ends.length < MOST && known.claims.length < MOST) return known
    const turn = new Turn()
    this.#turns.set(laneId, turn)
    queueMicrotask(() => {
      if (this.#turns.get(laneId) === turn) this.#turns.delete(laneId)
      this.#send(laneId, turn)
    })
    return turn
  }

  #send(laneId: string, turn: Turn): void {
    this.#calls
      .run<TurnReply>('laneTurn', laneId, (isAgain) => {
        if (isAgain) throw new AnswerLost()
        return this.#arguments(laneId, turn)
      })
      .then(
        (reply) => this.#answered(laneId, turn, reply),
        (error: unknown) => this.#failed(laneId, turn, error),
      )
  }

  #arguments(laneId: string, { ends, claims }: Turn): (string | number)[] {
    const { leaseMs, keepCount, keepAgeSeconds } = this.#options
    const args: (string | number)[] = [
      this.#use.now(),
      leaseMs,
      this.#use.instanceId,
      keepCount,
      keepAgeSeconds,
      ends.length,
    ]
    for (const { end } of ends) args.push(jobIdOf(end.id, laneId), end.token, end.attempt, end.details, end.result)
    for (const { token } of claims) args.push(token)
    return args
  }

  #answered(laneId: string, { ends, claims }: Turn, [lost, granted, refused]: TurnReply): void {
    for (const [at, { resolve }] of ends.entries()) resolve(lost[at] === '0')
    for (const [at, { resolve, reject, token }] of claims.entries()) {
      try {
        resolve(this.#host.taken(laneId, token, granted[at] ?? refused ?? ['empty']))
      } catch (error) {
        reject(error)
      }
    }
  }

  #failed(laneId: string, { ends, claims }: Turn, error: unknown): void {
    if (!(error instanceof AnswerLost)) {
      for (const { reject } of ends) reject(error)
      for (const { reject } of claims) reject(error)
      return
    }
    for (const { again, resolve, reject } of ends) again().then(resolve, reject)
    for (const { token, resolve, reject } of claims) this.#host.claimAgain(laneId, token).then(resolve, reject)
  }
}
