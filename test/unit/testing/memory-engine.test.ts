/** What `MemoryEngine` is beyond the suite for engines: its own time, its faults on demand, what it keeps. */
import type { Claim, Engine, EngineCommand, EngineLane, EngineOutcome, EngineUse } from '@a3s-lab/lane'
import { MemoryBroker, type MemoryEngine, VirtualClock } from '@a3s-lab/lane/testing'
import { expect, test } from 'vitest'

const NO_PROGRESS = { attempt: 0, checkpoint: undefined, details: undefined }

const lane = (laneId: string, settings: Partial<EngineLane> = {}): EngineLane => ({
  laneId,
  priority: 0,
  maxConcurrency: Number.POSITIVE_INFINITY,
  capacity: Number.POSITIVE_INFINITY,
  rateLimits: [],
  ...settings,
})

/** An engine with what it has told. */
class Process {
  readonly engine: MemoryEngine
  readonly told: string[] = []
  readonly outcomes: EngineOutcome[] = []
  awaited: { id: string; laneId: string }[] = []
  readonly #clock: VirtualClock

  constructor(engine: MemoryEngine, clock: VirtualClock) {
    this.engine = engine
    this.#clock = clock
  }

  open(instanceId = 'process', lanes = [lane('lane')]): Promise<void> {
    const use: EngineUse = {
      lanes,
      instanceId,
      now: () => this.#clock.wallNow(),
      awaited: () => this.awaited,
      onOutcomes: (outcomes) => void this.outcomes.push(...outcomes),
      onProgress: (id, value) => void this.told.push(`${id} reports ${value}`),
      onWork: (laneId) => void this.told.push(`work in ${laneId}`),
      onCancel: (id, reason) => void this.told.push(`cancel ${id}: ${reason}`),
      onLane: (laneId, { paused }) => void this.told.push(`${laneId} ${paused === true ? 'paused' : 'changed'}`),
      onConnection: (isUp) => void this.told.push(isUp ? 'up' : 'down'),
      onFault: (error) => void this.told.push(String(error)),
    }
    return this.engine.open(use)
  }
}

const command = (id: string, fields: Partial<EngineCommand> = {}): EngineCommand => ({
  id,
  laneId: 'lane',
  commandType: 'type',
  payload: '1',
  priority: 0,
  createdAt: 0,
  dueAt: undefined,
  deadlineAt: undefined,
  options: undefined,
  cost: undefined,
  hasOwnId: false,
  dedupe: undefined,
  replyTo: 'process',
  ...fields,
})

async function claimed(engine: Engine, laneId = 'lane'): Promise<Claim> {
  const { claim } = await engine.claim(laneId, `token ${laneId}`)
  return claim as Claim
}

async function settle(engine: Engine, { lease }: Claim): Promise<void> {
  const settled = { kind: 'settle', state: 'completed', result: '1', error: undefined, letter: undefined } as const
  await engine.end(lease, { ...settled, progress: NO_PROGRESS }, undefined)
}

async function one(options: ConstructorParameters<typeof MemoryBroker>[0] = {}): Promise<{
  clock: VirtualClock
  broker: MemoryBroker
  first: Process
}> {
  const clock = new VirtualClock()
  const broker = new MemoryBroker({ clock, ...options })
  const first = new Process(broker.engine(), clock)
  if (options.latencyMs === undefined) await first.open()
  return { clock, broker, first }
}

test('calls and messages are there without any time', async () => {
  const { clock, first } = await one()
  first.engine.watch(['lane'])
  await clock.expectSettled(first.engine.add([command('a')]))
  const claim = await clock.expectSettled(claimed(first.engine))
  await clock.expectSettled(settle(first.engine, claim))
  expect(first.told).toEqual(['work in lane'])
  expect(first.outcomes.map(({ id }) => id)).toEqual(['a'])
})

test('calls and messages take the latency of their broker', async () => {
  const { clock, first } = await one({ latencyMs: 20 })
  const opened = first.open()
  await clock.advance(20)
  await opened
  first.engine.watch(['lane'])
  const added = first.engine.add([command('a')])
  await clock.advance(19)
  expect(first.engine.facts()).toEqual({ isUp: true, watchedLanes: 1 })
  await clock.advance(1)
  expect(await added).toEqual([{ kind: 'accepted' }])
  expect(first.told).toEqual([])
  await clock.advance(20)
  expect(first.told).toEqual(['work in lane'])
})

test('no timer keeps a process alive whose shared lanes are idle', async () => {
  const { clock, first } = await one()
  expect(clock.timers).toBe(0)
  await first.engine.add([command('a')])
  const claim = await claimed(first.engine)
  expect(clock.timers).toBe(1)
  await first.engine.end(claim.lease, { kind: 'delay', delayMs: 60_000, progress: NO_PROGRESS, cause: '{}' }, undefined)
  expect(clock.timers).toBe(1)
  expect(await first.engine.cancel('a', undefined, '')).toBe('cancelled')
  expect(clock.timers).toBe(0)
})

test('what is delayed or held keeps no process alive whose engines are closed, and goes on with the next', async () => {
  const { clock, broker, first } = await one()
  await first.engine.add([command('a', { dueAt: clock.wallNow() + 60_000 }), command('b')])
  await claimed(first.engine)
  await first.engine.close()
  expect(clock.timers).toBe(0)
  await clock.advance(70_000)
  const second = new Process(broker.engine(), clock)
  await second.open()
  const states = await Promise.all(['a', 'b'].map(async (id) => (await second.engine.find(id))?.state))
  expect(states).toEqual(['pending', 'pending'])
})

test('a step of the wall clock moves neither leases nor delays', async () => {
  const { clock, first } = await one()
  await first.engine.add([command('a'), command('b', { dueAt: clock.wallNow() + 5000 })])
  const { lease } = await claimed(first.engine)
  clock.stepWall(3_600_000)
  await clock.advance(4999)
  expect(await first.engine.renew([lease])).toEqual([{ isLost: false, cancelled: undefined }])
  expect((await first.engine.find('b'))?.state).toBe('delayed')
  clock.stepWall(-7_200_000)
  await clock.advance(1)
  expect((await first.engine.find('b'))?.state).toBe('pending')
})

test('a process that stood still loses no lease for that', async () => {
  // The time passes at once: no timer fires in between, as when a handler computes for that long.
  const clock = new VirtualClock()
  let stoodMs = 0
  const broker = new MemoryBroker({
    clock: {
      now: () => clock.now() + stoodMs,
      wallNow: () => clock.wallNow() + stoodMs,
      setTimer: (delayMs, fire, isBackground) => clock.setTimer(delayMs, fire, isBackground),
      clearTimer: (timer) => clock.clearTimer(timer),
    },
    leaseMs: 1000,
  })
  const first = new Process(broker.engine(), clock)
  await first.open()
  await first.engine.add([command('a')])
  const { lease } = await claimed(first.engine)
  await clock.advance(500)
  stoodMs = 5000
  expect(await first.engine.renew([lease])).toEqual([{ isLost: false, cancelled: undefined }])
})

test('an outcome whose message is lost is found at the next look', async () => {
  const { clock, broker, first } = await one()
  const second = new Process(broker.engine(), clock)
  await second.open('second')
  second.engine.dropMessages = true
  await second.engine.add([command('a', { replyTo: 'second' })])
  second.awaited = [{ id: 'a', laneId: 'lane' }]
  await settle(first.engine, await claimed(first.engine))
  await clock.advance(4999)
  expect(second.outcomes).toEqual([])
  await clock.advance(1)
  expect(second.outcomes.map(({ id }) => id)).toEqual(['a'])
})

test('a duplicate’s process is told the outcome at once', async () => {
  const { clock, broker, first } = await one()
  const second = new Process(broker.engine(), clock)
  await second.open('second')
  await first.engine.add([command('a', { hasOwnId: true })])
  await second.engine.add([command('a', { hasOwnId: true, replyTo: 'second' })])
  await settle(first.engine, await claimed(first.engine))
  await clock.settle()
  expect([first.outcomes.length, second.outcomes.length]).toEqual([1, 1])
})

test('a made id that is submitted again is the same command', async () => {
  const { first } = await one()
  expect(await first.engine.add([command('a')])).toEqual([{ kind: 'accepted' }])
  expect(await first.engine.add([command('a')])).toEqual([{ kind: 'accepted' }])
  await settle(first.engine, await claimed(first.engine))
  expect(await first.engine.add([command('a')])).toEqual([{ kind: 'accepted' }])
  expect((await first.engine.claim('lane', 'next')).claim).toBeUndefined()
})

test('a call waits for the limit of its engine while that is cut off', async () => {
  const { clock, broker } = await one()
  const process = new Process(broker.engine({ offlineTimeoutMs: 500 }), clock)
  await process.open()
  process.engine.cut()
  process.engine.cut()
  const call = process.engine.counts()
  const failed = expect(call).rejects.toMatchObject({ code: 'ENGINE_UNAVAILABLE', retryable: true })
  await clock.advance(500)
  await failed
  process.engine.mend()
  process.engine.mend()
  await clock.settle()
  expect(process.told).toEqual(['down', 'up'])
})

test('a cut that is mended and cut again at once tells where it ends', async () => {
  const { clock, first } = await one()
  first.engine.cut()
  await clock.settle()
  first.engine.mend()
  first.engine.cut()
  await clock.settle()
  expect(first.told.at(-1)).toBe('down')
  first.engine.report({ lease: { id: 'a' } } as Claim, '1')
  await first.engine.close()
  first.engine.mend()
  await clock.settle()
  expect(first.told.at(-1)).toBe('down')
})

test('a progress message of a lost lease is nobody’s', async () => {
  const { clock, first } = await one({ leaseMs: 100 })
  await first.engine.add([command('a')])
  const claim = await claimed(first.engine)
  first.engine.report(claim, '1')
  await clock.advance(100)
  first.engine.report(claim, '2')
  await clock.settle()
  expect(first.told).toEqual(['a reports 1'])
})

test('a broker keeps as many settled commands as it is told to, and their letters for longer', async () => {
  const { first } = await one({ retention: 2 })
  for (const id of ['a', 'b', 'c']) {
    await first.engine.add([command(id)])
    const { lease } = await claimed(first.engine)
    const failed = { kind: 'settle', state: 'failed', result: undefined, error: '{}', letter: `"${id}"` } as const
    await first.engine.end(lease, { ...failed, progress: NO_PROGRESS }, undefined)
  }
  const { items } = await first.engine.list({ laneIds: ['lane'], state: undefined, limit: 9, cursor: undefined })
  expect(items.map((item) => item.command.id)).toEqual(['b', 'c'])
  expect((await first.engine.letters(9)).map(({ id }) => id)).toEqual(['a', 'b', 'c'])
})

test('lanes share a rate limit by the name of its group', async () => {
  const clock = new VirtualClock()
  const first = new Process(new MemoryBroker({ clock }).engine(), clock)
  const rateLimits = [{ maxCommands: 1, windowMs: 1000, group: 'provider' }]
  await first.open('process', [lane('lane', { rateLimits }), lane('other', { rateLimits, priority: 1 })])
  await first.engine.add([command('a'), command('b', { laneId: 'other' })])
  await claimed(first.engine)
  const retryAt = clock.wallNow() + 1000
  expect(await first.engine.claim('other', 't')).toEqual({ claim: undefined, why: 'rate_limited', retryAt })
  await clock.advance(1000)
  expect((await claimed(first.engine, 'other')).command.id).toBe('b')
})

test('a rate limit that makes no sense is refused, and changes nothing', async () => {
  const { first } = await one()
  const settings = lane('lane', { maxConcurrency: 1, rateLimits: [{ maxCommands: 0, windowMs: 1 }] })
  await expect(first.engine.configure(settings)).rejects.toMatchObject({ code: 'CONFIG_INVALID' })
  await first.engine.add([command('a'), command('b')])
  await claimed(first.engine)
  expect((await first.engine.claim('lane', 'second')).claim?.command.id).toBe('b')
})

test('an unknown lane is refused', async () => {
  const { first } = await one()
  const [answer] = await first.engine.add([command('a', { laneId: 'unknown' })])
  expect(answer).toMatchObject({ kind: 'refused', error: { code: 'LANE_NOT_FOUND' } })
  await expect(first.engine.claim('unknown', 't')).rejects.toMatchObject({ code: 'LANE_NOT_FOUND' })
})

test('an open that was refused may be tried again', async () => {
  const { clock, broker } = await one()
  const process = new Process(broker.engine(), clock)
  await expect(process.open('p', [lane('lane', { capacity: 5 })])).rejects.toMatchObject({ code: 'CONFLICT' })
  await process.open('p')
  expect((await process.engine.counts()).length).toBe(1)
})
