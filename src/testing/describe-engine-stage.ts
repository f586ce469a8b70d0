/**
 * What one case of `describeEngine` works with: engines that share lanes, each used as a queue of a process of its own would
 * use it, and time that passes as the suite's caller says.
 */
import { type Claim, type Clock, type Engine, type EngineLane, type EngineRole, systemClock } from '../core/index.js'
import { EnginePeer } from './describe-engine-peer.js'

/** Options of an engine that `describeEngine` asks for. */
export type EngineSuiteOptions = {
  readonly leaseMs: number
  readonly role: EngineRole
  readonly reconfigure: boolean
}

/** Engines that `describeEngine` tries: all of one subject share their lanes, those of two subjects share none. */
export type EngineUnderTest = {
  /** A new engine that no queue has used. */
  engine(options: EngineSuiteOptions): Engine | Promise<Engine>
  /** Removes whatever the case has left behind. The engines are closed by then. */
  close(): Promise<void>
}

/** What an engine's tests can do to it. What is left out is not tried. */
export type EngineFaults = {
  /** Cuts an engine off from what it shares, until `mend`. */
  readonly cut?: (engine: Engine) => void | Promise<void>
  readonly mend?: (engine: Engine) => void | Promise<void>
  /** Lets messages to an engine get lost from now on, while its calls are answered. */
  readonly loseMessages?: (engine: Engine) => void | Promise<void>
}

/** How time passes for the engines under test. */
export type EngineTime = {
  readonly clock: Clock
  readonly sleep: (ms: number) => Promise<void>
  readonly leaseMs: number
}

/** What a case needs beyond an engine. */
type EngineNeed = 'cut' | 'loseMessages'

/** One promise of an engine: its name for a skip, a sentence, and what tries it. */
export type EngineCase = readonly [
  id: string,
  promise: string,
  attempt: (stage: EngineStage) => Promise<void>,
  needs?: EngineNeed,
]

/** What is told at once is there within this. */
export const SOON_MS = 1500
/** What comes without a message, at a look: every 5 s at what was asked for 5 s ago. */
export const LOOK_MS = 12_000
/** A lost lease is noticed so long after it has run out. */
export const RECOVERY_MS = 2000
/** What may not happen has not happened after this. */
export const QUIET_MS = 100
const STEP_MS = 10
/** So long that it does not run out on a slow machine, where a case is not about that. */
const LONG_LEASE_MS = 10_000

export class EngineStage {
  readonly faults: EngineFaults
  readonly clock: Clock
  /** A lease that runs out soon. */
  readonly leaseMs: number
  readonly peers: EnginePeer[] = []
  /** The connection is cut in this case: an engine may say that something is wrong. */
  mayFault = false
  readonly #subject: EngineUnderTest
  readonly #sleep: (ms: number) => Promise<void>
  #ids = 0

  constructor(subject: EngineUnderTest, faults: EngineFaults, time: EngineTime) {
    this.#subject = subject
    this.faults = faults
    this.clock = time.clock
    this.#sleep = time.sleep
    this.leaseMs = time.leaseMs
  }

  /** An engine in the hands of a process: open, with the lanes given, or the two that most cases have. */
  async peer(lanes: readonly EngineLane[] = LANES, options: Partial<EngineSuiteOptions> = {}): Promise<EnginePeer> {
    const peer = await this.unopened(lanes, options)
    await peer.open()
    return peer
  }

  async unopened(lanes: readonly EngineLane[] = LANES, options: Partial<EngineSuiteOptions> = {}): Promise<EnginePeer> {
    const { role = 'both', reconfigure = false, leaseMs = LONG_LEASE_MS } = options
    const engine = await this.#subject.engine({ role, reconfigure, leaseMs })
    const peer = new EnginePeer(this, engine, lanes, `process-${this.peers.length + 1}`)
    this.peers.push(peer)
    return peer
  }

  /** A submitter and a worker. */
  async pair(
    lanes?: readonly EngineLane[],
    options?: Partial<EngineSuiteOptions>,
  ): Promise<[submitter: EnginePeer, worker: EnginePeer]> {
    return [await this.peer(lanes, options), await this.peer(lanes, options)]
  }

  /** A submitter and a worker whose leases run out soon. */
  brief(lanes?: readonly EngineLane[]): Promise<[submitter: EnginePeer, worker: EnginePeer]> {
    return this.pair(lanes, { leaseMs: this.leaseMs })
  }

  newId(): string {
    return `command-${++this.#ids}`
  }

  now(): number {
    return this.clock.wallNow()
  }

  async sleep(ms: number): Promise<void> {
    const end = this.clock.now() + ms
    for (let left = ms; left > 0; left = end - this.clock.now()) await this.#sleep(left)
  }

  /** Waits until something is so; fails when it is not in time. */
  async until(check: () => boolean | Promise<boolean>, what: string, withinMs = SOON_MS): Promise<void> {
    const end = this.clock.now() + withinMs
    while (!(await check())) {
      if (this.clock.now() > end) throw new Error(`not within ${withinMs} ms: ${what}`)
      await this.#sleep(STEP_MS)
    }
  }

  /** Claims from a lane as soon as it gives something; fails when it does not in time. */
  async claimWithin(ms: number, peer: EnginePeer, laneId = 'lane'): Promise<Claim> {
    let claim: Claim | undefined
    await this.until(
      async () => {
        claim = await peer.tryClaim(laneId)
        return claim !== undefined
      },
      `a command of ${laneId} is claimed`,
      ms,
    )
    return claim as Claim
  }

  /** Claims what a lost lease has set free. */
  recovered(peer: EnginePeer, laneId = 'lane'): Promise<Claim> {
    return this.claimWithin(this.leaseMs + RECOVERY_MS, peer, laneId)
  }

  async close(): Promise<void> {
    for (const { engine } of this.peers) await engine.close()
    await this.#subject.close()
  }
}

export function lane(laneId: string, settings: Partial<EngineLane> = {}): EngineLane {
  return {
    laneId,
    priority: 0,
    maxConcurrency: Number.POSITIVE_INFINITY,
    capacity: Number.POSITIVE_INFINITY,
    rateLimits: [],
    ...settings,
  }
}

const LANES: readonly EngineLane[] = [lane('lane'), lane('other', { priority: 1 })]

/** The machine's time. */
export const realTime = {
  clock: systemClock,
  sleep: (ms: number): Promise<void> => new Promise((resolve) => void systemClock.setTimer(ms, resolve)),
}
