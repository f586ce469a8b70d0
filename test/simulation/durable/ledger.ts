/**
 * What the world outside has seen of each command through all processes (answers, events, bodies), judged against what is
 * really written at that moment.
 */
import type { CommandRun, LaneEvent } from '@a3s-lab/lane'
import type { SubmitSpec } from '../lane-spec.js'
import type { BodyPicture } from '../picture.js'
import type { DurableOptions } from './options.js'
import type { Truth } from './truth.js'

/** A command as the outside knows it. */
export type Seen = {
  readonly id: string
  readonly laneId: string
  readonly spec: SubmitSpec
  readonly depth: number
  /** Number of the process that it was submitted to. */
  readonly process: number
  readonly isEphemeral: boolean
  accepted: 'unknown' | 'yes' | 'no'
  run: CommandRun | undefined
  /** What was announced, with `|` where a process ended. */
  readonly trail: string[]
  phase: 'new' | 'waiting' | 'active' | 'settled'
  /** Told by an event. */
  final: string | undefined
  readonly checkpointed: { resolved: number; begun: number }
  /** Attempt of the last body, and whether its next may have the same number. */
  attempt: number
  wasPreempted: boolean
  /** Processes that ended without a word while a body of it ran. */
  crashes: number
  retries: number
  /** Process in which a cancellation was answered with true. */
  cancelledIn: number
  /** What its bodies have returned. */
  readonly returned: Set<unknown>
}

const FINAL_STATE: Readonly<Record<string, string>> = {
  completed: 'completed',
  failed: 'failed',
  timeout: 'timed_out',
  cancelled: 'cancelled',
}

const CODES: Readonly<Record<string, readonly string[]>> = {
  failed: ['COMMAND_FAILED', 'PAYLOAD_INVALID'],
  timed_out: ['COMMAND_TIMEOUT'],
  cancelled: ['COMMAND_CANCELLED'],
}

type Phase = Seen['phase']

const LIVE: readonly Phase[] = ['new', 'waiting', 'active']
const ended = { from: LIVE, to: 'settled' } as const

/** From which phases an event may come, and to which it leads. */
const STEPS: Readonly<Record<string, { readonly from: readonly Phase[]; readonly to?: Phase }>> = {
  submitted: { from: ['new'], to: 'waiting' },
  started: { from: ['new', 'waiting'], to: 'active' },
  recovered: { from: ['new', 'waiting'], to: 'waiting' },
  resumed: { from: ['active'] },
  progress: { from: ['active'] },
  retry: { from: ['active'], to: 'waiting' },
  preempted: { from: ['active'], to: 'waiting' },
  delayed: { from: ['waiting', 'active'], to: 'waiting' },
  dead_lettered: { from: LIVE },
  completed: ended,
  failed: ended,
  timeout: ended,
  cancelled: ended,
}

/** Told at any time, and of no step of the command's own. */
const OUTSIDE = new Set(['fault', 'deduplicated', 'rejected', 'redriven'])

export class Ledger {
  /** Letters of ephemeral commands: they take places of the ring, and are never written. */
  #ephemeralLetters = 0
  readonly commands = new Map<string, Seen>()
  readonly options: DurableOptions
  readonly truth: Truth
  readonly #report: (invariant: string, text: string) => void
  /** Commands that have to be announced as recovered in this process. */
  #interrupted = new Set<string>()
  process = 0

  constructor(options: DurableOptions, truth: Truth, report: (invariant: string, text: string) => void) {
    this.options = options
    this.truth = truth
    this.#report = report
  }

  get(id: string): Seen | undefined {
    return this.commands.get(id)
  }

  /** A command that nobody here had in hand when it was submitted: a child, or one that a crash kept from being told. */
  add(id: string, known: Partial<Seen> = {}): Seen {
    const command: Seen = {
      ...{ id, laneId: this.truth.byId.get(id)?.laneId ?? '', spec: {}, depth: 0, process: this.process },
      ...{ isEphemeral: false, accepted: 'unknown', run: undefined, trail: [], phase: 'new', final: undefined },
      ...{ checkpointed: { resolved: 0, begun: 0 }, attempt: 0, wasPreempted: false, crashes: 0, retries: 0 },
      ...{ cancelledIn: -1, returned: new Set() },
      ...known,
    }
    this.commands.set(id, command)
    return command
  }

  accepted(command: Seen): void {
    command.accepted = 'yes'
    const known = this.truth.byId.get(command.id)
    if (known === undefined || known.isWithdrawn) this.#report('I8', `'${command.id}' was accepted, and is not written`)
  }

  onEvent({ key, payload }: LaneEvent): void {
    const { command_id: id } = (payload ?? {}) as { readonly command_id?: string }
    if (id === undefined || !key.startsWith('queue.command.')) return
    const name = key.slice('queue.command.'.length)
    if (OUTSIDE.has(name)) return
    // what nobody heard of may be a process's before
    const command = this.get(id) ?? this.add(id, name === 'submitted' ? {} : { process: -1 })
    if (!command.isEphemeral) this.#judgeEvent(name, command)
    else if (name === 'dead_lettered') this.#ephemeralLetters++
    this.#follow(name, command)
    command.trail.push(name)
  }

  #judgeEvent(name: string, command: Seen): void {
    const known = this.truth.byId.get(command.id)
    const what = `'${command.id}' (${command.trail.join(' ')})`
    if (known === undefined) return this.#report('I8', `${what} was announced as ${name}, and is not written`)
    const state = FINAL_STATE[name]
    if (state !== undefined && known.final?.state !== state)
      this.#report('I9', `${what} was announced as ${name}, written is ${known.final?.state ?? known.state}`)
    if (name === 'started' && known.final !== undefined)
      this.#report('I9', `${what} started, and had ${known.final.state} written`)
    if (name === 'started' && command.accepted === 'no' && command.process === this.process)
      this.#report('I9', `${what} started, and its submit was refused`)
    if (name === 'started' && this.#interrupted.has(command.id))
      this.#report('I19', `${what} started again, and was not announced as recovered`)
    if (name === 'started' && command.cancelledIn === this.process)
      this.#report('I18', `${what} started when cancelled`)
    if (name === 'recovered' && !this.#interrupted.delete(command.id))
      this.#report('I10', `${what} was announced as recovered, and was not interrupted`)
  }

  /** I19, through all processes: what follows what. */
  #follow(name: string, command: Seen): void {
    const { phase, trail } = command
    const step = STEPS[name]
    if (step === undefined || !step.from.includes(phase) || !this.#fits(name, command))
      this.#report('I19', `'${command.id}': ${name} after ${trail.join(' ')}, being ${phase}`)
    if (name === 'retry') command.retries++
    if (name === 'preempted') command.wasPreempted = true
    if (FINAL_STATE[name] !== undefined) command.final = name
    if (step?.to !== undefined) command.phase = step.to
  }

  /** What the phase alone does not say. */
  #fits(name: string, { id, phase, trail, process, wasPreempted }: Seen): boolean {
    // of what was submitted to a process before, nobody may have heard
    if (name === 'started') return phase !== 'new' || process !== this.process
    if (name === 'submitted') return !trail.includes('submitted')
    if (name === 'recovered') return trail.at(-1) === '|'
    // what became of a resumed attempt could not be written: it is resumed once more
    const isLost = this.truth.byId.get(id)?.hasLostMark === true
    return name !== 'resumed' || (trail.at(-1) === 'started' && (wasPreempted || isLost))
  }

  /** A body is entered. */
  entered(command: Seen, attempt: number, restored: number): void {
    const { checkpointed, laneId, crashes } = command
    const what = `'${command.id}' (${command.trail.join(' ')})`
    if (restored < checkpointed.resolved || restored > checkpointed.begun) {
      const text = `${what} was given checkpoint ${restored}, ${checkpointed.resolved} is the last of ${checkpointed.begun}`
      this.#report('I26', text)
    }
    const known = this.truth.byId.get(command.id)
    if (!command.isEphemeral && known === undefined) this.#report('I8', `${what} runs, and is not written`)
    if (known?.final !== undefined) this.#report('I9', `${what} runs, and had ${known.final.state} written`)
    const isMarked = known?.hasLostMark !== true
    if (known !== undefined && isMarked && known.marked !== attempt)
      this.#report('I10', `${what} runs as attempt ${attempt}, marked is ${known.marked}`)
    const isNext = attempt === command.attempt + 1
    if (!isNext && !(command.wasPreempted && attempt === command.attempt) && !command.trail.includes('|'))
      this.#report('I10', `${what} runs as attempt ${attempt} after ${command.attempt}`)
    if (isMarked && attempt < command.attempt)
      this.#report('I10', `${what} runs as attempt ${attempt} after ${command.attempt}`)
    const budget = this.options.lanes[laneId]?.maxRecoveries ?? 0
    if (isMarked && crashes > budget)
      this.#report('I10', `${what} runs after ${crashes} crashes, ${budget} are allowed`)
    command.attempt = attempt
    command.wasPreempted = false
  }

  /** What a run settled with. */
  answered(command: Seen, text: string, value: unknown): void {
    const shown = JSON.stringify(value)
    const known = this.truth.byId.get(command.id)
    const final = known?.final
    const what = `'${command.id}' (${command.trail.join(' ')})`
    if (known === undefined || final === undefined)
      return this.#report('I9', `${what} answered ${text}, and no outcome is written`)
    if (final.state === 'completed') {
      if (text !== 'value' || value !== final.value) this.#report('I9', `${what} answered ${text}, not what is written`)
      if (!command.returned.has(value) && value !== undefined)
        this.#report('I9', `${what} answered ${shown}, which no body of it returned`)
      return
    }
    if (CODES[final.state]?.includes(text) !== true)
      this.#report('I9', `${what} answered ${text}, ${final.state} is written`)
  }

  /** The process has ended: without a word, or by `close`. `bodies` were in. */
  ended(bodies: Iterable<BodyPicture>, isCrash: boolean): void {
    const running = new Set([...bodies].filter(({ isOver }) => !isOver).map(({ command }) => command.id))
    this.#interrupted = new Set()
    for (const { id } of this.truth.interrupted()) this.#interrupted.add(id)
    for (const command of this.commands.values()) {
      if (isCrash && running.has(command.id) && this.#interrupted.has(command.id)) command.crashes++
      // the next process may give the number of one that was never written
      if (command.isEphemeral || !this.truth.byId.has(command.id)) this.commands.delete(command.id)
      if (command.phase === 'settled') continue
      if (command.phase === 'active') command.phase = 'waiting'
      command.trail.push('|')
    }
    this.process++
  }

  judgeEnd(): void {
    for (const { id, state, plan } of this.truth.unsettled()) {
      const trail = this.get(id)?.trail.join(' ') ?? 'never announced'
      this.#report('I8', `'${id}' (plan ${plan}) never settled: ${trail}; written is ${state}`)
    }
    for (const command of this.commands.values()) {
      const known = this.truth.byId.get(command.id)
      if (command.accepted === 'yes' && (known === undefined || known.isWithdrawn))
        this.#report('I8', `'${command.id}' was accepted, and is gone`)
      if (command.isEphemeral && command.phase !== 'settled')
        this.#report('I8', `'${command.id}' is ephemeral and never settled: ${command.trail.join(' ')}`)
    }
    this.#judgeLetters()
  }

  /** I13: of a command that failed for good there is a letter, unless it was redriven or newer ones have pushed it out. */
  #judgeLetters(): void {
    const { deadLetters: capacity } = this.options
    const { commands, letters, buried } = this.truth
    if (letters.length > capacity) this.#report('I13', `${letters.length} letters are written, ${capacity} are allowed`)
    const redriven = new Set([...commands.values()].filter((one) => !one.isWithdrawn).map((one) => one.redrivenFrom))
    for (const command of commands.values()) {
      if (command.final?.state !== 'failed' && command.final?.state !== 'timed_out') continue
      if (letters.includes(command.seq) || redriven.has(command.id)) continue
      const others = buried.slice(buried.indexOf(command.seq) + 1).filter((seq) => seq !== command.seq)
      const newer = others.length + this.#ephemeralLetters
      // one that was never buried has as many newer ones as there are
      if (newer < capacity)
        this.#report('I13', `'${command.id}' failed, and its letter is not there; ${newer} newer ones`)
    }
  }
}
