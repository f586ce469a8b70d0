/** A workspace in a temporary folder, with something secret beside it, and the built-in tools to call in it. */
import { execFileSync } from 'node:child_process'
import {
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { ToolCall, ToolOutput, ToolResult } from '@a3s-lab/lane/session'
import {
  type AgentToolContext,
  type BuiltInToolOptions,
  builtInTools,
  Workspace,
} from '../../../src/agent/tools/index.js'

export const SECRET = 'the secret beside the workspace'

export class ToolFolder {
  readonly #root: string
  readonly #options: BuiltInToolOptions
  readonly workspace: Workspace
  readonly deltas: string[] = []

  constructor(options: BuiltInToolOptions = {}) {
    this.#options = options
    this.#root = realpathSync(mkdtempSync(join(tmpdir(), 'lane-tools-')))
    mkdirSync(this.path())
    mkdirSync(this.outside())
    writeFileSync(this.outside('secret.txt'), SECRET)
    this.workspace = new Workspace(this.path())
  }

  path(name = ''): string {
    return join(this.#root, 'ws', name)
  }

  outside(name = ''): string {
    return join(this.#root, 'outside', name)
  }

  file(name: string, content: string | Uint8Array): this {
    mkdirSync(dirname(this.path(name)), { recursive: true })
    writeFileSync(this.path(name), content)
    return this
  }

  link(name: string, target: string): this {
    mkdirSync(dirname(this.path(name)), { recursive: true })
    symlinkSync(target, this.path(name))
    return this
  }

  /** A named pipe: whoever opens it waits for the other end. */
  pipe(name: string): this {
    execFileSync('/usr/bin/env', ['mkfifo', this.path(name)])
    return this
  }

  text(name: string): string {
    return readFileSync(this.path(name), 'utf8')
  }

  has(name: string): boolean {
    return lstatSync(this.path(name), { throwIfNoEntry: false }) !== undefined
  }

  names(name = ''): string[] {
    return readdirSync(this.path(name)).sort()
  }

  context(signal: AbortSignal = new AbortController().signal): AgentToolContext {
    return {
      workspace: this.workspace,
      signal,
      toolCallId: 'call',
      output: (delta) => this.deltas.push(delta),
      runToolCalls: (calls) => Promise.all(calls.map((call) => this.#nested(call, signal))),
    }
  }

  async call(name: string, args: unknown, signal?: AbortSignal): Promise<ToolOutput> {
    const tool = builtInTools(this.#options).find((one) => one.name === name)
    if (tool === undefined) throw new Error(`no tool ${name}`)
    return tool.execute(args, this.context(signal))
  }

  /** What a call that cannot be done says. */
  async refusal(name: string, args: unknown): Promise<string> {
    const { output, exit_code: exitCode } = await this.call(name, args)
    return exitCode === 1 ? output : `exit code ${exitCode ?? 0}: ${output}`
  }

  /** What stands outside: it must stay as it is. */
  outsideNow(): string {
    return `${readdirSync(this.outside()).sort().join()} ${readFileSync(this.outside('secret.txt'), 'utf8')}`
  }

  async [Symbol.asyncDispose](): Promise<void> {
    rmSync(this.#root, { recursive: true, force: true })
  }

  async #nested(call: ToolCall, signal: AbortSignal): Promise<ToolResult> {
    const { output, exit_code: exitCode = 0, images } = await this.call(call.name, call.args, signal)
    const more = images === undefined ? {} : { images }
    return { id: call.id, name: call.name, output, exit_code: exitCode, is_error: exitCode !== 0, ...more }
  }
}
