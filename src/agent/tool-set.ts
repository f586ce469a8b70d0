/** The tools of one session: the built-in ones and those that its user brings, and how one is run. */
import { type Clock, configInvalid, formatDuration, LaneError } from '../core/index.js'
import type { ToolContext, ToolOutput } from '../session/index.js'
import type { ToolSchema } from './model.js'
import type { Tool, Workspace } from './tools/index.js'

/** Command types of direct submissions. */
const RESERVED: readonly string[] = ['json', 'prompt']

/** How long a tool that was told to stop may take before it is answered for. What belongs to bash stops in less. */
const STOP_MS = 3000

export class ToolSet {
  readonly #tools = new Map<string, Tool>()
  readonly #workspace: Workspace
  readonly #clock: Clock
  readonly #timeoutMs: number | undefined

  constructor(tools: readonly Tool[], workspace: Workspace, clock: Clock, timeoutMs: number | undefined) {
    for (const tool of tools) {
      if (typeof tool?.name !== 'string' || typeof tool.execute !== 'function') {
        throw configInvalid('tools', 'a list of tools { name, description, parameters, execute }', tool)
      }
      if (RESERVED.includes(tool.name)) {
        throw configInvalid(
          'tools',
          `tools of other names than ${RESERVED.join(' and ')}, which mean direct submissions`,
          tool.name,
        )
      }
      this.#tools.set(tool.name, tool)
    }
    this.#workspace = workspace
    this.#clock = clock
    this.#timeoutMs = timeoutMs
  }

  has(name: string): boolean {
    return this.#tools.has(name)
  }

  /** Whether it only looks, inside the workspace. */
  isReadOnly(name: string): boolean {
    return this.#tools.get(name)?.readOnly === true
  }

  /** What a model is told of the tools. */
  schemas(): ToolSchema[] {
    return [...this.#tools.values()].map(({ name, description, parameters }) => ({ name, description, parameters }))
  }

  async run(name: string, args: unknown, context: ToolContext): Promise<ToolOutput> {
    const tool = this.#tools.get(name)
    if (tool === undefined) {
      return {
        output: `There is no tool '${name}'. The tools are: ${[...this.#tools.keys()].join(', ')}`,
        exit_code: 1,
      }
    }
    const { toolCallId, output, runToolCalls } = context
    const workspace = this.#workspace
    const run = async (signal: AbortSignal): Promise<ToolOutput> =>
      withExitCode(await tool.execute(args, { workspace, signal, toolCallId, output, runToolCalls }))
    if (this.#timeoutMs === undefined) return run(context.signal)
    return this.#limited(run, context.signal, this.#timeoutMs)
  }

  /** The tool is told to stop at the limit, and answered for when it has, or does not listen. */
  #limited(
    run: (signal: AbortSignal) => Promise<ToolOutput>,
    outer: AbortSignal,
    timeoutMs: number,
  ): Promise<ToolOutput> {
    const clock = this.#clock
    const controller = new AbortController()
    const onAbort = (): void => controller.abort(outer.reason)
    if (outer.aborted) onAbort()
    else outer.addEventListener('abort', onAbort, { once: true })
    return new Promise<ToolOutput>((resolve, reject) => {
      let timer = clock.setTimer(timeoutMs, () => {
        const error = new LaneError('COMMAND_TIMEOUT', `Command timed out after ${formatDuration(timeoutMs)}`)
        controller.abort(error)
        timer = clock.setTimer(STOP_MS, () => reject(error))
      })
      run(controller.signal)
        .then(resolve, reject)
        .finally(() => {
          clock.clearTimer(timer)
          outer.removeEventListener('abort', onAbort)
        })
    })
  }
}

/** Whoever asks for it reads one, also of a tool that went well without a word. */
const withExitCode = (given: ToolOutput): ToolOutput =>
  typeof given === 'object' && given !== null ? { ...given, exit_code: given.exit_code ?? 0 } : given
