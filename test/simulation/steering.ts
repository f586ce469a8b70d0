/** What operators and callers do to a running queue, at random: pause, cancel, reconfigure, redrive, and bring it to its end. */
import { type CommandRun, isLaneError, type LaneDefinition } from '@a3s-lab/lane'
import type { Draw } from './draw.js'
import type { LaneSpec } from './lane-spec.js'
import type { SimOptions } from './options.js'
import type { CommandPicture, DrainPicture } from './picture.js'
import type { World } from './world.js'

export class Steering {
  readonly #world: World
  readonly #draw: Draw
  readonly #options: SimOptions
  #left: number
  /** A meddling listener may cause events while it is at it: no deeper than this. */
  #depth = 0

  constructor(world: World) {
    this.#world = world
    this.#draw = world.draw
    this.#options = world.options
    this.#left = Math.ceil(world.options.commands / 8)
  }

  /** Steps at random instants, and the early end if the seed has one. */
  begin(): void {
    this.#next()
    const { end, commands, gapMs } = this.#options
    if (end === 'rest') return
    const { clock } = this.#world
    clock.at(commands * gapMs * this.#draw.next(), () => this.#end(end))
  }

  /** After everything has come to rest: the queue ends. */
  async finish(): Promise<void> {
    const { queue, picture } = this.#world
    this.#world.observer.incoming = undefined
    picture.isShuttingDown = true
    await queue.shutdown()
  }

  /** One of the things that the seed's features allow. */
  step(): void {
    if (this.#depth > 1 || this.#world.picture.isQuiet) return
    this.#depth++
    try {
      const deeds = this.#deeds()
      if (deeds.length > 0) this.#draw.pick(deeds)()
      else this.#draw.next()
    } finally {
      this.#depth--
    }
  }

  #next(): void {
    if (this.#left-- <= 0) return
    const { clock } = this.#world
    clock.at(clock.now + this.#draw.exponential(this.#options.gapMs * 8), () => {
      this.step()
      this.#world.listeners.readOne()
      this.#next()
    })
  }

  #deeds(): (() => void)[] {
    const world = this.#world
    return [
      ...(world.has('pause') ? [() => this.#pause(), () => this.#resume(), () => this.#resume()] : []),
      ...(world.has('cancel') ? [() => this.#cancel(), () => this.#cancel(), () => this.#cancel()] : []),
      ...(world.has('signals') ? [() => this.#abort()] : []),
      ...(world.has('clear') ? [() => this.#clear()] : []),
      ...(world.has('configure') ? [() => this.#configure(), () => this.#configure()] : []),
      ...(world.has('redrive') ? [() => this.#redrive()] : []),
      ...(world.has('ids') ? [() => this.#submitAgain()] : []),
      ...(world.has('meddling') ? [() => world.submitOne()] : []),
    ]
  }

  #laneId(): string {
    return this.#draw.pick(Object.keys(this.#options.lanes))
  }

  #pause(): void {
    this.#world.queue.lane(this.#laneId()).pause()
  }

  #resume(): void {
    this.#world.queue.lane(this.#laneId()).resume()
  }

  /** By its run or by its id: a waiting, a running or a settled one. */
  #cancel(): void {
    const { picture, queue } = this.#world
    const command = this.#anyCommand()
    if (command === undefined) return
    const wasSettled = command.phase === 'settled'
    const done = this.#draw.chance(0.5)
      ? command.run?.cancel('no longer needed')
      : queue.cancel(command.id, 'by its id')
    if (done === undefined) return
    if (done && wasSettled) picture.report('I18', `'${command.id}' had its outcome, and was cancelled`)
    if (done && command.phase !== 'settled') picture.report('I18', `'${command.id}' outlives its cancellation`)
  }

  /** A submitter's signal: of a command in any state. */
  #abort(): void {
    const { controllers } = this.#world
    if (controllers.length > 0) this.#draw.pick(controllers).abort('no longer wanted')
  }

  #anyCommand(): CommandPicture | undefined {
    const { picture } = this.#world
    const lane = picture.lane(this.#laneId())
    const some = [...(this.#draw.chance(0.5) ? lane.waiting : lane.active)]
    return some.length === 0 ? undefined : this.#draw.pick(some)
  }

  #clear(): void {
    const lane = this.#world.queue.lane(this.#laneId())
    if (this.#draw.chance(0.3)) lane.cancelAll('all of it')
    else lane.clear()
  }

  #configure(): void {
    const { queue, observer } = this.#world
    const laneId = this.#laneId()
    const change = this.#change(laneId)
    observer.configuring(laneId, change)
    try {
      queue.lane(laneId).configure(change as Partial<LaneDefinition>)
      observer.configured(laneId)
    } catch (error) {
      if (!isLaneError(error) || error.code !== 'CONFIG_INVALID') throw error
      observer.notConfigured(laneId)
    }
  }

  #change(laneId: string): Partial<LaneSpec> {
    const draw = this.#draw
    const lane = this.#world.picture.lane(laneId).spec
    const changes: Partial<LaneSpec>[] = [
      { maxConcurrency: Math.max(lane.minConcurrency, draw.pick([1, 2, 4, 8])) },
      { maxConcurrency: Math.max(lane.minConcurrency, draw.pick([1, 2, 4, 8])) },
      { priority: draw.int(0, 5) },
      { order: draw.pick(['fifo', 'lifo'] as const) },
      { zombieGraceMs: this.#options.bodyMs },
    ]
    if (this.#world.has('pressure')) changes.push({ pressureThreshold: draw.int(1, 10) })
    if (this.#world.has('capacity')) changes.push({ capacity: draw.int(1, 50) })
    if (this.#world.has('timeouts')) changes.push({ timeoutMs: Math.ceil(this.#options.bodyMs * draw.pick([1, 5])) })
    if (lane.keyConcurrency !== undefined) changes.push({ keyConcurrency: draw.int(1, 3) })
    const [limit] = lane.rateLimit ?? []
    if (limit !== undefined && limit.group === undefined && lane.rateLimit?.length === 1) {
      const { burst: _, ...rest } = limit
      changes.push({ rateLimit: [{ ...rest, maxCommands: Math.max(12, limit.maxCommands * draw.pick([0.5, 2])) }] })
    }
    return draw.pick(changes)
  }

  #redrive(): void {
    const { picture } = this.#world
    const letters = [...picture.commands.values()].filter(({ trail }) => trail.at(-2) === 'dead_lettered')
    if (letters.length > 0) this.#world.redrive(this.#draw.pick(letters))
  }

  /** The same id and command again: the same run, and no second body. */
  #submitAgain(): void {
    const { picture, queue } = this.#world
    const known = [...picture.commands.values()].filter(
      ({ spec, phase }) => spec.id !== undefined && phase !== 'settled',
    )
    if (known.length === 0) return
    const command = this.#draw.pick(known)
    const { run } = command
    if (run === undefined || run.commandType !== 'work') return
    const other: CommandRun = queue.submit(command.laneId, { type: 'work', payload: { plan: -1 } }, { id: command.id })
    other.catch(() => undefined)
    if (other === run) picture.report('I21', `'${command.id}' with another payload gave the run of the first`)
  }

  #end(how: SimOptions['end']): void {
    const { queue, picture } = this.#world
    if (how === 'drain') return this.#drain(this.#options.bodyMs * this.#draw.pick([0, 3, 1000]))
    picture.isShuttingDown = true
    if (how === 'shutdown') void queue.shutdown()
    if (how === 'close') {
      picture.isClosing = true
      void queue.close({ timeoutMs: this.#options.bodyMs * this.#draw.pick([0, 2]) })
    }
  }

  #drain(limitMs: number): void {
    const { queue, picture } = this.#world
    const drain: DrainPicture = { calledAt: picture.now, limitMs, outcome: 'waiting' }
    picture.drains.push(drain)
    picture.calls++
    queue.drain(limitMs).then(
      () => {
        drain.outcome = 'resolved'
        picture.calls--
        this.#judgeResolved()
      },
      (error: unknown) => {
        drain.outcome = 'rejected'
        picture.calls--
        this.#judgeRejected(error, drain)
      },
    )
  }

  #judgeResolved(): void {
    const { picture } = this.#world
    const bodies = [...picture.lanes.values()].reduce((sum, lane) => sum + lane.bodies.size, 0)
    if (picture.unsettled > 0 || bodies > 0)
      picture.report('I16', `drain resolved with ${picture.unsettled} unsettled and ${bodies} bodies`)
  }

  #judgeRejected(error: unknown, { calledAt, limitMs }: DrainPicture): void {
    const { picture } = this.#world
    if (!isLaneError(error) || error.code !== 'DRAIN_TIMEOUT')
      return picture.report('I16', `drain rejected with ${String(error)}`)
    if (picture.now < calledAt + limitMs) picture.report('I16', 'drain gave up before its limit')
    const { unsettled } = error as unknown as { unsettled: readonly string[] }
    const expected = [...picture.commands.values()].filter(({ phase }) => phase !== 'settled')
    const missing = expected.filter(({ id }) => !unsettled.includes(id))
    if (missing.length > 0 || unsettled.length !== expected.length)
      picture.report('I16', `drain named ${unsettled.length} unsettled commands of ${expected.length}`)
  }
}
