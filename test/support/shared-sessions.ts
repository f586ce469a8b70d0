/**
 * Sessions over one broker, in virtual time, each as a process of its own would have one. Disposed by `await using`, with a
 * guard: no fault is left that the test did not look at, and no timer is set.
 */
import type { EngineRole } from '@a3s-lab/lane'
import type { SessionQueueConfigInput } from '@a3s-lab/lane/session'
import { MemoryBroker, type MemoryEngine, seededRandom, VirtualClock } from '@a3s-lab/lane/testing'
import { expect } from 'vitest'
import { type SessionSetup, type SessionSetupOptions, sessionSetup } from './session.js'

export class Shared implements AsyncDisposable {
  readonly clock = new VirtualClock()
  readonly broker: MemoryBroker
  readonly sessions: SessionSetup[] = []

  constructor(latencyMs = 0) {
    this.broker = new MemoryBroker({ clock: this.clock, latencyMs })
  }

  async join(role: EngineRole, options: Omit<SessionSetupOptions, 'engine'> = {}): Promise<SessionSetup> {
    return this.joinWith(this.broker.engine({ role }), options)
  }

  /** The same with an engine that may be in any state. */
  async joinWith(engine: MemoryEngine, options: Omit<SessionSetupOptions, 'engine'> = {}): Promise<SessionSetup> {
    const { role } = engine
    // ids are of one process each
    const random = seededRandom(this.sessions.length + 1)
    const joined = sessionSetup({ clock: this.clock, random, engine, tools: role !== 'coordinator', ...options })
    this.sessions.push(joined)
    await joined.session.start().catch(() => undefined)
    return joined
  }

  /** A session that only submits, and a process that only works. */
  async pair(queueConfig?: SessionQueueConfigInput): Promise<[SessionSetup, SessionSetup]> {
    return [await this.join('coordinator', { queueConfig }), await this.join('worker', { queueConfig })]
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { session } of this.sessions) {
      const closed = session.close({ timeoutMs: 1 })
      await this.clock.advance(2000)
      await closed
    }
    expect(
      this.sessions.flatMap(({ faults }) => faults),
      'faults that were told',
    ).toEqual([])
    for (const one of this.sessions) one.die()
    expect(this.clock.timers, 'timers that are set after the end').toBe(0)
  }
}
