/** Submits: all of one call travel as one pipeline, each is added wholly or not at all. */
import type { AddAnswer, EngineCommand, EngineUse } from '../core/index.js'
import { commandIdOf, foreignIdOf, jobIdOf } from './ids.js'
import { jobData, namedFields, OUTCOME_FIELDS, outcomeOf, ownFields } from './job-form.js'
import type { Messages } from './messages.js'
import type { Arguments, ServerCalls } from './server-calls.js'
import {
  ACCEPTED,
  cancelledOutcome,
  cancelledText,
  foreign,
  idTaken,
  isPlain,
  isSame,
  partsOf,
  queueFull,
  refused,
  replacedBy,
} from './submit-answers.js'

/** A job that was cancelled on the way: prefix of its lane, its id, and who waits for it. */
export type ToldCancel = readonly [prefix: string, jobId: string, replyTo: string, waiters: string]

type Answer =
  | readonly ['accepted', (ToldCancel | null)?]
  | readonly ['same' | 'duplicate', prefix: string, jobId: string, values: readonly (string | null)[]]
  | readonly ['full', capacity: string]

export class Submissions {
  readonly #calls: ServerCalls
  readonly #messages: Messages
  readonly #use: EngineUse

  constructor(calls: ServerCalls, messages: Messages, use: EngineUse) {
    this.#calls = calls
    this.#messages = messages
    this.#use = use
  }

  async add(commands: readonly EngineCommand[]): Promise<readonly AddAnswer[]> {
    const now = this.#use.now()
    let parts = partsOf(commands)
    const replies = await this.#calls.pipeline((pipeline, isAgain) => {
      // each is looked for when it may be there already
      if (isAgain) parts = parts.flatMap((part) => part.map((command) => [command]))
      for (const part of parts) {
        const [first] = part as [EngineCommand, ...EngineCommand[]]
        if (isAgain || !isPlain(first)) pipeline.run('laneAdd', first.laneId, addArguments(first, now, isAgain))
        else pipeline.run('laneAddMany', first.laneId, addManyArguments(part, now))
      }
    })
    const answers = new Map<EngineCommand, AddAnswer>()
    for (const [at, part] of parts.entries()) this.#answerPart(part, replies[at], answers)
    return commands.map((command) => answers.get(command) ?? refused(foreign(command)))
  }

  #answerPart(part: readonly EngineCommand[], reply: unknown, answers: Map<EngineCommand, AddAnswer>): void {
    const [first] = part as [EngineCommand, ...EngineCommand[]]
    const [accepted, capacity] = reply as readonly [number | string, string | null]
    if (typeof accepted === 'string') {
      answers.set(first, this.#answerOf(first, reply as Answer))
      return
    }
    for (const [at, command] of part.entries()) {
      answers.set(command, at < accepted ? ACCEPTED : refused(queueFull(command.laneId, Number(capacity))))
    }
  }

  #answerOf(command: EngineCommand, answer: Answer): AddAnswer {
    if (answer[0] === 'accepted') {
      if (answer[1]) this.#tellReplaced(answer[1], command.id)
      return ACCEPTED
    }
    if (answer[0] === 'full') return refused(queueFull(command.laneId, Number(answer[1])))
    const [kind, prefix, jobId, values] = answer
    const fields = namedFields(OUTCOME_FIELDS, values)
    const laneId = this.#calls.names.laneOf(prefix)
    const id = fields.has('lane') ? commandIdOf(jobId) : foreignIdOf(jobId, laneId)
    if (kind === 'same' && !isSame(command, fields)) return refused(idTaken(command.id, laneId))
    const outcome = outcomeOf(id, laneId, fields)
    return { kind: 'duplicate', id, laneId, ...(outcome === undefined ? {} : { outcome }) }
  }

  #tellReplaced([prefix, jobId, replyTo, waiters]: ToldCancel, id: string): void {
    const laneId = this.#calls.names.laneOf(prefix)
    const outcome = cancelledOutcome(commandIdOf(jobId), laneId, replacedBy(id))
    this.#messages.outcome(replyTo, waiters, outcome)
  }
}

function addManyArguments(part: readonly EngineCommand[], now: number): Arguments {
  const args: (string | number)[] = [now, part[0]?.replyTo ?? '']
  for (const command of part) {
    args.push(
      jobIdOf(command.id, command.laneId),
      command.commandType,
      jobData(command),
      command.createdAt,
      command.priority + 1,
      command.options ?? '',
      command.cost ?? '',
      command.deadlineAt ?? '',
      command.payload === undefined ? '1' : '',
    )
  }
  return args
}

function addArguments(command: EngineCommand, now: number, isAgain: boolean): Arguments {
  const { id, laneId, dedupe } = command
  const reason = dedupe === undefined ? '' : replacedBy(id)
  return [
    jobIdOf(id, laneId),
    command.commandType,
    jobData(command),
    command.createdAt,
    command.priority + 1,
    command.dueAt === undefined ? 0 : Math.max(0, Math.ceil(command.dueAt - command.createdAt)),
    now,
    command.replyTo ?? '',
    command.hasOwnId ? '1' : '0',
    isAgain ? '1' : '0',
    command.deadlineAt ?? '',
    dedupe?.id ?? '',
    dedupe?.mode ?? '',
    dedupe?.until ?? 0,
    reason,
    reason === '' ? '' : cancelledText(reason),
    ...ownFields(command),
  ]
}
