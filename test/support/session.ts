/**
 * A session queue for one test: virtual time, seeded random, every event read, and a tool that does what its arguments
 * say. Disposed by `await using`, with a leak guard: afterwards no timer is set, nothing runs or is pending, and every
 * `external_task_pending` has had exactly one `external_task_completed`.
 */
import {
  type ExternalTask,
  type ExternalTaskResult,
  type SessionEvent,
  type SessionEventStream,
  type SessionEventType,
  SessionQueue,
  type SessionQueueConfigInput,
  type SessionQueueOptions,
  type ToolCall,
  type ToolContext,
  type ToolResult,
} from '@a3s-lab/lane/session'
import { seededRandom, VirtualClock } from '@a3s-lab/lane/testing'
import { expect } from 'vitest'
import { napping } from './bodies.js'

/** What the tool of these tests does, as its arguments say; whatever else stands there is only passed on. */
export type Script = {
  /** Takes this long; stops at once when it is told to. */
  readonly ms?: number
  /** Does not listen when it is told to stop. */
  readonly deaf?: boolean
  /** Throws an error with this message. */
  readonly fail?: string
  /** Throws in its first attempts, this many. */
  readonly failing?: number
  readonly exit?: number
  /** What it is called in the notes. Default its name. */
  readonly label?: string | number
  /** Gives this back instead of a tool's output. */
  readonly gives?: unknown
  /** Streams these before it ends. */
  readonly says?: readonly string[]
  readonly [more: string]: unknown
}

export type SessionSetupOptions = Omit<SessionQueueOptions, 'clock'> & {
  /** For what goes on after another session's death. */
  readonly clock?: VirtualClock | undefined
  /** Whether the tool is there. Default true. */
  readonly tools?: boolean | undefined
}

/** One event of this type, without its time. */
export type Told = Readonly<Record<string, unknown>>

export class SessionSetup implements AsyncDisposable {
  readonly clock: VirtualClock
  readonly session: SessionQueue
  /** Every event so far; those of the commands too. */
  readonly events: SessionEvent[] = []
  readonly faults: unknown[] = []
  /** `+name` or `+label` when a body begins, `-name` when it ends, in order; `!name` when it fails. */
  readonly notes: string[] = []
  /** Bodies that run at this moment, and the most there ever were, by lane. */
  readonly running: Record<string, number> = {}
  readonly most: Record<string, number> = {}
  readonly #stream: SessionEventStream
  readonly #timers = new Set<object>()
  #isDead = false

  constructor({ clock = new VirtualClock(), tools = true, ...options }: SessionSetupOptions) {
    this.clock = clock
    this.session = new SessionQueue({
      random: seededRandom(1),
      onFault: (error) => this.faults.push(error),
      ...(tools ? { execute: (name, args, context) => this.run(name, args as Script, context) } : {}),
      ...options,
      clock,
    })
    this.#stream = this.session.subscribe({ capacity: 1_000_000 })
    void this.#read()
  }

  async #read(): Promise<void> {
    for await (const event of this.#stream) this.events.push(event)
  }

  /** The tool: notes its label (or name), does what its arguments say. */
  async run(name: string, script: Script | undefined, context: ToolContext): Promise<unknown> {
    const { ms = 0, deaf = false, fail, failing = 0, exit = 0, says = [], label = name } = script ?? {}
    const { laneId, signal, attempt } = context
    this.notes.push(`+${label}`)
    this.running[laneId] = (this.running[laneId] ?? 0) + 1
    this.most[laneId] = Math.max(this.most[laneId] ?? 0, this.running[laneId])
    try {
      for (const text of says) context.output(text)
      if (ms > 0) await (deaf ? this.sleep(ms) : napping(this, ms, signal))
      if (fail !== undefined) throw new Error(fail)
      if (attempt <= failing) throw new Error(`attempt ${attempt} failed`)
      this.notes.push(`-${label}`)
      return script !== undefined && 'gives' in script ? script.gives : { output: `${label} done`, exit_code: exit }
    } catch (error) {
      this.notes.push(`!${label}`)
      throw error
    } finally {
      this.running[laneId]--
    }
  }

  /** Waits in virtual time, whatever happens. What still waits when the test ends is forgotten. */
  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = this.clock.setTimer(ms, () => {
        this.#timers.delete(timer)
        resolve()
      }) as object
      this.#timers.add(timer)
    })
  }

  /** Calls given as `[name, arguments]`, with ids `1`, `2` and so on. */
  calls(...calls: readonly (readonly [name: string, args?: unknown])[]): Promise<ToolResult[]> {
    return this.session.runToolCalls(callsOf(calls))
  }

  /** One call's result, after letting time pass when it takes some. */
  async call(name: string, args: unknown = {}, afterMs = 0): Promise<ToolResult> {
    const results = this.calls([name, args])
    await this.clock.advance(afterMs)
    return (await this.clock.expectSettled(results))[0] as ToolResult
  }

  /** What was told so far of these types, in order, without times and conveniences. */
  async told(...types: readonly SessionEventType[]): Promise<Told[]> {
    await this.clock.settle()
    return this.events.filter(({ type }) => types.includes(type)).map(plain)
  }

  /** Types of the events so far, in order. */
  async types(): Promise<string[]> {
    await this.clock.settle()
    return this.events.map(({ type }) => type)
  }

  /** The pending tasks, once everything that needs no time has happened. */
  async pending(): Promise<ExternalTask[]> {
    await this.clock.settle()
    return this.session.pendingExternalTasks()
  }

  /** The only pending task. */
  async task(): Promise<ExternalTask> {
    const tasks = await this.pending()
    expect(tasks, 'pending tasks').toHaveLength(1)
    return tasks[0] as ExternalTask
  }

  /** Answers every pending task, as a worker outside does; gives their number. */
  async work(answer: (task: ExternalTask) => ExternalTaskResult = () => ({ result: { output: 'from outside' } })) {
    const tasks = await this.pending()
    for (const task of tasks) expect(await this.session.completeExternalTask(task.task_id, answer(task))).toBe(true)
    await this.clock.settle()
    return tasks.length
  }

  /** The process of this session has died: nothing of it is looked at any more. */
  die(): void {
    this.#isDead = true
    this.#stream.close()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isDead) return
    const closed = this.session.close({ timeoutMs: 1 })
    await this.clock.advance(2)
    await this.clock.expectSettled(closed)
    for (const timer of this.#timers) this.clock.clearTimer(timer)
    await this.clock.settle()
    expect(this.clock.timers, 'timers that are set after the session has ended').toBe(0)
    expect(await this.session.pendingExternalTasks(), 'tasks that are pending after the end').toEqual([])
    expect(this.#unpaired(), 'tasks that were not told exactly once each way').toEqual([])
  }

  #unpaired(): string[] {
    const count = new Map<string, number[]>()
    for (const event of this.events) {
      if (event.type !== 'external_task_pending' && event.type !== 'external_task_completed') continue
      const counts = count.get(event.task_id) ?? [0, 0]
      const side = event.type === 'external_task_pending' ? 0 : 1
      counts[side] = (counts[side] as number) + 1
      count.set(event.task_id, counts)
    }
    return [...count].filter(([, [pending, completed]]) => pending !== 1 || completed !== 1).map(([id]) => id)
  }
}

const callsOf = (calls: readonly (readonly [name: string, args?: unknown])[]): ToolCall[] =>
  calls.map(([name, args = {}], index) => ({ id: String(index + 1), name, args }))

const CONVENIENCES = ['timestamp', 'toolName', 'toolId', 'toolOutput', 'exitCode', 'totalTokens']

function plain(event: SessionEvent): Told {
  return Object.fromEntries(Object.entries(event).filter(([name]) => !CONVENIENCES.includes(name)))
}

/** A session under test. */
export const sessionSetup = (options: SessionSetupOptions = {}): SessionSetup => new SessionSetup(options)

/** A session whose `execute` lane is done outside. */
export const externalSetup = (
  options: Omit<SessionSetupOptions, 'queueConfig'> & {
    readonly timeoutMs?: number
    readonly queueConfig?: SessionQueueConfigInput
  } = {},
): SessionSetup => {
  const { timeoutMs = 60_000, queueConfig, ...more } = options
  return new SessionSetup({
    ...more,
    queueConfig: {
      ...queueConfig,
      laneHandlers: { execute: { mode: 'external', timeoutMs } },
    },
  })
}
