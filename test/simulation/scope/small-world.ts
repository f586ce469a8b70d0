/**
 * One path of a small scope: a real queue on the simulated clock, whose bodies do nothing but what they are told. Each
 * operation is done and everything that needs no time follows; then `judge` looks.
 */
import {
  type Clock,
  type CommandContext,
  type CommandRun,
  type CommandState,
  QueueManager,
  snooze,
} from '@a3s-lab/lane'
import { Draw } from '../draw.js'
import { rest, SimClock } from '../sim-clock.js'
import { Actor, type SmallBody } from './actor.js'
import { judgeRest, judgeStart, judgeVictim } from './judge.js'
import type { Setting } from './setting.js'

/** `submit 0`, `return 0`, `throw 0`, `snooze 0`, `cancel 0`, `yield 0`, `save 0`, `pause work`, `resume work`, `advance`. */
export type Operation = string

export class SmallWorld {
  readonly setting: Setting
  readonly clock = new SimClock({ late: false, shuffled: false }, new Draw(1))
  readonly queue: QueueManager
  readonly actors: readonly Actor[]
  readonly paused = new Set<string>()
  readonly pausesLeft = new Map<string, number>()
  readonly violations: string[] = []
  /** Steps of states that were taken: `pending active`. */
  readonly steps = new Set<string>()
  readonly faults: string[] = []
  /** When the queue's timer fires; undefined while it has none. */
  timerAt: number | undefined
  readonly #byId = new Map<string, Actor>()
  #arrivals = 0
  #starts = 0
  #takings = 0

  constructor(setting: Setting) {
    this.setting = setting
    this.actors = setting.commands.map((spec, n) => new Actor(n, spec, setting))
    for (const id of Object.keys(setting.lanes)) this.pausesLeft.set(id, setting.pauses ?? 0)
    this.queue = new QueueManager({
      lanes: setting.lanes,
      maxConcurrency: setting.cap,
      clock: this.#face(),
      random: { next: () => 0.5 },
      onFault: (error) => this.faults.push(String(error)),
    })
    this.queue.handle('body', (payload, context) => this.#enter(this.actor(payload as number), context))
    this.queue.subscribeFiltered(({ key, payload }) => {
      this.#see(key, (payload ?? {}) as { command_id?: string; lane_id?: string; error?: string })
      return false
    })
    void this.queue.start()
  }

  /** The queue's clock. It has one timer at most, which is the earliest of all that it waits for. */
  #face(): Clock {
    const { face } = this.clock
    return {
      ...face,
      setTimer: (delayMs, fire) => {
        this.timerAt = this.clock.now + delayMs
        return face.setTimer(delayMs, () => {
          this.timerAt = undefined
          fire()
        })
      },
      clearTimer: (timer) => {
        this.timerAt = undefined
        face.clearTimer(timer)
      },
    }
  }

  actor(n: number): Actor {
    return this.actors[n] as Actor
  }

  /** Does one operation, lets everything follow, and looks. */
  async do(operation: Operation): Promise<void> {
    await this.repeat(operation)
    judgeRest(this, operation)
  }

  /** The same for an operation after which everything was looked at before. */
  async repeat(operation: Operation): Promise<void> {
    const [what = '', whom = ''] = operation.split(' ')
    if (what === 'advance') await this.#advance()
    else this.#do(what, whom)
    await rest()
  }

  #do(what: string, whom: string): void {
    if (what === 'pause' || what === 'resume') return this.#setPaused(whom, what === 'pause')
    const actor = this.actor(Number(whom))
    const body = actor.body as SmallBody
    if (what === 'submit') this.#submit(actor)
    else if (what === 'cancel') actor.cancel()
    else if (what === 'return') this.#leave(body, () => body.resolve(body.token))
    else if (what === 'throw') this.#leave(body, () => body.reject(new Error('failed')))
    else if (what === 'snooze') {
      actor.snoozesLeft--
      this.#leave(body, () => body.resolve(snooze(40)))
    } else if (what === 'yield') actor.yields()
    else actor.saves()
  }

  /** To the next timer, of which the queue has one at most. */
  async #advance(): Promise<void> {
    const { fired } = this.clock
    const nothing = (): void => undefined
    await this.clock.run(() => this.clock.fired > fired, nothing)
  }

  #submit(actor: Actor): void {
    const { spec, n } = actor
    actor.arrival = ++this.#arrivals
    const command = { type: spec.isOrphan === true ? 'nobody' : 'body', payload: n }
    const options = { ...spec.options, id: `c${n}` }
    this.#byId.set(options.id, actor)
    const run = this.queue.submit(spec.laneId, command, options)
    this.#watch(actor, run)
  }

  /** Notes every step of the run's state, and what it settles with. */
  #watch(actor: Actor, run: CommandRun): void {
    actor.run = run
    let { state } = run
    Reflect.defineProperty(run, 'state', {
      get: () => state,
      set: (next: CommandState) => {
        this.steps.add(`${state} ${next}`)
        actor.moved(state, next, this.clock.now)
        if (next === 'active') actor.taken = ++this.#takings
        state = next
      },
    })
    if (state === 'delayed') actor.dueAt = this.clock.now + (actor.spec.options?.delayMs ?? 0)
    run.then(
      (value) => actor.answered(`value ${String(value)}`),
      (error: unknown) => actor.answered(String((error as { code?: unknown }).code)),
    )
  }

  #enter(actor: Actor, context: CommandContext): Promise<unknown> {
    const body = actor.enters(context, ++this.#starts)
    if (body.twin !== undefined) this.violations.push(`I28: c${actor.n} runs beside itself`)
    this.violations.push(...actor.judgeEntry(body))
    context.signal.addEventListener('abort', () => {
      const { code, laneId } = context.signal.reason as { code: string; laneId?: string }
      actor.aborted(code)
      if (code !== 'COMMAND_PREEMPTED') return
      body.askedAt = this.clock.now
      body.takerId = laneId
      judgeVictim(this, actor, laneId)
    })
    return body.work
  }

  #leave(body: SmallBody, end: () => void): void {
    body.isIn = false
    end()
  }

  #setPaused(laneId: string, paused: boolean): void {
    const lane = this.queue.lane(laneId)
    if (paused) {
      this.pausesLeft.set(laneId, (this.pausesLeft.get(laneId) ?? 0) - 1)
      this.paused.add(laneId)
      lane.pause()
    } else {
      this.paused.delete(laneId)
      lane.resume()
    }
  }

  #see(key: string, { command_id: id, error }: { command_id?: string; error?: string }): void {
    const actor = id === undefined ? undefined : this.#byId.get(id)
    if (actor === undefined) return
    const name = key.slice('queue.command.'.length)
    if (key === 'queue.fault') {
      if (error?.endsWith('its slot was freed') === true) actor.abandoned()
      else actor.wasReported()
      return
    }
    actor.saw(name, this.clock.now)
    if (name === 'started') judgeStart(this, actor)
  }
}
