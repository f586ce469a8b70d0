/** An engine with something wrong on purpose: what the torture has to find. */
import { setTimeout as sleep } from 'node:timers/promises'
import type {
  AddAnswer,
  CancelAnswer,
  Claim,
  ClaimAnswer,
  EndAnswer,
  Engine,
  EngineCommand,
  EngineLane,
  EngineLaneCounts,
  EngineLetter,
  EnginePage,
  EngineProgress,
  EngineQuery,
  EngineRecord,
  EngineUse,
  Lease,
  LeaseEnd,
  RenewAnswer,
} from '@a3s-lab/lane'

/**
 * `answers before it adds`: what is accepted may be lost. `forgets outcomes`: one in so many is not told. `does not know what
 * it has lost`: whoever has lost its lease ends the command all the same.
 */
const ENGINE_FAULTS = ['answers before it adds', 'forgets outcomes', 'does not know what it has lost'] as const
export type EngineFault = (typeof ENGINE_FAULTS)[number]

/** The engine itself when nothing is to be wrong. */
export const faultyEngine = (inner: Engine, fault: EngineFault | undefined): Engine =>
  fault === undefined ? inner : new FaultyEngine(inner, fault)

const LATE_MS = 150
const FORGETS_EVERY = 12

class FaultyEngine implements Engine {
  readonly #inner: Engine
  readonly #fault: EngineFault
  #settled = 0

  constructor(inner: Engine, fault: EngineFault) {
    this.#inner = inner
    this.#fault = fault
  }

  async add(commands: readonly EngineCommand[]): Promise<readonly AddAnswer[]> {
    if (this.#fault !== 'answers before it adds') return this.#inner.add(commands)
    const add = async (): Promise<void> => {
      await sleep(LATE_MS)
      await this.#inner.add(commands)
    }
    add().catch(() => undefined)
    return commands.map(() => ({ kind: 'accepted' }))
  }

  async end(lease: Lease, end: LeaseEnd, nextToken: string | undefined): Promise<EndAnswer> {
    const isForgotten =
      this.#fault === 'forgets outcomes' && end.kind === 'settle' && ++this.#settled % FORGETS_EVERY === 0
    if (isForgotten)
      return { isLost: false, next: nextToken === undefined ? undefined : await this.claim(lease.laneId, nextToken) }
    const answer = await this.#inner.end(lease, end, nextToken)
    return this.#fault === 'does not know what it has lost' ? { ...answer, isLost: false } : answer
  }

  async renew(leases: readonly Lease[]): Promise<readonly RenewAnswer[]> {
    const answers = await this.#inner.renew(leases)
    return this.#fault === 'does not know what it has lost'
      ? answers.map((answer) => ({ ...answer, isLost: false }))
      : answers
  }

  get capabilities(): Engine['capabilities'] {
    return this.#inner.capabilities
  }
  get role(): Engine['role'] {
    return this.#inner.role
  }
  get leaseMs(): number {
    // who does not know that it has lost a lease does not look at the clock either
    return this.#inner.leaseMs
  }
  open(use: EngineUse): Promise<void> {
    return this.#inner.open(use)
  }
  claim(laneId: string, token: string): Promise<ClaimAnswer> {
    return this.#inner.claim(laneId, token)
  }
  save(lease: Lease, progress: EngineProgress): Promise<boolean> {
    return this.#inner.save(lease, progress)
  }
  report(claim: Claim, value: string): void {
    this.#inner.report(claim, value)
  }
  watch(laneIds: readonly string[]): void {
    this.#inner.watch(laneIds)
  }
  cancel(id: string, laneId: string | undefined, reason: string): Promise<CancelAnswer> {
    return this.#inner.cancel(id, laneId, reason)
  }
  pause(laneId: string): Promise<void> {
    return this.#inner.pause(laneId)
  }
  resume(laneId: string): Promise<void> {
    return this.#inner.resume(laneId)
  }
  configure(lane: EngineLane): Promise<void> {
    return this.#inner.configure(lane)
  }
  hold(laneId: string, ms: number): Promise<void> {
    return this.#inner.hold(laneId, ms)
  }
  find(id: string): Promise<EngineRecord | undefined> {
    return this.#inner.find(id)
  }
  list(query: EngineQuery): Promise<EnginePage> {
    return this.#inner.list(query)
  }
  counts(): Promise<readonly EngineLaneCounts[]> {
    return this.#inner.counts()
  }
  letters(limit: number): Promise<readonly EngineLetter[]> {
    return this.#inner.letters(limit)
  }
  removeLetters(ids: readonly string[]): Promise<readonly string[]> {
    return this.#inner.removeLetters(ids)
  }
  facts(): Readonly<Record<string, string | number | boolean>> {
    return this.#inner.facts()
  }
  close(): Promise<void> {
    return this.#inner.close()
  }
}
