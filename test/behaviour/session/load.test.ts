/** Sessions under load: modes that change all the time, and a thousand sessions at once. */
import { RateLimitGroup, type Timer } from '@a3s-lab/lane'
import { type HandlerMode, SessionQueue, type ToolResult } from '@a3s-lab/lane/session'
import { seededRandom, VirtualClock } from '@a3s-lab/lane/testing'
import { expect, test } from 'vitest'
import { type SessionSetup, sessionSetup } from '../../support/session.js'

/** Of real time, for a machine that is busy. */
const LIMIT_MS = 60_000

const MODES: readonly HandlerMode[] = ['internal', 'external', 'hybrid']

/** Bodies that run here, completions from outside, and whether each completion was the first. */
class Outcomes {
  readonly completions = new Map<string, number>()
  readonly answers: boolean[] = []
  outside = 0

  readonly done = (id: string): void => {
    this.completions.set(id, (this.completions.get(id) ?? 0) + 1)
  }

  /** Completes everything that is pending, and tries to do so again. */
  async work({ session }: SessionSetup): Promise<void> {
    for (const { task_id, payload } of await session.pendingExternalTasks()) {
      const { id } = payload as { id: string }
      this.outside++
      this.done(id)
      const first = await session.completeExternalTask(task_id, { result: { output: id } })
      const second = await session.completeExternalTask(task_id, { result: { output: 'twice' } })
      this.answers.push(first, !second)
    }
  }
}

test(
  'a lane changes its mode 1,000 times under load: each call is completed exactly once',
  async () => {
    const outcomes = new Outcomes()
    await using t = sessionSetup({
      queueConfig: { executeMaxConcurrency: 5, enableDlq: true },
      execute: async (_name, { id, ms }) => {
        await t.sleep(ms as number)
        outcomes.done(id as string)
        return { output: id }
      },
    })
    const random = seededRandom(7)
    const results: Promise<ToolResult[]>[] = []
    for (let toggle = 0; toggle < 1000; toggle++) {
      const mode = MODES[Math.floor(random.next() * 3)] as HandlerMode
      await t.session.setLaneHandler('execute', { mode, timeoutMs: 1_000_000 })
      for (const id of [`${toggle} a`, `${toggle} b`]) {
        results.push(t.session.runToolCalls([{ id, name: 'bash', args: { id, ms: Math.floor(random.next() * 5) } }]))
      }
      if (toggle % 4 === 0) await t.clock.advance(2)
      await outcomes.work(t)
    }
    const { lanes } = await t.session.queueStats()
    expect(lanes.execute?.pending, 'load while the modes change').toBeGreaterThan(100)
    for (let round = 0; outcomes.completions.size < 2000 && round < 5000; round++) {
      await t.clock.advance(1)
      await outcomes.work(t)
    }
    const outputs = (await t.clock.expectSettled(Promise.all(results))).flat()
    expect(outputs.every(({ id, output }) => id === output)).toBe(true)
    const counts = [...outcomes.completions.values()]
    expect([counts.length, counts.every((count) => count === 1)]).toEqual([2000, true])
    expect(outcomes.outside).toBeGreaterThan(400)
    expect(outcomes.answers.every(Boolean)).toBe(true)
    expect(await t.session.queueStats()).toMatchObject({
      totalPending: 0,
      totalActive: 0,
      externalPending: 0,
      lanes: { execute: { completed: 2000, failed: 0 } },
    })
  },
  LIMIT_MS,
)

/** Sessions that share a limit per second of one call for each. */
function sharing(count: number, clock: VirtualClock): SessionQueue[] {
  const generate = { limitType: 'per_second', maxOperations: count, group: new RateLimitGroup() } as const
  return Array.from(
    { length: count },
    (_, index) =>
      new SessionQueue({
        sessionId: `session-${index}`,
        clock,
        random: seededRandom(index + 1),
        queueConfig: { laneRateLimits: { generate } },
      }),
  )
}

test(
  '1,000 sessions at once on one limit: the first round gives every session its share',
  async () => {
    const clock = new VirtualClock()
    const sessions = sharing(1000, clock)
    const counts = new Array<number>(1000).fill(0)
    const calls = sessions.flatMap((session, index) =>
      [1, 2].map(() =>
        session
          .callModel('prompt', () => {
            counts[index] = (counts[index] as number) + 1
          })
          .catch((error: unknown) => (error as { code: string }).code),
      ),
    )
    await clock.settle()
    expect(counts.every((count) => count === 1)).toBe(true)
    const cancelled = await clock.expectSettled(
      Promise.all(sessions.map((session) => session.cancel({ scope: 'session' }))),
    )
    expect(cancelled.every((proof) => proof.cancelled === 1 && proof.stoppedAfterMs === 0)).toBe(true)
    const outcomes = await clock.expectSettled(Promise.all(calls))
    expect(outcomes.filter((outcome) => outcome === 'COMMAND_CANCELLED')).toHaveLength(1000)
    await Promise.all(sessions.map((session) => session.close()))
    expect(clock.timers).toBe(0)
  },
  LIMIT_MS,
)

/** A virtual clock that counts the timers that are set. */
class CountingClock extends VirtualClock {
  set = 0

  override setTimer(delayMs: number, fire: () => void, isBackground?: boolean): Timer {
    this.set++
    return super.setTimer(delayMs, fire, isBackground)
  }
}

test(
  '1,000 sessions, round after round: none gets ahead of another on a shared limit, and a grant sets a few timers',
  async () => {
    const clock = new CountingClock()
    const sessions = sharing(1000, clock)
    const counts = new Array<number>(1000).fill(0)
    const calls = sessions.flatMap((session, index) =>
      [1, 2, 3, 4].map(() =>
        session.callModel('prompt', () => {
          counts[index] = (counts[index] as number) + 1
        }),
      ),
    )
    await clock.settle()
    const before = clock.set
    let furthest = 0
    for (let step = 0; step < 40; step++) {
      await clock.advance(75)
      furthest = Math.max(furthest, Math.max(...counts) - Math.min(...counts))
    }
    await clock.expectSettled(Promise.all(calls))
    expect([furthest, counts.every((count) => count === 4)]).toEqual([1, true])
    expect((clock.set - before) / 3000).toBeLessThan(5)
    await Promise.all(sessions.map((session) => session.close()))
    expect(clock.timers).toBe(0)
  },
  LIMIT_MS,
)

test('a session with much work does not starve one with little on a shared limit', async () => {
  const clock = new VirtualClock()
  const group = new RateLimitGroup()
  const queueConfig = { laneRateLimits: { generate: { limitType: 'per_second', maxOperations: 10, group } } } as const
  const [greedy, modest] = ['greedy', 'modest'].map(
    (sessionId) => new SessionQueue({ sessionId, clock, queueConfig }),
  ) as [SessionQueue, SessionQueue]
  const order: string[] = []
  const call = (session: SessionQueue): Promise<unknown> => session.callModel('p', () => order.push(session.sessionId))
  const all = Array.from({ length: 100 }, () => call(greedy))
  await clock.advance(1000)
  const begun = order.length
  all.push(...Array.from({ length: 5 }, () => call(modest)))
  await clock.advance(2000)
  const after = order.slice(begun, begun + 15)
  expect(after.filter((id) => id === 'modest').length).toBe(5)
  await clock.advance(20_000)
  await clock.expectSettled(Promise.all(all))
  await Promise.all([greedy.close(), modest.close()])
})

test(
  '1,000 calls of one turn keep their order, their limits and their results',
  async () => {
    await using t = sessionSetup()
    const calls = Array.from({ length: 1000 }, (_, n) => ({
      id: `${n}`,
      name: n % 3 === 0 ? 'bash' : 'read',
      args: { label: n, ms: n % 5 },
    }))
    const results = t.session.runToolCalls(calls)
    await t.clock.advance(5000)
    expect((await t.clock.expectSettled(results)).map(({ output }) => output)).toEqual(calls.map((_, n) => `${n} done`))
    expect([t.most['query'], t.most['execute']]).toEqual([4, 1])
  },
  LIMIT_MS,
)

test(
  'many turns are cancelled and begun again, and nothing is left of any',
  async () => {
    await using t = sessionSetup({ queueConfig: { executeMaxConcurrency: 10 } })
    const outcomes: Promise<unknown>[] = []
    for (let round = 0; round < 100; round++) {
      const turn = t.session.runTurn(
        `message ${round}`,
        ({ signal }) =>
          Promise.all(
            Array.from({ length: 10 }, (_, n) =>
              t.session.runToolCalls([{ id: `${n}`, name: 'bash', args: { ms: 1000 } }], { signal }),
            ),
          ),
        { input: 'interrupt' },
      )
      outcomes.push(turn.catch((error: unknown) => (error as { code: string }).code))
      await t.clock.advance(1)
      expect(t.running['execute']).toBe(10)
    }
    await t.clock.advance(1000)
    const codes = await t.clock.expectSettled(Promise.all(outcomes))
    expect(codes.filter((code) => code === 'COMMAND_CANCELLED')).toHaveLength(99)
    expect([t.running['execute'], (await t.session.queueStats()).totalActive, t.clock.timers]).toEqual([0, 0, 0])
  },
  LIMIT_MS,
)
