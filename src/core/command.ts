/**
 * What can be submitted, and how it is told apart. A command is a type and a payload; how it is run is decided when its
 * turn comes: by the handler of its type, by its own `execute`, or, for a function, by calling it.
 */
import type { CommandContext } from './context.js'
import { DefinedCommand, isDefinition, type PayloadSchema } from './definition.js'
import { LaneError, show } from './errors.js'

/** A command object: it brings its own work. */
export interface Command<R = unknown> {
  /** Names the kind of work; shown in events and dead letters. */
  readonly commandType: string
  execute(context: CommandContext): R | Promise<R>
}

/** A command by type and payload: the handler registered for the type does the work. */
export type TypedCommand<P = unknown> = {
  readonly type: string
  readonly payload?: P
  /** A definition has these and is no command: it is called with a payload first. */
  readonly defaults?: never
}

/** A command that is just a function; it has no stored form. */
export type FunctionCommand<R = unknown> = (context: CommandContext) => R | Promise<R>

/** Anything that `submit` takes. */
export type AnyCommand<R = unknown> = Command<R> | TypedCommand | FunctionCommand<R>

/** A command of a type and a payload that gives its payload back when no handler is registered for the type. */
export class JsonCommand<P = unknown> implements Command<unknown> {
  readonly commandType: string
  readonly payload: P

  constructor(type: string, payload: P) {
    this.commandType = type
    this.payload = payload
  }

  execute(): unknown {
    return this.payload
  }
}

/**
 * A command that brings its own work. While a command waits only its type (on its run) and its `body` are kept: a `Work`,
 * or the payload itself for the handler of its type. The brand is private, so asking touches nothing of a user's value.
 */
export class Work {
  readonly #command: Command | FunctionCommand

  constructor(command: Command | FunctionCommand) {
    this.#command = command
  }

  get command(): Command | FunctionCommand {
    return this.#command
  }

  static is(body: unknown): body is Work {
    return typeof body === 'object' && body !== null && #command in body
  }
}

/** A command as the queue keeps it. */
export type ParsedCommand = {
  readonly type: string
  readonly body: unknown
  readonly schema: PayloadSchema | undefined
  /** What was submitted, where a schema has made the body from it. */
  readonly given?: unknown
}

/** The type of an anonymous function command. */
const ANONYMOUS = 'function'

/** Tells a command apart. `PAYLOAD_INVALID` when it is none; throws what the command's own accessors throw. */
export function parseCommand(command: unknown): ParsedCommand {
  if (typeof command === 'function') {
    if (isDefinition(command)) throw uncalled(command)
    const call = command as FunctionCommand
    const name: unknown = call.name
    return {
      type: typeof name === 'string' && name !== '' ? name : ANONYMOUS,
      body: new Work(call),
      schema: undefined,
    }
  }
  if (typeof command !== 'object' || command === null) throw notACommand(command)
  if (command instanceof DefinedCommand) {
    return { type: command.type, body: command.payload, schema: command.definition.payload }
  }
  if (typeof (command as Command).execute === 'function') {
    const type: unknown = (command as Command).commandType
    if (typeof type !== 'string' || type === '') throw noType('commandType', type)
    return { type, body: new Work(command as Command), schema: undefined }
  }
  const { type, payload } = command as { type: unknown; payload?: unknown }
  if (typeof type !== 'string' || type === '') throw noType('type', type)
  return { type, body: payload, schema: undefined }
}

const uncalled = ({ type }: { readonly type: string }): LaneError =>
  new LaneError('PAYLOAD_INVALID', `The definition of '${type}' is no command: call it with a payload first`)

const notACommand = (command: unknown): LaneError =>
  new LaneError(
    'PAYLOAD_INVALID',
    `A command must be a function, an object with execute(), or { type, payload }, got ${show(command)}`,
  )

const noType = (key: string, got: unknown): LaneError =>
  new LaneError('PAYLOAD_INVALID', `A command's ${key} must be a string that is not empty, got ${show(got)}`)

/** The payload of a command, as records and dead letters show it: none for functions and command objects. */
export function payloadOf(body: unknown): unknown {
  if (!Work.is(body)) return body
  return body.command instanceof JsonCommand ? body.command.payload : undefined
}

/** A command that can be submitted again: for a redrive. */
export const commandOf = (type: string, body: unknown): AnyCommand =>
  Work.is(body) ? body.command : { type, payload: body }
