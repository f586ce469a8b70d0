/** Callbacks of alerts: they are called while the queue is at work, may throw, and may use the queue from there. */
import { type Alert, AlertManager, type CommandRun, QueueMonitor, RetryPolicy } from '@a3s-lab/lane'
import { describe, expect, test } from 'vitest'
import { stopping } from '../support/bodies.js'
import { errorOf, type Setup, setup } from '../support/setup.js'

const broken = new Error('the callback broke')
const thresholds = { warning: 2, critical: 4 }

/** Everything that can be watched, and tells soon. */
const everything = (): AlertManager =>
  new AlertManager({
    queueDepth: thresholds,
    latency: { warning: 5, critical: 50 },
    oldestAge: { warning: 5, critical: 50 },
    deadLetterRate: { warning: 1, critical: 2, windowMs: 100 },
    failureRatio: { warning: 0.1, critical: 0.9, minimum: 1, windowMs: 100 },
  })

const lanes = {
  work: { maxConcurrency: 2, timeoutMs: 20, zombieGraceMs: 10, retry: RetryPolicy.fixed(1, 5) },
}

/** Commands that raise alerts of every kind. */
function traffic(t: Setup<'work'>): CommandRun[] {
  const runs: CommandRun[] = []
  for (let n = 0; n < 6; n++) {
    runs.push(
      t.queue.submit('work', t.takes(8)),
      t.queue.submit('work', () => Promise.reject(new Error('no'))),
      t.queue.submit('work', stopping(t, 'slow', 1000)) as CommandRun,
    )
  }
  for (const run of runs) run.accepted.catch(() => undefined)
  return runs
}

const isOpen = ({ state }: CommandRun): boolean => ['pending', 'delayed', 'active'].includes(state)
const atRest = { totalPending: 0, totalActive: 0, totalDelayed: 0, totalSlots: 0 }

test('a callback that throws is a fault each time, and keeps nobody from hearing', async () => {
  const alerts = everything()
  const heard: Alert[] = []
  alerts.addCallback(() => {
    throw broken
  })
  alerts.addCallback((alert) => heard.push(alert))
  await using t = await setup(lanes, { alerts, deadLetters: true })
  const runs = traffic(t)
  await t.clock.advance(1000)
  expect(runs.filter(isOpen)).toEqual([])
  expect(t.queue.stats()).toMatchObject(atRest)
  expect(new Set(heard.map(({ kind }) => kind))).toEqual(
    new Set(['queue_depth', 'latency', 'oldest_age', 'dead_letter_rate', 'failure_ratio']),
  )
  expect(t.faults.filter((fault) => fault === broken)).toHaveLength(heard.length)
})

describe('a callback that uses the queue is served:', () => {
  test.each<[string, (t: Setup<'work'>, runs: CommandRun[]) => unknown]>([
    ['it submits', (t, runs) => runs.push(t.queue.submit('work', () => 'by the callback'))],
    ['it cancels everything', (t) => t.queue.lane('work').cancelAll('by the callback')],
    ['it clears the lane', (t) => t.queue.lane('work').clear()],
    ['it cancels each run', (_t, runs) => runs.map((run) => run.cancel('by the callback'))],
    ['it pauses the lane for a while', pauseBriefly],
    ['it gives the lane more room', (t) => t.queue.lane('work').configure({ maxConcurrency: 9 })],
    ['it shuts the queue down', (t) => t.queue.shutdown()],
    ['it closes the queue', (t) => t.queue.close({ timeoutMs: 10 })],
  ])('%s', async (_what, act) => {
    const alerts = everything()
    const runs: CommandRun[] = []
    let calls = 0
    alerts.addCallback(() => {
      if (++calls <= 20) void act(t, runs)
    })
    await using t: Setup<'work'> = await setup(lanes, { alerts, deadLetters: true })
    runs.push(...traffic(t))
    await t.clock.advance(1000)
    for (const run of runs) run.accepted.catch(() => undefined)
    expect(calls).toBeGreaterThan(0)
    expect(runs.filter(isOpen)).toEqual([])
    expect(t.queue.stats()).toMatchObject(atRest)
    expect(t.faults.map(String).filter((text) => !text.includes('did not stop within'))).toEqual([])
  })

  function pauseBriefly(t: Setup<'work'>): void {
    const lane = t.queue.lane('work')
    lane.pause()
    t.clock.setTimer(5, () => lane.resume())
  }
})

describe('an alert that is raised from inside another', () => {
  test('ends when it is over, although it began while the one before was told to be over', async () => {
    const alerts = new AlertManager({ queueDepth: { warning: 1, critical: 4 } })
    const levels: string[] = []
    await using t = await setup({ work: {} }, { alerts, start: false })
    const submit = (): void => void t.queue.submit('work', () => 1).accepted.catch(() => undefined)
    alerts.addCallback(({ level }) => {
      levels.push(level)
      if (level === 'info' && levels.length < 3) submit()
    })
    submit()
    t.queue.lane('work').clear()
    expect(levels).toEqual(['warning', 'info', 'warning'])
    t.queue.lane('work').clear()
    expect(levels).toEqual(['warning', 'info', 'warning', 'info'])
    expect(alerts.active()).toEqual([])
  })

  test('is told after it, to everybody in the same order', async () => {
    const alerts = new AlertManager({ queueDepth: thresholds })
    const heard: string[] = []
    await using t = await setup({ work: {} }, { alerts, start: false })
    alerts.addCallback(({ level }) => {
      heard.push(`first ${level}`)
      if (level === 'warning') for (let n = 0; n < 2; n++) void t.queue.submit('work', () => n)
    })
    alerts.addCallback(({ level }) => heard.push(`second ${level}`))
    for (let n = 0; n < 2; n++) void t.queue.submit('work', () => n)
    expect(heard).toEqual(['first warning', 'second warning', 'first critical', 'second critical'])
  })
})

test('a callback that asks for the health of its queue finds the alert in it', async () => {
  const alerts = new AlertManager({ queueDepth: thresholds })
  await using t = await setup({ work: {} }, { alerts, start: false })
  const monitor = new QueueMonitor(t.queue)
  const found: unknown[] = []
  alerts.addCallback(() => found.push(monitor.health().reasons.map(({ code }) => code)))
  for (let n = 0; n < 2; n++) void t.queue.submit('work', () => n)
  expect(found).toEqual([['not_started', 'alert']])
})

test('a callback that is taken away while alerts are told is called no more', async () => {
  const alerts = new AlertManager({ queueDepth: thresholds })
  let calls = 0
  const remove = alerts.addCallback(() => {
    calls++
    remove()
  })
  await using t = await setup({ work: {} }, { alerts, start: false })
  for (let n = 0; n < 6; n++) t.queue.submit('work', () => n).accepted.catch(() => undefined)
  t.queue.lane('work').clear()
  expect(calls).toBe(1)
  expect(await errorOf(t.queue.submit('nowhere' as 'work', () => 1))).toMatchObject({ code: 'LANE_NOT_FOUND' })
})
