/**
 * Planning: the model's plan becomes steps, and steps whose needs are met run in waves, each through the same loop and the
 * same lanes. The answer is a last model call that has read what the steps came to.
 */
import { errorText } from '../core/index.js'
import type { PlanTask, SessionQueue } from '../session/index.js'
import { type AgentMessage, userMessage } from './messages.js'
import type { ModelStep } from './model.js'
import { addedUsage, NO_USAGE, type TurnInput, type TurnLoop, type TurnOutcome, type TurnReport } from './turn-loop.js'
import type { TurnModel } from './turn-model.js'

export type PlanningOptions = {
  readonly queue: SessionQueue
  readonly model: TurnModel
  readonly loop: TurnLoop
  readonly system: string
}

type Step = { -readonly [K in keyof PlanTask]: PlanTask[K] }

const PLAN_PROMPT = `Plan the work before doing it. Answer with JSON only, no other text:
{"steps":[{"id":"1","description":"what to do, in one sentence","depends_on":[]}]}
Use as few steps as the work needs, at most 20. Steps that do not need each other's results should not depend on each
other: they run at the same time. Every id in depends_on has to be the id of another step.

The work: `

const MOST_STEPS = 20

export class PlannedTurn {
  readonly #options: PlanningOptions
  #steps: Step[] = []
  readonly #texts = new Map<string, string>()
  #usage = NO_USAGE
  #toolCalls = 0
  /** Model calls of the whole turn. */
  #turns = 0

  constructor(options: PlanningOptions) {
    this.#options = options
  }

  async run(prompt: string, input: TurnInput): Promise<TurnOutcome> {
    const { queue } = this.#options
    queue.emit('planning_start', { prompt })
    this.#steps = await this.#plan(prompt, input)
    queue.emit('planning_end', { plan: this.#snapshot(), estimated_steps: this.#steps.length })
    this.#updated()
    for (;;) {
      input.signal.throwIfAborted()
      this.#skipHopeless()
      const wave = this.#nextWave()
      if (wave.length === 0) break
      await Promise.all(wave.map((step) => this.#perform(step, prompt, input)))
    }
    return this.#answer(prompt, input)
  }

  async #plan(prompt: string, input: TurnInput): Promise<Step[]> {
    const { text } = await this.#ask(PLAN_PROMPT + prompt, input, this.#numbered(input.report, 'silent'))
    return stepsIn(text) ?? [{ id: '1', description: prompt, depends_on: [], status: 'pending' }]
  }

  /** One model call without tools, in place of the turn's message. */
  async #ask(question: string, { messages, signal, parent }: TurnInput, report: TurnReport): Promise<ModelStep> {
    const { model, system } = this.#options
    const asked = [...messages.slice(0, -1), userMessage(question)]
    const onText = (text: string): void => report.text(text)
    const onReset = (): void => report.reset(1)
    report.turnStart(1)
    const step = await model.step({ system, messages: asked, tools: [], signal, parent, onText, onReset })
    report.turnEnd(1, step.usage)
    this.#usage = addedUsage(this.#usage, step.usage)
    return step
  }

  /** Numbers the model calls of everything that runs at the same time in one line. Only the answer's text is told. */
  #numbered(report: TurnReport, text: 'silent' | 'told'): TurnReport {
    let turn = 0
    return {
      turnStart: () => {
        turn = ++this.#turns
        report.turnStart(turn)
      },
      turnEnd: (_, usage) => report.turnEnd(turn, usage),
      text: (part) => (text === 'told' ? report.text(part) : undefined),
      reset: () => (text === 'told' ? report.reset(turn) : undefined),
    }
  }

  /** All that are ready; of steps that wait for each other, the first. */
  #nextWave(): Step[] {
    const pending = this.#steps.filter(({ status }) => status === 'pending')
    const ready = pending.filter((step) => this.#isReady(step))
    return ready.length > 0 ? ready : pending.slice(0, 1)
  }

  #isReady({ depends_on: needs }: Step): boolean {
    return needs.every((id) => this.#steps.find((step) => step.id === id)?.status === 'completed')
  }

  /** What needs a step that has failed is not done. */
  #skipHopeless(): void {
    let found = true
    while (found) {
      const failed = new Set(
        this.#steps.filter(({ status }) => status === 'failed' || status === 'skipped').map(({ id }) => id),
      )
      const hopeless = this.#steps.filter(
        (step) => step.status === 'pending' && step.depends_on.some((id) => failed.has(id)),
      )
      for (const step of hopeless) this.#end(step, 'skipped')
      found = hopeless.length > 0
    }
  }

  async #perform(step: Step, prompt: string, input: TurnInput): Promise<void> {
    const { queue, loop } = this.#options
    const { id, description } = step
    step.status = 'in_progress'
    queue.emit('step_start', { step_id: id, description, ...this.#place(step) })
    this.#updated()
    const messages: AgentMessage[] = [...input.messages.slice(0, -1), userMessage(this.#task(step, prompt))]
    try {
      const { text, toolCalls, usage } = await loop.run({
        messages,
        signal: input.signal,
        report: this.#numbered(input.report, 'silent'),
        parent: input.parent,
      })
      this.#texts.set(id, text)
      this.#usage = addedUsage(this.#usage, usage)
      this.#toolCalls += toolCalls
      this.#end(step, 'completed')
    } catch (error) {
      this.#texts.set(id, `failed: ${errorText(error)}`)
      this.#end(step, 'failed')
    }
  }

  #task({ description, depends_on: needs }: Step, prompt: string): string {
    const known = needs.map((id) => `Result of step ${id}:\n${this.#texts.get(id) ?? ''}`)
    return [
      `The whole work: ${prompt}`,
      ...known,
      `Do only this step of it, and say what came of it: ${description}`,
    ].join('\n\n')
  }

  async #answer(prompt: string, input: TurnInput): Promise<TurnOutcome> {
    const done = this.#steps.map(
      ({ id, description, status }) => `Step ${id} (${status}): ${description}\n${this.#texts.get(id) ?? ''}`,
    )
    const question = [prompt, ...done, 'Answer now, from what the steps came to.'].join('\n\n')
    const { text } = await this.#ask(question, input, this.#numbered(input.report, 'told'))
    input.messages.push({ role: 'assistant', content: text })
    return { text, toolCalls: this.#toolCalls, usage: this.#usage }
  }

  #end(step: Step, status: 'completed' | 'failed' | 'skipped'): void {
    step.status = status
    this.#options.queue.emit('step_end', { step_id: step.id, status, ...this.#place(step) })
    this.#updated()
  }

  #place(step: Step): { step_number: number; total_steps: number } {
    return { step_number: this.#steps.indexOf(step) + 1, total_steps: this.#steps.length }
  }

  #snapshot(): PlanTask[] {
    return this.#steps.map((step) => ({ ...step }))
  }

  #updated(): void {
    const { queue } = this.#options
    queue.emit('task_updated', { session_id: queue.sessionId, tasks: this.#snapshot() })
  }
}

/** The steps of a plan as a model writes it; undefined when it is none. What it says of other steps than its own is left out. */
function stepsIn(text: string): Step[] | undefined {
  const [json] = /\{.*\}/s.exec(text) ?? []
  if (json === undefined) return undefined
  try {
    const { steps } = JSON.parse(json) as { steps?: unknown }
    if (!Array.isArray(steps) || steps.length === 0) return undefined
    const given = steps
      .slice(0, MOST_STEPS)
      .map((step: unknown) => new Object(step) as Readonly<Record<string, unknown>>)
    const ids = idsOf(given)
    return given.map(({ description, depends_on: needs = [] }, index) => {
      const id = ids[index] as string
      const needed = Array.isArray(needs) ? needs.map(String).filter((one) => one !== id && ids.includes(one)) : []
      return {
        id,
        description: typeof description === 'string' ? description : id,
        depends_on: [...new Set(needed)],
        status: 'pending',
      }
    })
  } catch {
    return undefined
  }
}

/** An id for each step: the model's, or its number; one that is taken is made different. */
function idsOf(steps: readonly Readonly<Record<string, unknown>>[]): string[] {
  const taken = new Set<string>()
  return steps.map(({ id: given }, index) => {
    const own = typeof given === 'string' || typeof given === 'number' ? String(given) : String(index + 1)
    const id = taken.has(own) ? `${own}.${index + 1}` : own
    taken.add(id)
    return id
  })
}
