/** What operators and callers do to the process that is alive: pause, cancel, clear, redrive, submit again. */
import type { DurableWorld } from './durable-world.js'
import type { Seen } from './ledger.js'

export class Deeds {
  readonly #world: DurableWorld
  #left: number
  #depth = 0

  constructor(world: DurableWorld) {
    this.#world = world
    this.#left = Math.ceil(world.options.commands / 2)
  }

  begin(): void {
    if (this.#left-- <= 0) return
    const { clock, draw, options } = this.#world
    clock.at(clock.now + draw.exponential(options.gapMs * 5), () => {
      this.step()
      this.begin()
    })
  }

  step(): void {
    const world = this.#world
    const { process, draw } = world
    if (process === undefined || world.isQuiet || this.#depth > 1) return
    this.#depth++
    const lane = process.queue.lane(draw.pick(Object.keys(world.options.lanes)))
    const deeds: (() => void)[] = [
      ...(world.has('pause') ? [() => lane.pause(), () => lane.resume(), () => lane.resume()] : []),
      ...(world.has('cancel') ? [() => this.#cancel(), () => this.#cancel()] : []),
      ...(world.has('signals') && world.controllers.length > 0
        ? [() => draw.pick(world.controllers).abort('no more')]
        : []),
      ...(world.has('clear') ? [() => void lane.clear()] : []),
      () => this.#ask(),
      () => this.#redrive(),
      () => this.#submitAgain(),
    ]
    draw.pick(deeds)()
    this.#depth--
  }

  #some(isWanted: (command: Seen) => boolean): Seen | undefined {
    const some = [...this.#world.ledger.commands.values()].filter(isWanted)
    return some.length === 0 ? undefined : this.#world.draw.pick(some)
  }

  /** Whoever asks may be refused, and is not kept waiting. */
  #ask(): void {
    const { queue } = this.#world.process ?? {}
    const command = this.#some(() => true)
    void queue?.list({ limit: 3 }).catch(() => undefined)
    if (command !== undefined) void queue?.get(command.id).catch(() => undefined)
  }

  #cancel(): void {
    const { process, ledger } = this.#world
    const command = this.#some(({ phase }) => phase === 'waiting' || phase === 'active')
    if (command === undefined || process === undefined) return
    if (process.queue.cancel(command.id, 'no longer needed') && !process.isDead) command.cancelledIn = ledger.process
  }

  #redrive(): void {
    const { process, draw, truth } = this.#world
    if (process === undefined || truth.letters.length === 0) return
    const { id } = truth.commands.get(draw.pick(truth.letters)) ?? {}
    const run = process.queue.deadLetters.redrive(id as string)
    if (!process.isDead) process.watch(run)
  }

  /** The same id and command again, to whichever process is alive: the same command. */
  #submitAgain(): void {
    const { process, truth } = this.#world
    const command = this.#some(({ spec, accepted }) => spec.id !== undefined && accepted === 'yes')
    const known = command === undefined ? undefined : truth.byId.get(command.id)
    if (process === undefined || process.isClosing || command === undefined || known === undefined) return
    const run = process.submit(command.laneId, known.plan, { id: command.id })
    if (run !== undefined && run.id !== command.id)
      this.#world.report('I21', `'${command.id}' was submitted again, and gave the run of '${run.id}'`)
  }
}
