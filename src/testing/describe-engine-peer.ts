/** One process of a case of `describeEngine`: an engine, what was submitted with it, and everything that it has told. */
import type {
  AddAnswer,
  Claim,
  ClaimAnswer,
  EndAnswer,
  Engine,
  EngineCommand,
  EngineLane,
  EngineOutcome,
  EngineProgress,
  EngineUse,
  LeaseEnd,
} from '../core/index.js'
import type { EngineStage } from './describe-engine-stage.js'
import { present, same } from './describe-storage-stage.js'

/** What is said of the outcome of a command; the rest is as most have it. */
export type Ending = Partial<Extract<LeaseEnd, { readonly kind: 'settle' }>>

export class EnginePeer {
  readonly engine: Engine
  readonly instanceId: string
  readonly lanes: readonly EngineLane[]
  readonly outcomes: EngineOutcome[] = []
  readonly progress: (readonly [id: string, value: string])[] = []
  readonly cancels: (readonly [id: string, reason: string])[] = []
  readonly work: string[] = []
  readonly changes: (readonly [laneId: string, change: { readonly paused?: boolean; readonly lane?: EngineLane }])[] =
    []
  readonly connection: boolean[] = []
  readonly faults: unknown[] = []
  /** Told of each lane that may have work. */
  onWork: ((laneId: string) => void) | undefined
  readonly #stage: EngineStage
  readonly #awaited = new Map<string, { readonly id: string; readonly laneId: string }>()
  #tokens = 0

  constructor(stage: EngineStage, engine: Engine, lanes: readonly EngineLane[], instanceId: string) {
    this.#stage = stage
    this.engine = engine
    this.lanes = lanes
    this.instanceId = instanceId
  }

  open(): Promise<void> {
    return this.engine.open(this.use())
  }

  use(): EngineUse {
    return {
      lanes: this.lanes,
      instanceId: this.instanceId,
      now: () => this.#stage.now(),
      awaited: () => [...this.#awaited.values()],
      onOutcomes: (outcomes) => {
        for (const outcome of outcomes) this.#awaited.delete(outcome.id)
        this.outcomes.push(...outcomes)
      },
      onProgress: (id, value) => void this.progress.push([id, value]),
      onWork: (laneId) => {
        this.work.push(laneId)
        this.onWork?.(laneId)
      },
      onCancel: (id, reason) => void this.cancels.push([id, reason]),
      onLane: (laneId, change) => void this.changes.push([laneId, change]),
      onConnection: (isUp) => void this.connection.push(isUp),
      onFault: (error) => void this.faults.push(error),
    }
  }

  /** A command of this process, with what is not said as most have it. */
  command(fields: Partial<EngineCommand> = {}): EngineCommand {
    return {
      id: this.#stage.newId(),
      laneId: 'lane',
      commandType: 'type',
      payload: '{"a":1}',
      priority: 1000,
      createdAt: Math.floor(this.#stage.now()),
      dueAt: undefined,
      deadlineAt: undefined,
      options: undefined,
      cost: undefined,
      hasOwnId: false,
      dedupe: undefined,
      replyTo: this.instanceId,
      ...fields,
    }
  }

  /** Submits, and waits for the outcomes of what was accepted or is a duplicate. */
  async add(...commands: readonly EngineCommand[]): Promise<readonly AddAnswer[]> {
    const answers = await this.engine.add(commands)
    same(answers.length, commands.length, 'the number of answers')
    for (const [index, answer] of answers.entries()) {
      const { id, laneId } = commands[index] as EngineCommand
      if (answer.kind === 'accepted') this.#awaited.set(id, { id, laneId })
      if (answer.kind === 'duplicate') this.#awaited.set(answer.id, { id: answer.id, laneId: answer.laneId })
    }
    return answers
  }

  /** Submits one that is accepted, and gives its id. */
  async submit(fields: Partial<EngineCommand> = {}): Promise<string> {
    const command = this.command(fields)
    const [answer] = await this.add(command)
    if (answer?.kind === 'refused') throw answer.error
    same(answer?.kind, 'accepted', 'the answer to a submit')
    return command.id
  }

  now(): number {
    return this.#stage.now()
  }

  newToken(): string {
    return `${this.instanceId}-token-${++this.#tokens}`
  }

  ask(laneId = 'lane'): Promise<ClaimAnswer> {
    return this.engine.claim(laneId, this.newToken())
  }

  async tryClaim(laneId = 'lane'): Promise<Claim | undefined> {
    const { claim } = await this.ask(laneId)
    return claim
  }

  /** Claims what is there to be claimed. */
  async claim(laneId = 'lane'): Promise<Claim> {
    const answer = await this.ask(laneId)
    const why = answer.claim === undefined ? answer.why : ''
    return present(answer.claim, `a command of ${laneId} to be claimed (${why})`)
  }

  /** Fails unless the lane gives nothing now, for this reason. */
  async finds(why: 'empty' | 'full' | 'paused' | 'rate_limited', laneId = 'lane'): Promise<number | undefined> {
    const answer = await this.ask(laneId)
    same(
      answer.claim === undefined ? answer.why : `the command ${answer.claim.command.id}`,
      why,
      `what ${laneId} gives`,
    )
    return answer.claim === undefined ? answer.retryAt : undefined
  }

  /** Settles what was claimed; fails when its lease is lost. */
  async settle(claim: Claim, ending: Ending = {}, nextToken?: string): Promise<EndAnswer> {
    const answer = await this.engine.end(claim.lease, settlement(claim, ending), nextToken)
    same(answer.isLost, false, `the lease on ${claim.lease.id} is lost`)
    return answer
  }

  async release(claim: Claim, progress: EngineProgress = claim.progress): Promise<void> {
    const { isLost } = await this.engine.end(claim.lease, { kind: 'release', progress }, undefined)
    same(isLost, false, `the lease on ${claim.lease.id} is lost when it is released`)
  }

  async delay(claim: Claim, delayMs: number, progress: EngineProgress = claim.progress): Promise<void> {
    const { isLost } = await this.engine.end(claim.lease, { kind: 'delay', delayMs, progress, cause: '{}' }, undefined)
    same(isLost, false, `the lease on ${claim.lease.id} is lost when it is delayed`)
  }

  /** Says what a command that was claimed has cost in all. */
  async charge({ lease, command }: Claim, after: string, number = 1): Promise<void> {
    await this.engine.charge?.(lease, { number, before: command.cost, after })
  }

  /** Ids of all that the lane gives, one after the other; each is settled. */
  async runAll(laneId = 'lane'): Promise<string[]> {
    const ids: string[] = []
    for (let claim = await this.tryClaim(laneId); claim !== undefined; claim = await this.tryClaim(laneId)) {
      ids.push(claim.command.id)
      await this.settle(claim)
    }
    return ids
  }

  /** What became of a command that was submitted here. */
  async outcomeOf(id: string, withinMs?: number): Promise<EngineOutcome> {
    const find = (): EngineOutcome | undefined => this.outcomes.find((outcome) => outcome.id === id)
    await this.#stage.until(() => find() !== undefined, `${this.instanceId} is told the outcome of ${id}`, withinMs)
    return find() as EngineOutcome
  }
}

export function settlement(claim: Claim, ending: Ending = {}): LeaseEnd {
  return {
    kind: 'settle',
    state: 'completed',
    result: '"done"',
    error: undefined,
    progress: { ...claim.progress, attempt: claim.progress.attempt + 1 },
    letter: undefined,
    ...ending,
  }
}

export const progressOf = (attempt: number, checkpoint?: string, details?: string): EngineProgress => ({
  attempt,
  checkpoint,
  details,
})
