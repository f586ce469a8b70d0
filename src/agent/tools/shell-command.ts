/** One shell command: its output as it comes, and its end, by itself or because its time or its caller's patience is over. */
import { constants } from 'node:os'
import { StringDecoder } from 'node:string_decoder'
import { type Clock, systemClock } from '../../core/index.js'
import { KeptOutput } from './kept-output.js'
import type { ToolLimits } from './limits.js'
import { type GroupOptions, ProcessGroup } from './process-group.js'
import { ToolError } from './tool-error.js'

/** What still writes when the shell has ended, like a `tee` behind it, gets this long before it is ended. */
const AFTER_SHELL_MS = 100
const LOOK_AGAIN_MS = 5
/** How long the pipe may take to run dry when everything is gone. */
const DRY_MS = 200
/** Output that is told while the command runs, in characters; what follows is only in the result. */
const STREAMED_CHARS = 1_000_000

type Why = 'shell' | 'timeout' | 'flood' | 'abort'

export type CommandEnd = {
  readonly why: Why
  /** As shells tell it: 128 and the signal's number, when it was ended by one. */
  readonly exitCode: number
  readonly signal: NodeJS.Signals | undefined
  readonly text: string
  readonly leftOut: number
  readonly durationMs: number
  readonly endedBackground: boolean
  readonly isGone: boolean
}

export type CommandSurroundings = {
  readonly limits: ToolLimits
  readonly output: (delta: string) => void
  readonly clock: Clock
}

export class ShellCommand {
  readonly #group: ProcessGroup
  readonly #around: CommandSurroundings
  readonly #kept: KeptOutput
  readonly #decoder = new StringDecoder('utf8')
  readonly #startedAt = systemClock.now()
  #bytes = 0
  #streamed = 0
  #stop: (why: Why) => void = () => undefined
  readonly #dry: Promise<void>

  constructor(options: GroupOptions, around: CommandSurroundings) {
    this.#around = around
    this.#kept = new KeptOutput(around.limits.outputChars)
    this.#group = new ProcessGroup(options)
    const { stdout } = this.#group.process
    stdout?.on('data', (chunk: Buffer) => this.#take(chunk))
    this.#dry = new Promise((resolve) => {
      stdout?.once('close', resolve)
      // a pipe that breaks is dry, too
      stdout?.once('error', resolve)
    })
  }

  /** Resolves when everything of the command has stopped. Rejects with the signal's reason when it was aborted. */
  async run(timeoutMs: number, signal: AbortSignal): Promise<CommandEnd> {
    const why = await this.#firstEnd(timeoutMs, signal)
    if (why === 'shell') await this.#afterShell(signal)
    const { wasLeft, isGone } = await this.#group.end()
    if (!signal.aborted) await this.#runDry()
    this.#group.process.stdout?.destroy()
    signal.throwIfAborted()
    const { exitCode, signalCode } = this.#group.process
    return {
      why,
      exitCode: exitCode ?? 128 + (signalCode === null ? 0 : constants.signals[signalCode]),
      signal: signalCode ?? undefined,
      text: this.#kept.text().trimEnd(),
      leftOut: this.#kept.leftOut,
      durationMs: Math.round(systemClock.now() - this.#startedAt),
      endedBackground: why === 'shell' && wasLeft,
      isGone,
    }
  }

  /** Waits for the first reason to end. */
  async #firstEnd(timeoutMs: number, signal: AbortSignal): Promise<Why> {
    const { clock } = this.#around
    const child = this.#group.process
    const abort = (): void => this.#stop('abort')
    const timer = clock.setTimer(timeoutMs, () => this.#stop('timeout'))
    try {
      return await new Promise<Why>((resolve, reject) => {
        this.#stop = resolve
        child.once('exit', () => resolve('shell'))
        child.once('error', (error) => reject(new ToolError(`The shell could not be started: ${error.message}`)))
        signal.addEventListener('abort', abort)
        if (signal.aborted) abort()
      })
    } finally {
      clock.clearTimer(timer)
      signal.removeEventListener('abort', abort)
    }
  }

  async #afterShell(signal: AbortSignal): Promise<void> {
    const until = systemClock.now() + AFTER_SHELL_MS
    while (this.#group.isThere && !signal.aborted && systemClock.now() < until) await pause(LOOK_AGAIN_MS).promise
  }

  /** All that was written is read; a pipe that somebody keeps open is left. */
  async #runDry(): Promise<void> {
    const { promise, cancel } = pause(DRY_MS)
    await Promise.race([this.#dry, promise])
    cancel()
    this.#tell(this.#decoder.end())
  }

  #take(chunk: Buffer): void {
    this.#bytes += chunk.length
    this.#tell(this.#decoder.write(chunk))
    if (this.#bytes > this.#around.limits.floodBytes) {
      this.#group.process.stdout?.destroy()
      this.#stop('flood')
    }
  }

  #tell(text: string): void {
    if (text === '') return
    this.#kept.add(text)
    if (this.#streamed >= STREAMED_CHARS) return
    this.#streamed += text.length
    this.#around.output(text)
  }
}

/** A pause that may end early. Processes live in the machine's time, whatever clock a session has. */
function pause(ms: number): { readonly promise: Promise<void>; readonly cancel: () => void } {
  let cancel = (): void => undefined
  const promise = new Promise<void>((resolve) => {
    const timer = systemClock.setTimer(ms, resolve)
    cancel = () => {
      systemClock.clearTimer(timer)
      resolve()
    }
  })
  return { promise, cancel }
}
