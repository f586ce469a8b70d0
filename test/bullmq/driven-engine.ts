/** An engine without a queue: what a queue would be told is kept, and commands are made with one line. */

import { BullMQEngine, type BullMQEngineOptions } from '../../src/bullmq/index.js'
import type { Claim, EngineCommand, EngineLane, EngineOutcome, EngineUse } from '../../src/core/index.js'

/** How long something may take that is awaited by looking. */
const PATIENCE_MS = 25_000

export function laneOf(laneId: string, limits: Partial<EngineLane> = {}): EngineLane {
  return {
    laneId,
    priority: 0,
    maxConcurrency: Number.POSITIVE_INFINITY,
    capacity: Number.POSITIVE_INFINITY,
    rateLimits: [],
    ...limits,
  }
}

let made = 0

/** An engine in use, and what it has told. */
export class DrivenEngine {
  readonly engine: BullMQEngine
  readonly instanceId = `instance-${++made}`
  readonly outcomes: EngineOutcome[] = []
  readonly work: string[] = []
  readonly faults: unknown[] = []
  readonly cancels: { readonly id: string; readonly reason: string }[] = []
  readonly changes: { readonly laneId: string; readonly paused?: boolean; readonly lane?: EngineLane }[] = []
  readonly progress: { readonly id: string; readonly value: string }[] = []
  readonly awaited: { readonly id: string; readonly laneId: string }[] = []
  readonly connection: boolean[] = []
  onWork = (laneId: string): void => void this.work.push(laneId)
  readonly #lanes: readonly EngineLane[]
  #tokens = 0

  constructor(options: BullMQEngineOptions, lanes: readonly EngineLane[]) {
    this.engine = new BullMQEngine(options)
    this.#lanes = lanes
  }

  async open(): Promise<this> {
    const use: EngineUse = {
      lanes: this.#lanes,
      instanceId: this.instanceId,
      now: () => Date.now(),
      awaited: () => this.awaited,
      onOutcomes: (outcomes) => void this.outcomes.push(...outcomes),
      onProgress: (id, value) => void this.progress.push({ id, value }),
      onWork: (laneId) => this.onWork(laneId),
      onCancel: (id, reason) => void this.cancels.push({ id, reason }),
      onLane: (laneId, change) => void this.changes.push({ laneId, ...change }),
      onConnection: (isUp) => void this.connection.push(isUp),
      onFault: (error) => void this.faults.push(error),
    }
    await this.engine.open(use)
    return this
  }

  command(id: string, laneId: string, more: Partial<EngineCommand> = {}): EngineCommand {
    return {
      id,
      laneId,
      commandType: 'test',
      payload: JSON.stringify({ id }),
      priority: 0,
      createdAt: Date.now(),
      dueAt: undefined,
      deadlineAt: undefined,
      options: undefined,
      cost: undefined,
      hasOwnId: false,
      dedupe: undefined,
      replyTo: this.instanceId,
      ...more,
    }
  }

  async claim(laneId: string): Promise<Claim | undefined> {
    const { claim } = await this.engine.claim(laneId, this.token())
    return claim
  }

  /** Claims one that has to be there. */
  async mustClaim(laneId: string): Promise<Claim> {
    const claim = await this.claim(laneId)
    if (claim === undefined) throw new Error(`nothing to claim in ${laneId}`)
    return claim
  }

  async complete({ lease, progress }: Claim, result: string | undefined): Promise<boolean> {
    const end = { kind: 'settle', state: 'completed', result, error: undefined, progress, letter: undefined } as const
    return !(await this.engine.end(lease, end, undefined)).isLost
  }

  async fail({ lease, progress }: Claim, message: string): Promise<boolean> {
    const error = JSON.stringify({ name: 'Error', message })
    const end = { kind: 'settle', state: 'failed', result: undefined, error, progress, letter: undefined } as const
    return !(await this.engine.end(lease, end, undefined)).isLost
  }

  token(): string {
    return `${this.instanceId}:${++this.#tokens}`
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.engine.close()
  }
}

/** Looks until something is so. */
export async function until(isSo: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const end = Date.now() + PATIENCE_MS
  while (!(await isSo())) {
    if (Date.now() > end) throw new Error(`did not happen: ${what}`)
    await pause(10)
  }
}

export const pause = (ms: number): Promise<void> => new Promise((resolve) => void setTimeout(resolve, ms))
