/**
 * A command definition: name, types, schemas and defaults, apart from the handler, so that submitters import no worker
 * code. Schemas are Standard Schema values (https://standardschema.dev, version 1): zod, valibot, arktype and others.
 */
import { LaneError, show } from './errors.js'
import { checkObject, checkText, refuseUnknown } from './options.js'
import type { SubmitOptions } from './submit-options.js'

/** The part of the Standard Schema interface, version 1, that is used here. Any conforming schema fits. */
export interface StandardSchema<Input = unknown, Output = Input> {
  readonly '~standard': {
    readonly version: 1
    readonly vendor: string
    readonly validate: (value: unknown) => SchemaResult<Output> | Promise<SchemaResult<Output>>
    readonly types?: { readonly input: Input; readonly output: Output } | undefined
  }
}

/** What a schema answers: the value, or what is wrong with it. */
export type SchemaResult<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | { readonly issues: readonly SchemaIssue[] }

/** One thing that is wrong with a value, and where. */
export type SchemaIssue = {
  readonly message: string
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined
}

/** A schema of a payload, whatever its types. */
export type PayloadSchema = StandardSchema<unknown, unknown>

/** A kind of command: call it with a payload to get a command, hand it to `queue.handle` to say how it runs. */
export interface CommandDefinition<Input = unknown, Payload = Input, Result = unknown> {
  (payload: Input): DefinedCommand<Input, Payload, Result>
  readonly type: string
  readonly payload?: StandardSchema<Input, Payload> | undefined
  readonly result?: StandardSchema<unknown, Result> | undefined
  readonly defaults?: SubmitOptions | undefined
}

/** A command made by a definition. */
export class DefinedCommand<Input = unknown, Payload = Input, Result = unknown> {
  /** Carries the types of payload and result; never set. */
  declare readonly __types?: { payload: Payload; result: Result }

  readonly definition: {
    readonly payload?: PayloadSchema | undefined
    readonly defaults?: SubmitOptions | undefined
  }
  readonly type: string
  readonly payload: Input

  constructor(
    definition: {
      readonly payload?: PayloadSchema | undefined
      readonly defaults?: SubmitOptions | undefined
    },
    type: string,
    payload: Input,
  ) {
    this.definition = definition
    this.type = type
    this.payload = payload
  }
}

/** Options of `defineCommand`. */
export type DefineCommandOptions<Input, Payload, Result> = {
  readonly type: string
  /** Checks payloads at submit; what it gives back (defaults filled in, for example) is what the handler gets. */
  readonly payload?: StandardSchema<Input, Payload>
  /** Checks what the handler returns; a result that does not fit is a failed attempt. */
  readonly result?: StandardSchema<unknown, Result>
  /** Submit options of every command of this kind; those given to `submit` go first. */
  readonly defaults?: SubmitOptions
}

/**
 * Defines a kind of command. With schemas, types are inferred: `defineCommand({ type: 'resize', payload: z.object({ … }) })`;
 * without, say them: `defineCommand<{ path: string }, number>({ type: 'count' })`. `CONFIG_INVALID` for a bad definition.
 */
export function defineCommand<Input = unknown, Result = unknown, Payload = Input>(
  options: DefineCommandOptions<Input, Payload, Result>,
): CommandDefinition<Input, Payload, Result> {
  checkObject('defineCommand', options)
  refuseUnknown('defineCommand', options, ['type', 'payload', 'result', 'defaults'])
  checkText('defineCommand type', options.type)
  const { type, payload, result, defaults } = options
  const definition = (value: Input): DefinedCommand<Input, Payload, Result> =>
    new DefinedCommand(definition as { payload?: PayloadSchema }, type, value)
  definitions.add(definition)
  return Object.assign(definition, { type, payload, result, defaults })
}

/** Every definition that was made: one is a function, as a function command is. */
const definitions = new WeakSet<object>()

/** Whether a value is a definition, not a command made by one. */
export const isDefinition = (value: object): value is { readonly type: string } => definitions.has(value)

/**
 * Checks a value against a schema. Answers at once where the schema does. `PAYLOAD_INVALID` names each issue and its
 * place; a schema that throws counts as one that refuses.
 */
export function validate(schema: PayloadSchema, what: string, value: unknown): unknown | Promise<unknown> {
  const result = schema['~standard'].validate(value)
  return result instanceof Promise ? result.then((settled) => accept(settled, what)) : accept(result, what)
}

function accept(result: SchemaResult<unknown>, what: string): unknown {
  if (result.issues === undefined) return result.value
  const issues = result.issues.map((issue) => ({ message: issue.message, path: pathText(issue) }))
  const text = issues.map(({ message, path }) => (path === '' ? message : `${path}: ${message}`)).join('; ')
  throw new LaneError('PAYLOAD_INVALID', `${what} is not valid: ${text}`, { fields: { issues } })
}

const pathText = (issue: SchemaIssue): string =>
  (issue.path ?? []).map((step) => String(typeof step === 'object' ? step.key : step)).join('.')

/** The error of a schema that itself failed. */
export const schemaFault = (what: string, error: unknown): LaneError =>
  new LaneError('PAYLOAD_INVALID', `${what} could not be checked: ${show(String(error))}`, { cause: error })
