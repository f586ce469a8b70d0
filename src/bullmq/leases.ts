/** Claims, and what becomes of their leases. */
import type {
  Claim,
  ClaimAnswer,
  EndAnswer,
  EngineCharge,
  EngineOutcome,
  EngineProgress,
  EngineUse,
  Lease,
  LeaseEnd,
  RenewAnswer,
} from '../core/index.js'
import { jobIdOf, laneIdOf } from './ids.js'
import { claimOf, failedReasonOf, progressFields } from './job-form.js'
import type { Messages } from './messages.js'
import type { CheckedOptions } from './options.js'
import type { ServerCalls } from './server-calls.js'
import { type Claimed, type Refused, Turns } from './turns.js'

type EndReply = readonly [isLost: string, told: readonly (string | null)[], next?: Claimed | Refused]

/** Most ends between two looks at what may be removed. */
const MOST_BETWEEN = 64

/** What is known here of a command that runs. */
type Running = {
  readonly token: string
  readonly replyTo: string | undefined
  hasProgress: boolean
  /** Its completion takes nothing but the plain way. */
  readonly isPlain: boolean
}

export class Leases {
  readonly #calls: ServerCalls
  readonly #messages: Messages
  readonly #use: EngineUse
  readonly #options: CheckedOptions
  readonly #turns: Turns
  /** What runs here, by command. */
  readonly #running = new Map<string, Running>()
  /** Ends of each lane, for their retention. */
  readonly #ends = new Map<string, number>()
  /** Tokens of ends that were told without an answer. */
  readonly #unsure = new Set<string>()

  constructor(calls: ServerCalls, messages: Messages, use: EngineUse, options: CheckedOptions) {
    this.#calls = calls
    this.#messages = messages
    this.#use = use
    this.#options = options
    this.#turns = new Turns(calls, use, options, {
      taken: (laneId, token, reply) => this.#taken(laneId, token, reply),
      claimAgain: (laneId, token) => this.#claimAlone(laneId, token),
    })
  }

  /** Leases that are held here, as far as is known. */
  get count(): number {
    return this.#running.size
  }

  has(id: string): boolean {
    return this.#running.has(id)
  }

  claim(laneId: string, token: string): Promise<ClaimAnswer> {
    return this.#turns.claim(laneId, token)
  }

  /** A claim that was made before, and whose answer may have been lost. */
  async #claimAlone(laneId: string, token: string): Promise<ClaimAnswer> {
    const { leaseMs } = this.#options
    const args = [this.#use.now(), token, leaseMs, this.#use.instanceId, '1']
    const reply = await this.#calls.run<Claimed | Refused>('laneClaim', laneId, args)
    return this.#taken(laneId, token, reply)
  }

  end(lease: Lease, end: LeaseEnd, nextToken: string | undefined): Promise<EndAnswer> {
    const running = this.#running.get(lease.id)
    const isPlain =
      running?.isPlain === true &&
      !running.hasProgress &&
      running.token === lease.token &&
      !this.#unsure.has(lease.token) &&
      end.kind === 'settle' &&
      end.state === 'completed' &&
      end.letter === undefined &&
      end.progress.checkpoint === undefined
    return isPlain ? this.#endPlainly(lease, end, nextToken, running.replyTo) : this.#endAlone(lease, end, nextToken)
  }

  /** Together with whatever else this turn asks of the lane. */
  async #endPlainly(
    lease: Lease,
    end: Extract<LeaseEnd, { kind: 'settle' }>,
    nextToken: string | undefined,
    replyTo: string | undefined,
  ): Promise<EndAnswer> {
    const { id, laneId, token } = lease
    const { attempt, details = '' } = end.progress
    let isTold = false
    const again = async (): Promise<boolean> => {
      isTold = true
      this.#unsure.add(token)
      return !(await this.#endAlone(lease, end, undefined)).isLost
    }
    const plain = { id, token, attempt, details, result: end.result ?? '' }
    const held = this.#told(lease, () => this.#turns.end(laneId, plain, again))
    const next = nextToken === undefined ? undefined : this.#claimedNext(laneId, nextToken)
    const isHeld = await held.catch((error: unknown) => {
      if (next !== undefined) void this.#giveBack(next)
      throw error
    })
    this.#forget(lease)
    if (isHeld && !isTold) this.#messages.outcome(replyTo, undefined, settledOutcome(lease, end))
    return { isLost: !isHeld, next: await next }
  }

  /** The end counts, whatever becomes of the claim that goes with it. */
  #claimedNext(laneId: string, token: string): Promise<ClaimAnswer> {
    return this.#turns
      .claim(laneId, token)
      .catch(() => ({ claim: undefined, why: 'empty', retryAt: this.#use.now() }) as const)
  }

  /** Nobody will hear of this claim: the end that it goes with could not be told. */
  async #giveBack(next: Promise<ClaimAnswer>): Promise<void> {
    const { claim } = await next
    if (claim === undefined) return
    try {
      await this.#endAlone(claim.lease, { kind: 'release', progress: claim.progress }, undefined)
    } catch {
      this.#forget(claim.lease) // its lease runs out
    }
  }

  async #endAlone(lease: Lease, end: LeaseEnd, nextToken: string | undefined): Promise<EndAnswer> {
    const { id, laneId } = lease
    const script = end.kind === 'settle' ? 'laneSettle' : 'laneReturn'
    const running = this.#running.get(id)
    const [isLost, [replyTo, waiters], next] = await this.#told(lease, (isAgain) =>
      this.#calls.run<EndReply>(script, laneId, (isSentAgain) => [
        jobIdOf(id, laneId),
        lease.token,
        this.#use.now(),
        nextToken ?? '',
        this.#options.leaseMs,
        this.#use.instanceId,
        isAgain || isSentAgain ? '1' : '0',
        ...this.#endArguments(lease, end, running),
      ]),
    )
    this.#forget(lease)
    if (isLost === '0' && end.kind === 'settle')
      this.#messages.outcome(replyTo ?? '', waiters, settledOutcome(lease, end))
    return {
      isLost: isLost === '1',
      next: next === undefined ? undefined : this.#taken(laneId, nextToken as string, next),
    }
  }

  async renew(leases: readonly Lease[]): Promise<readonly RenewAnswer[]> {
    const lanes = new Map<string, Lease[]>()
    for (const lease of leases) {
      const list = lanes.get(lease.laneId)
      if (list === undefined) lanes.set(lease.laneId, [lease])
      else list.push(lease)
    }
    const groups = [...lanes]
    const replies = await this.#calls.pipeline((pipeline) => {
      for (const [laneId, held] of groups) {
        const pairs = held.flatMap(({ id, token }) => [jobIdOf(id, laneId), token])
        pipeline.run('laneRenew', laneId, [this.#options.leaseMs, ...pairs])
      }
    })
    const answers = new Map<Lease, RenewAnswer>()
    for (const [at, [, held]] of groups.entries()) {
      const reply = replies[at] as readonly (string | null)[]
      for (const [index, lease] of held.entries()) {
        const isHeld = reply[2 * index] === '1'
        if (!isHeld) this.#forget(lease)
        answers.set(lease, renewAnswer(isHeld, reply[2 * index + 1] ?? undefined))
      }
    }
    return leases.map((lease) => answers.get(lease) as RenewAnswer)
  }

  async save({ id, laneId, token }: Lease, progress: EngineProgress): Promise<boolean> {
    const running = this.#running.get(id)
    if (running !== undefined) running.hasProgress = true
    const args = [jobIdOf(id, laneId), token, ...progressFields(progress, true)]
    return (await this.#calls.run<number>('laneSave', laneId, args)) === 1
  }

  async charge({ id, laneId, token }: Lease, { number, before, after }: EngineCharge): Promise<void> {
    const args = [jobIdOf(id, laneId), token, number, before ?? '', after]
    const queues = await this.#calls.run<string[]>('laneCharge', laneId, args)
    if (queues.length > 0) this.#messages.announce({ kind: 'rate', laneIds: queues.map(laneIdOf) })
  }

  #taken(laneId: string, token: string, reply: Claimed | Refused): ClaimAnswer {
    if (reply[0] !== 'claimed') {
      const [why, retryAt] = reply
      return { claim: undefined, why, retryAt: retryAt === undefined ? undefined : Number(retryAt) }
    }
    const claim: Claim = claimOf(reply[1], laneId, token, reply[2])
    const { command, progress } = claim
    this.#running.set(command.id, {
      token,
      replyTo: command.replyTo,
      hasProgress: progress.checkpoint !== undefined || progress.details !== undefined,
      // whoever waits for it beside its submitter has met its id, or its dedupe id
      isPlain: command.replyTo !== undefined && !command.hasOwnId && command.dedupe === undefined,
    })
    return { claim }
  }

  /** What is kept of the settled ones, each time that it is looked at: a few ends apart, since a look costs as much as a settle. */
  #retention(laneId: string): [number, number | ''] {
    const { keepCount, keepAgeSeconds } = this.#options
    const ends = this.#ends.get(laneId) ?? 0
    this.#ends.set(laneId, ends + 1)
    return ends % Math.min(MOST_BETWEEN, Math.ceil(keepCount / 100)) === 0 ? [keepCount, keepAgeSeconds] : [-1, '']
  }

  /** Tells an end, and remembers it when nobody knows whether it was taken: then it may be told once more. */
  async #told<T>({ token }: Lease, tell: (isAgain: boolean) => Promise<T>): Promise<T> {
    try {
      const answer = await tell(this.#unsure.has(token))
      this.#unsure.delete(token)
      return answer
    } catch (error) {
      this.#unsure.add(token)
      throw error
    }
  }

  /** It may run here again, under another token. */
  #forget({ id, token }: Lease): void {
    if (this.#running.get(id)?.token === token) this.#running.delete(id)
  }

  #endArguments(lease: Lease, end: LeaseEnd, running: Running | undefined): (string | number)[] {
    const hadProgress = running === undefined || running.hasProgress
    const fields = ['laneToken', lease.token, ...progressFields(end.progress, hadProgress)]
    if (end.kind === 'release') return ['release', 0, '', ...fields]
    if (end.kind === 'delay') return ['delay', Math.ceil(end.delayMs), end.cause, ...fields]
    const { state, result, error, letter } = end
    const isCompleted = state === 'completed'
    fields.push('laneState', state)
    if (error !== undefined) fields.push('laneError', error)
    if (isCompleted && result === undefined) fields.push('laneBareResult', '1')
    return [
      isCompleted ? 'completed' : 'failed',
      isCompleted ? (result ?? '') : failedReasonOf(error, state),
      ...this.#retention(lease.laneId),
      letter === undefined ? '' : JSON.stringify([lease.laneId, letter]),
      lease.id,
      lease.laneId,
      ...fields,
    ]
  }
}

export const settledOutcome = (
  { id, laneId }: Lease,
  { state, result, error }: Extract<LeaseEnd, { kind: 'settle' }>,
): EngineOutcome => ({ id, laneId, state, result, error })

export const renewAnswer = (isHeld: boolean, reason: string | undefined): RenewAnswer => ({
  isLost: !isHeld,
  cancelled: reason === undefined ? undefined : { reason },
})
