/**
 * Sees everything from outside (submits and answers, bodies that enter and leave, events), keeps the picture, and asks the
 * checkers at each step. A running hash of what it saw tells whether two runs of a seed were the same.
 */
import type { CommandRun, LaneEvent } from '@a3s-lab/lane'
import type { Accepted, Checker, CheckerKind, SeenBody, SeenEvent } from './checker.js'
import { noteOpening } from './gates.js'
import type { Cost, RetrySpec, SubmitSpec } from './lane-spec.js'
import { amountOf } from './limiters.js'
import type { BodyPicture, CommandPicture, Final, LanePicture, Picture } from './picture.js'
import { RunningHash } from './running-hash.js'

/** What is about to be submitted: the event of its acceptance comes before the submit returns. */
export type Incoming = {
  readonly laneId: string
  readonly spec: SubmitSpec
  readonly depth: number
  readonly parent?: CommandPicture | undefined
  readonly isAwaitedChild?: boolean
  readonly redrivenFrom?: string
}

const FINALS: Readonly<Record<string, Final>> = {
  completed: 'completed',
  failed: 'failed',
  timeout: 'timeout',
  cancelled: 'cancelled',
}

const NO_RETRY: RetrySpec = { maxRetries: 0, initialMs: 0, maxMs: 0, factor: 1, jitter: 'none' }

export class Observer {
  readonly picture: Picture
  readonly hash = new RunningHash()
  /** Events seen. */
  events = 0
  incoming: Incoming | undefined
  /** Accepted by the submit that is under way. */
  lastAccepted: CommandPicture | undefined
  log: ((line: string) => void) | undefined
  readonly #checkers: readonly Checker[]
  readonly #beforeStart: readonly Checker[]
  readonly #changes = new Map<string, Partial<LanePicture['spec']>>()

  constructor(picture: Picture, kinds: readonly CheckerKind[]) {
    this.picture = picture
    this.#checkers = kinds.map(({ make }) => make())
    this.#beforeStart = this.#checkers.filter((checker) => checker.beforeStart !== undefined)
  }

  /** A run was given for the command that was accepted last. */
  gaveRun(command: CommandPicture, run: CommandRun): void {
    const { picture } = this
    command.run = run
    const answered = (text: string): void => {
      command.answers.push(text)
      picture.forget()
      for (const checker of this.#checkers) checker.onAnswer?.({ command, text }, picture)
    }
    run.then(
      (value) => answered(`value ${String(value)}`),
      (error: unknown) => answered(codeOf(error)),
    )
  }

  /** A submit is about to be made. */
  submitting(incoming: Incoming): void {
    this.incoming = incoming
    this.lastAccepted = undefined
    for (const checker of this.#checkers) checker.onSubmitting?.(incoming.spec, this.picture)
  }

  submitted(submitted: Accepted): void {
    for (const checker of this.#checkers) checker.onSubmitted?.(submitted, this.picture)
  }

  onEvent(event: LaneEvent): void {
    const { picture } = this
    this.events++
    picture.forget()
    const fields = (event.payload ?? {}) as Record<string, unknown>
    const name = event.key.slice(event.key.lastIndexOf('.') + 1)
    const id = fields['command_id'] as string | undefined
    // a refused submit of an id that is known is told under that id, and says nothing about its command
    if (name === 'submitted' && id !== undefined) this.#accept(id)
    const command = id === undefined || name === 'rejected' ? undefined : picture.commands.get(id)
    this.hash.mixText(name)
    this.hash.mixNumber(command?.n ?? -1)
    this.hash.mixNumber(picture.now)
    if (this.log !== undefined) {
      const about = command === undefined ? '' : ` ${describe(command)}`
      const facts = name === 'submitted' ? { ...fields, ...command?.spec } : fields
      this.log(`${picture.now} ${name}${about} ${JSON.stringify(facts)}`)
    }
    if (name === 'started' && command !== undefined) {
      for (const checker of this.#beforeStart) checker.beforeStart?.(command, picture)
    }
    this.#update(name, command, fields, event.key)
    const laneId = fields['lane_id'] as string | undefined
    const seen: SeenEvent = { name: nameOf(name, event.key), event, command, laneId, fields }
    for (const checker of this.#checkers) checker.onEvent?.(seen, picture)
  }

  entered(commandId: string, attempt: number, restored: number): BodyPicture | undefined {
    const { picture } = this
    const command = picture.commands.get(commandId)
    if (command === undefined) {
      picture.report('I19', `a body of '${commandId}' runs, which was never announced as submitted`)
      return undefined
    }
    const body: BodyPicture = {
      ...{
        command,
        attempt,
        serial: ++picture.starts,
        hasYielded: false,
        isSlotless: false,
        asksLater: false,
        enteredAt: picture.now,
        restored,
      },
      ...{
        waiting: 0,
        hasWaited: false,
        isYielding: false,
        yieldedMs: 0,
        yieldingSince: 0,
        earlierMs: this.#earlierMs(command, attempt),
        isOver: false,
        isAbandoned: false,
      },
      ...{
        hasLeft: false,
        leftAt: -1,
        abortCode: undefined,
        abortedAt: -1,
        isVictim: false,
        takerId: undefined,
        closesFor: undefined,
      },
    }
    const lane = picture.lane(command.laneId)
    refreshCeiling(lane)
    picture.moment++
    lane.bodies.add(body)
    lane.starting = 0
    command.body = body
    this.hash.mixNumber(command.n * 64 + attempt)
    this.#look({ what: 'entered', body })
    return body
  }

  /** A preempted attempt goes on where it was. */
  #earlierMs({ body, trail }: CommandPicture, attempt: number): number {
    if (body === undefined || body.attempt !== attempt || !trail.includes('preempted')) return 0
    return body.earlierMs + body.leftAt - body.enteredAt - body.yieldedMs
  }

  left(body: BodyPicture): void {
    body.hasLeft = true
    body.leftAt = this.picture.now
    const lane = this.picture.lane(body.command.laneId)
    lane.bodies.delete(body)
    lane.leaving.push(body.command)
    // of a zombie no event tells that its slot is free
    if (body.isOver && body.takerId !== undefined) this.picture.lane(body.takerId).owed++
    refreshCeiling(lane)
    this.#look({ what: 'left', body })
  }

  aborted(body: BodyPicture, reason: unknown): void {
    body.abortCode = codeOf(reason)
    body.abortedAt = this.picture.now
    body.isSlotless = body.isYielding
    body.isVictim = body.abortCode === 'COMMAND_PREEMPTED'
    if (body.isVictim) body.takerId = (reason as { laneId?: string }).laneId
    this.#look({ what: 'aborted', body })
  }

  /** A body does nothing for a while: `ctx.run`, `ctx.yield`; or goes on. */
  changed(body: BodyPicture, what: SeenBody['what']): void {
    if (what === 'yields') body.hasYielded = true
    this.#look({ what, body })
  }

  /** What an attempt says that it has cost in all; each of its starts has taken the estimate again. */
  charged({ command }: BodyPicture, after: Cost): void {
    const { charge, spec } = command
    const before = (unit: string): number =>
      (charge.said === undefined ? 0 : amountOf(unit, charge.said)) + charge.starts * amountOf(unit, spec.cost)
    this.picture.lane(command.laneId).limits.settle(before, after, command.startedAt, this.picture.now)
    command.charge = { said: after, starts: 0 }
  }

  /** A lane is about to be changed: it counts from its event on. */
  configuring(laneId: string, change: Partial<LanePicture['spec']>): void {
    this.#changes.set(laneId, change)
  }

  /** The change was made. A queue that has ended tells nobody of it. */
  configured(laneId: string): void {
    const change = this.#changes.get(laneId)
    if (change === undefined) return
    this.#changes.delete(laneId)
    const lane = this.picture.lane(laneId)
    lane.spec = { ...lane.spec, ...change }
    lane.ceiling = Math.max(lane.spec.maxConcurrency, Math.min(lane.ceiling, lane.bodies.size + lane.starting))
    if (change.keyConcurrency !== undefined) lane.keyLimitSince = this.picture.now
    if (change.rateLimit !== undefined) lane.limits.configure(change.rateLimit, this.picture.now)
  }

  /** The change was refused. */
  notConfigured(laneId: string): void {
    this.#changes.delete(laneId)
  }

  atQuiescence(): void {
    const { picture } = this
    picture.forget()
    picture.moment++
    for (const lane of picture.lanes.values()) {
      lane.starting = 0
      lane.owed = 0
      lane.surelyOwed = 0
      refreshCeiling(lane)
      if (lane.leaving.length > 0) lane.leaving = []
      noteOpening(lane, picture)
    }
    for (const checker of this.#checkers) checker.atQuiescence?.(picture)
  }

  atEnd(): void {
    this.picture.forget()
    for (const checker of this.#checkers) checker.atEnd?.(this.picture)
  }

  #look(seen: SeenBody): void {
    this.picture.forget()
    this.log?.(`${this.picture.now}   ${seen.what} ${describe(seen.body.command)} #${seen.body.attempt}`)
    for (const checker of this.#checkers) checker.onBody?.(seen, this.picture)
  }

  #accept(id: string): void {
    const { picture } = this
    const { incoming } = this
    this.incoming = undefined
    if (incoming === undefined) return picture.report('I19', `'${id}' was announced as submitted, but nobody submits`)
    if (picture.commands.has(id)) return picture.report('I21', `'${id}' was accepted twice`)
    const { laneId, spec, depth, parent } = incoming
    const lane = picture.lane(laneId)
    const delayMs = spec.delayMs ?? 0
    const command: CommandPicture = {
      ...{ id, n: picture.accepted++, laneId, spec, depth, submittedAt: picture.now, parent },
      timeoutMs: spec.timeoutMs ?? lane.spec.timeoutMs,
      retry: spec.retry ?? lane.spec.retry ?? NO_RETRY,
      maxDeferrals: lane.spec.maxDeferrals ?? 10,
      zombieGraceMs: lane.spec.zombieGraceMs ?? 30_000,
      isAwaitedChild: incoming.isAwaitedChild ?? false,
      redrivenFrom: incoming.redrivenFrom,
      ...{
        run: undefined,
        phase: 'waiting',
        wasDelayed: delayMs > 0,
        isFollower: false,
        cameAt: picture.isMidStep ? picture.moment : -1,
        dueAt: picture.now + delayMs,
      },
      ...{ place: 'arrival', attempt: 0, failures: 0, deferrals: 0, startedAt: -1, body: undefined },
      ...{
        final: undefined,
        answers: [],
        trail: [],

        charge: { said: undefined, starts: 0 },
        checkpointed: { resolved: 0, begun: 0 },
      },
    }
    picture.commands.set(id, command)
    lane.waiting.add(command)
    this.lastAccepted = command
  }

  #update(name: string, command: CommandPicture | undefined, fields: Record<string, unknown>, key: string): void {
    const { picture } = this
    if (key.startsWith('queue.lane.')) return this.#updateLane(name, fields['lane_id'] as string)
    if (key === 'queue.shutdown.started') picture.isShuttingDown = true
    if (key === 'queue.shutdown.complete') picture.isComplete = true
    if (command === undefined) return
    command.trail.push(name)
    const lane = picture.lane(command.laneId)
    this.#close(command, lane)
    this.#noteHandover(command)
    const final = FINALS[name]
    if (name === 'started') this.#started(command, lane)
    else if (name === 'retry') this.#waits(command, lane, picture.now)
    else if (name === 'delayed' && command.phase === 'active') {
      if (fields['reason'] === 'deferred') command.deferrals++
      this.#waits(command, lane, picture.now + Number(fields['delay_ms']))
    } else if (name === 'delayed' && fields['reason'] === 'deduplicated') {
      // until the command that has its dedupe id has settled: no instant is known
      command.wasDelayed = true
      command.isFollower = true
    } else if (name === 'preempted') {
      this.#waits(command, lane, picture.now)
      command.wasDelayed = false
      command.place = 'preempted'
    } else if (name === 'fault') {
      // a body that does not hear of its preemption keeps its slot, and is reported all the same
      const isDeaf = String(fields['error']).includes('of its preemption')
      if (!isDeaf) this.#abandon(command)
      // nobody counts on its slot any more: it is an ordinary one when it comes free
      else if (command.body !== undefined) command.body.takerId = undefined
    }
    // the letter is written first, but by then the command has settled
    else if (name === 'dead_lettered') this.#settle(command, lane)
    else if (final !== undefined) {
      command.final = final
      this.#settle(command, lane)
    }
  }

  /** A provider's request counts when its attempt does: at the first event after the body has ended. */
  #close({ body }: CommandPicture, lane: LanePicture): void {
    if (body?.closesFor === undefined) return
    if (!body.isOver && !body.isVictim) lane.limits.closeUntil(this.picture.now + body.closesFor)
    body.closesFor = undefined
  }

  /** The body of a victim has ended, and the queue knows: its slot is the taker's. */
  #noteHandover({ body }: CommandPicture): void {
    if (body?.takerId === undefined || !(body.hasLeft || body.isAbandoned)) return
    const taker = this.picture.lane(body.takerId)
    const { pending, slots, max } = this.picture.claimsOf(taker.id)
    taker.owed++
    // a lane that has no use for it now has lost it, unless that changes before the next pass
    if (pending > 0 && slots < max && !taker.paused) taker.surelyOwed++
    body.takerId = undefined
  }

  #updateLane(name: string, laneId: string): void {
    const lane = this.picture.lane(laneId)
    if (name === 'paused') {
      lane.paused = true
      lane.pausedMidStep = this.picture.isMidStep ? this.picture.moment : -1
    }
    if (name === 'resumed') lane.paused = false
    if (name === 'configured') this.configured(laneId)
  }

  #started(command: CommandPicture, lane: LanePicture): void {
    if (command.place === 'preempted') command.charge = { ...command.charge, starts: command.charge.starts + 1 }
    else {
      command.attempt++
      command.charge = { said: undefined, starts: 1 }
    }
    command.place = 'arrival'
    command.phase = 'active'
    command.wasDelayed = false
    command.isFollower = false
    command.startedAt = this.picture.now
    lane.waiting.delete(command)
    lane.active.add(command)
    lane.starting = 1
    lane.owed = Math.max(0, lane.owed - 1)
    lane.surelyOwed = Math.max(0, lane.surelyOwed - 1)
    lane.limits.take(command.spec.cost, this.picture.now)
  }

  /** The attempt is over, and the command waits for the next. */
  #waits(command: CommandPicture, lane: LanePicture, dueAt: number): void {
    command.phase = 'waiting'
    command.wasDelayed = true
    command.dueAt = dueAt
    lane.active.delete(command)
    lane.waiting.add(command)
    if (command.body !== undefined) command.body.isOver = true
  }

  #settle(command: CommandPicture, lane: LanePicture): void {
    if (command.phase === 'settled') return
    command.phase = 'settled'
    lane.active.delete(command)
    lane.waiting.delete(command)
    this.picture.settled++
    if (command.body !== undefined) command.body.isOver = true
  }

  /** A fault that names a command tells that its body was given up, once the queue counts one more of those. */
  #abandon(command: CommandPicture): void {
    const lane = this.picture.lane(command.laneId)
    const body = [...lane.bodies].find((one) => one.command === command && one.isOver && !one.isAbandoned)
    if (body === undefined) return
    body.isAbandoned = true
    this.#noteHandover(command)
    lane.bodies.delete(body)
    refreshCeiling(lane)
  }
}

/** The limit; after a change downwards as many as ran then, fewer with each that ends, until the limit is kept. */
function refreshCeiling(lane: LanePicture): void {
  const { maxConcurrency } = lane.spec
  if (lane.ceiling <= maxConcurrency) lane.ceiling = maxConcurrency
  else lane.ceiling = Math.max(maxConcurrency, Math.min(lane.ceiling, lane.bodies.size + lane.starting))
}

const nameOf = (name: string, key: string): string =>
  key.startsWith('queue.command.') || key.startsWith('queue.lane.') ? name : key.slice('queue.'.length)

export const describe = (command: CommandPicture): string =>
  `${command.laneId}/${command.n}${command.spec.priority === undefined ? '' : ` p${command.spec.priority}`}`

const codeOf = (error: unknown): string => {
  const code = (error as { code?: unknown } | null | undefined)?.code
  return typeof code === 'string' ? code : `not an error of ours: ${String(error)}`
}
