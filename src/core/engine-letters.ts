/** Dead letters that the processes of an engine share. */
import type { Admission } from './admission.js'
import type { QueueCore } from './core.js'
import { type DeadLetter, DeadLetterQueue, type LetterShelf, type Redrivable } from './dead-letters.js'
import type { EngineLink } from './engine-link.js'
import { type CommandRun, createRun, quiet, type Run, rejectRun, type Settle } from './run.js'
import { type KeptLetter, parsed } from './stored.js'

/** Letters that are looked at by one call. */
const MOST = 10_000

export class EngineLetters implements LetterShelf {
  readonly #link: EngineLink
  readonly #core: QueueCore
  readonly #admission: Admission

  constructor(core: QueueCore, link: EngineLink, admission: Admission) {
    this.#core = core
    this.#link = link
    this.#admission = admission
  }

  /** The letters as they are now, as a ring of their own. */
  async letters(): Promise<DeadLetterQueue> {
    await this.#link.open()
    const ring = new DeadLetterQueue(MOST)
    for (const { id, laneId, letter } of await this.#link.engine.letters(MOST)) {
      try {
        const kept = parsed<KeptLetter>(letter) as KeptLetter
        const restored = kept.letter as DeadLetter
        const { commandType: type, payload } = restored
        ring.keep(restored, { command: { type, payload }, options: kept.own })
      } catch (error) {
        this.#core.fault(error, { lane_id: laneId, command_id: id })
      }
    }
    return ring
  }

  /** Takes letters away; gives those that were there. */
  async remove(letters: readonly DeadLetter[]): Promise<number> {
    if (letters.length === 0) return 0
    return (await this.#link.engine.removeLetters(letters.map(({ commandId }) => commandId))).length
  }

  /** The run is there before its letter is: it follows that of the new command. */
  redrive(commandId: string, find: () => Promise<[DeadLetter, Redrivable]>): CommandRun {
    /** The new command's, once it is submitted. */
    const led: Run[] = []
    const submit = async (): Promise<void> => {
      const [letter, again] = await find()
      led.push(this.#submit(letter, again))
      const { laneId, commandType, accepted } = led[0] as Run
      void Object.assign(run, { laneId, commandType })
      await accepted
    }
    const submitted = quiet(submit())
    const run: Run = createRun(redriveId(commandId), '', 'unknown', 'pending', {
      ...this.#admission.shared,
      accepted: submitted,
      cancel: (reason) => led[0]?.cancel(reason) ?? false,
    })
    void follow(run, submitted, () => led[0])
    return quiet(run) as CommandRun
  }

  #submit(letter: DeadLetter, { command, options }: Redrivable): Run {
    const { commandId, laneId, metadata } = letter
    const own = { ...options, id: redriveId(commandId), metadata }
    const run = this.#admission.submit(laneId, command, own, { redrivenFrom: commandId })
    void run.accepted.then(
      () => this.#redriven(letter, run.id),
      () => undefined,
    )
    return run
  }

  async #redriven(letter: DeadLetter, redriven_as: string): Promise<void> {
    const ids = { lane_id: letter.laneId, command_id: letter.commandId }
    try {
      await this.remove([letter])
    } catch (error) {
      this.#core.fault(error, ids)
      return
    }
    if (this.#core.hasListeners) this.#core.emit('queue.dead_letter.redriven', { ...ids, redriven_as })
  }
}

/**
 * The id under which a letter's command is submitted again: the same for whoever does it, so that two who do it at once
 * submit one command.
 */
function redriveId(commandId: string): string {
  const [, base = commandId, count = '0'] = /^(.*)~(\d+)$/su.exec(commandId) ?? []
  return `${base}~${Number(count) + 1}`
}

/** Lets a run become what another one becomes, once that is there. */
async function follow(run: Run, submitted: Promise<void>, leader: () => Run | undefined): Promise<void> {
  const settle = run.inner as Settle
  try {
    await submitted
  } catch (error) {
    run.state = 'failed'
    rejectRun(run, settle, error)
    return
  }
  const led = leader() as Run
  settle(led)
  await led.catch(() => undefined)
  run.state = led.state
}
