/**
 * A tool: what a model may call. Its arguments are checked before it runs; what it cannot do is a result with an exit
 * code, as the model has to read it. Only an abort, a missing package and our own bugs reject.
 */
import type { z } from 'zod'
import { requirePeer } from '../../peer/index.js'
import type { ToolCall, ToolOutput, ToolResult } from '../../session/index.js'
import { ToolError, told } from './tool-error.js'
import type { Workspace } from './workspace.js'

/** The part of the package that optional peers are asked for by. */
export const SUBPATH = '@a3s-lab/lane/agent'

/** What a tool is given beside its arguments: a session's context has all of it but the workspace. */
export type AgentToolContext = {
  readonly workspace: Workspace
  /** Aborts when the call is to stop; the tool rejects with its reason when everything of it has stopped. */
  readonly signal: AbortSignal
  /** The id of the call, when a model made it. */
  readonly toolCallId?: string | undefined
  /** Takes output while the tool runs. */
  readonly output: (delta: string) => void
  /** Runs calls from inside this one. It checks each as if the model had made it by itself. */
  readonly runToolCalls: (calls: readonly ToolCall[]) => Promise<readonly ToolResult[]>
}

/** A JSON Schema, as providers of models take it. */
export type JsonSchema = { readonly [keyword: string]: unknown }

export type Tool = {
  readonly name: string
  /** For the model: what it does, its limits and units. */
  readonly description: string
  /** Of its arguments: an object. */
  readonly parameters: JsonSchema
  /**
   * Whether it only reads inside the workspace, or does nothing by itself: then it runs where there is no permission
   * policy.
   */
  readonly readOnly: boolean
  /** Arguments that do not fit, and whatever the tool cannot do, are an output with exit code 1. */
  readonly execute: (args: unknown, context: AgentToolContext) => Promise<ToolOutput>
}

export type ToolDefinition<S extends z.ZodType> = {
  readonly name: string
  readonly description: string
  /** Default false. */
  readonly readOnly?: boolean
  /** Makes the schema of the arguments, when it is first needed. */
  readonly parameters: (zod: typeof z) => S
  /** Throws a `ToolError` for what it cannot do. */
  readonly run: (args: z.output<S>, context: AgentToolContext) => ToolOutput | Promise<ToolOutput>
}

/** A tool with arguments described by zod, which is an optional peer and loaded when the first tool is used. */
export function defineTool<S extends z.ZodType>(definition: ToolDefinition<S>): Tool {
  const { name, description, readOnly = false, run } = definition
  let schema: S | undefined
  let json: JsonSchema | undefined
  const zod = (): typeof z => requirePeer<{ z: typeof z }>('zod', SUBPATH).z
  const schemaOf = (): S => {
    schema ??= definition.parameters(zod())
    return schema
  }
  return {
    name,
    description,
    readOnly,
    get parameters() {
      json ??= zod().toJSONSchema(schemaOf(), { io: 'input', target: 'draft-7' }) as JsonSchema
      return json
    },
    execute: async (args, context) => {
      const parsed = schemaOf().safeParse(withoutNulls(args))
      if (!parsed.success) return failed(objectionsTo(name, parsed.error.issues))
      return settled(context.signal, async () => run(parsed.data, context))
    },
  }
}

/** Runs a tool's body; what it cannot do becomes its output. */
async function settled(signal: AbortSignal, body: () => Promise<ToolOutput>): Promise<ToolOutput> {
  signal.throwIfAborted()
  try {
    return await body()
  } catch (error) {
    if (signal.aborted) throw signal.reason
    const sentence = told(error, 'A file')
    if (sentence instanceof ToolError) return failed(sentence.message)
    throw error
  }
}

/** The output of a call that did not do what it was asked for. */
const failed = (output: string): ToolOutput => ({ output, exit_code: 1 })

/** Models that have to give every argument write null for those that they mean to leave out. */
function withoutNulls(args: unknown): unknown {
  if (args === undefined) return {}
  if (typeof args !== 'object' || args === null || Array.isArray(args)) return args
  return Object.fromEntries(Object.entries(args).filter(([, value]) => value !== null))
}

const SHOWN_ISSUES = 3

type Issue = { readonly path: readonly PropertyKey[]; readonly message: string }

function objectionsTo(tool: string, issues: readonly Issue[]): string {
  const shown = issues.slice(0, SHOWN_ISSUES).map(({ path, message }) => {
    const argument = path.length === 0 ? 'The arguments' : `Argument '${path.map(String).join('.')}'`
    return `${argument} of ${tool}: ${message}`
  })
  const more = issues.length - shown.length
  return [...shown, ...(more > 0 ? [`and ${more} more`] : [])].join('\n')
}
