/** The queue's log: silent unless asked, one structured line per event, and nothing in it that a command's author can abuse. */
import { Writable } from 'node:stream'
import {
  type Alert,
  AlertManager,
  discard,
  type EventKey,
  isLaneError,
  type Logger,
  QueueManager,
  RetryAfterError,
  RetryPolicy,
} from '@a3s-lab/lane'
import pino from 'pino'
import { describe, expect, test } from 'vitest'
import { sorted } from '../support/bodies.js'
import { errorOf, type Setup, setup, thrownBy } from '../support/setup.js'

type Line = { readonly level: number; readonly msg: EventKey } & Record<string, unknown>

/** A pino that writes into memory: its text, and its lines read as JSON. */
function inMemory(level = 'debug'): { logger: Logger; text: () => string; lines: () => Line[] } {
  let text = ''
  const stream = new Writable({
    write(chunk: Buffer, _encoding, done) {
      text += chunk.toString('utf8')
      done()
    },
  })
  const lines = (): Line[] =>
    text
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line) as Line)
  return { logger: pino({ level }, stream), text: () => text, lines }
}

/** A logger that keeps its entries. */
function keeping(isEnabled?: (level: string) => boolean): Logger & { entries: [string, object, string][] } {
  const entries: [string, object, string][] = []
  const at =
    (level: string) =>
    (fields: object, message: string): void =>
      void entries.push([level, fields, message])
  return {
    ...{ entries, debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') },
    ...(isEnabled === undefined ? {} : { isLevelEnabled: isEnabled }),
  }
}

const LEVELS: Readonly<Record<number, string>> = { 20: 'debug', 30: 'info', 40: 'warn', 50: 'error' }

/** Anything that ends a line somewhere, or that a terminal obeys. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: finding them is its purpose
const UNSAFE = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u2028\u2029]/

const HOSTILE = 'a\r\n{"level":50,"msg":"forged"}\n\u001b[2J\u001b]0;owned\u0007 \u2028\u2029 \u0085 \u009b31m \u0000'

describe('the log', () => {
  test('has one line of JSON per event, with its fields', async () => {
    const { logger, text, lines } = inMemory()
    await using t = await setup({ work: { maxConcurrency: 1, pressureThreshold: 2 } }, { logger, deadLetters: true })
    for (let n = 0; n < 3; n++) void t.queue.submit('work', t.takes(1))
    void t.queue.submit('work', () => Promise.reject(new Error('no')))
    void t.queue.submit('nowhere' as 'work', () => 1)
    await t.clock.advance(10)
    t.queue.lane('work').pause()
    t.queue.lane('work').configure({ maxConcurrency: 3 })
    await t.queue.shutdown()
    await t.clock.settle()
    const events = t.recorder.events
    expect(events.length).toBeGreaterThan(15)
    expect(text().split('\n').length - 1).toBe(events.length)
    lines().forEach((line, index) => {
      const { key, payload } = events[index] as (typeof events)[number]
      expect(line).toMatchObject({ msg: key, ...(payload ?? {}) })
    })
  })

  test('is written although nobody listens to events', async () => {
    const logger = keeping()
    const { queue, clock } = await setup()
    await queue.close()
    await using other = new QueueManager({ lanes: { work: { priority: 0 } }, clock, logger })
    await other.start()
    const run = other.submit('work', () => 1)
    await run
    const ids = { lane_id: 'work', command_id: run.id }
    expect(logger.entries).toEqual([
      ['debug', ids, 'queue.command.submitted'],
      ['debug', { ...ids, command_type: 'function' }, 'queue.command.started'],
      ['debug', ids, 'queue.command.completed'],
    ])
  })

  test('is silent by default', async () => {
    const written: unknown[] = []
    const { stdout, stderr } = process
    const [out, err] = [stdout.write.bind(stdout), stderr.write.bind(stderr)]
    stdout.write = ((chunk: unknown) => written.push(chunk) > 0) as typeof out
    stderr.write = ((chunk: unknown) => written.push(chunk) > 0) as typeof err
    try {
      await using t = await setup({ work: { timeoutMs: 5, zombieGraceMs: 5 } })
      await errorOf(t.queue.submit('work', () => Promise.reject(new Error('no'))))
      void t.queue.submit('work', () => new Promise(() => {}))
      await t.clock.advance(20)
    } finally {
      stdout.write = out
      stderr.write = err
    }
    expect(written).toEqual([])
  })

  test('has what every command does at debug, and what an operator should see above', async () => {
    const { logger, lines } = inMemory()
    const breaker = { failureRatio: 0.5, minimum: 1, windowMs: 1000, openMs: 10, halfOpen: 1 }
    await using t = await setup(
      { work: { timeoutMs: 50, zombieGraceMs: 20, retry: RetryPolicy.fixed(1, 5) }, frail: { breaker } },
      { logger, deadLetters: true },
    )
    await errorOf(t.queue.submit('frail', () => Promise.reject(new Error('no'))))
    void t.queue.submit('work', () => Promise.reject(new Error('no')))
    void t.queue.submit('work', () => new Promise(() => {}))
    void t.queue.submit('work', () => discard('no use'))
    void t.queue.submit('work', (ctx) => ctx.progress(1))
    void t.queue.submit('work', () => (t.clock.now() < 5 ? Promise.reject(new RetryAfterError(9)) : 1))
    void t.queue.submit('nowhere' as 'work', () => 1)
    const command = { type: 'none', payload: 1 }
    for (let n = 0; n < 2; n++) void t.queue.submit('work', command, { id: 'same' })
    await t.clock.advance(200)
    t.queue.lane('work').pause()
    t.queue.lane('work').resume()
    t.queue.lane('work').configure({ timeoutMs: 5 })
    await t.queue.deadLetters.pop()
    const [letter] = await t.queue.deadLetters.list()
    void t.queue.deadLetters.redrive(letter?.commandId ?? '')
    await t.clock.advance(200)
    await t.queue.shutdown()
    await t.clock.settle()
    const seen = Object.fromEntries(lines().map(({ level, msg }) => [msg, LEVELS[level]]))
    expect(seen).toEqual({
      ...{ 'queue.command.submitted': 'debug', 'queue.command.started': 'debug', 'queue.command.completed': 'debug' },
      ...{ 'queue.command.progress': 'debug', 'queue.command.delayed': 'debug', 'queue.command.deduplicated': 'debug' },
      ...{ 'queue.command.cancelled': 'info', 'queue.command.retry': 'warn', 'queue.command.rejected': 'warn' },
      ...{ 'queue.command.failed': 'error', 'queue.command.timeout': 'error', 'queue.command.dead_lettered': 'warn' },
      ...{ 'queue.lane.paused': 'info', 'queue.lane.resumed': 'info', 'queue.lane.configured': 'info' },
      ...{ 'queue.lane.breaker': 'warn', 'queue.dead_letter.redriven': 'info', 'queue.fault': 'error' },
      ...{ 'queue.shutdown.started': 'info', 'queue.shutdown.complete': 'info' },
    })
  })

  test('makes no entry at a level that its logger does not take', async () => {
    const asked: string[] = []
    const logger = keeping((level) => {
      asked.push(level)
      return level !== 'debug'
    })
    await using t = await setup(undefined, { logger })
    await errorOf(t.queue.submit('work', () => Promise.reject(new Error('no'))))
    expect(logger.entries.map(([level, , message]) => [level, message])).toEqual([['error', 'queue.command.failed']])
    expect(asked).toEqual(['debug', 'debug', 'error'])
  })

  test('has alerts at the level that is theirs', async () => {
    const logger = keeping()
    const alerts = AlertManager.withQueueDepthAlerts(1, 2)
    await using t = await setup({ work: {} }, { logger, alerts, start: false })
    for (let n = 0; n < 2; n++) t.queue.submit('work', () => n).accepted.catch(() => undefined)
    t.queue.lane('work').clear()
    const told = logger.entries.filter(([, , message]) => message === 'queue.alert')
    expect(told.map(([level, fields]) => [level, (fields as Alert).level])).toEqual([
      ['warn', 'warning'],
      ['error', 'critical'],
      ['warn', 'warning'],
      ['info', 'info'],
    ])
  })

  test('of a pino at its usual level has no lines of single commands', async () => {
    const { logger, text } = inMemory('info')
    await using t = await setup(undefined, { logger })
    await t.queue.submit('work', () => 1)
    expect(text()).toBe('')
  })
})

describe('what a command carries', () => {
  const secret = 'sk-very-secret'
  const carrying = async (t: Setup<'work'>): Promise<void> => {
    t.queue.handle('work', async (payload, ctx) => {
      ctx.progress({ said: secret })
      ctx.progress(secret)
      ctx.log(`a line with ${secret}`)
      await ctx.checkpoint({ secret })
      return payload
    })
    await t.queue.submit('work', { type: 'work', payload: { secret } }, { metadata: { secret }, key: 'k' })
    await t.queue.submit('work', { type: 'work', payload: secret })
  }

  test('is not in the log', async () => {
    const { logger, text } = inMemory()
    await using t = await setup(undefined, { logger })
    await carrying(t)
    expect(text()).toContain('queue.command.progress')
    expect(text()).not.toContain(secret)
  })

  test('is, when that is asked for: payloads where they are submitted, progress where it is made', async () => {
    const { logger, lines } = inMemory()
    await using t = await setup(undefined, { logger, logPayloads: true })
    await carrying(t)
    const submitted = lines().filter(({ msg }) => msg === 'queue.command.submitted')
    expect(submitted.map((line) => line['payload'])).toEqual([{ secret }, secret])
    const progress = lines().filter(({ msg }) => msg === 'queue.command.progress')
    expect(progress.map((line) => line['value'])).toEqual([{ said: secret }, secret, { said: secret }, secret])
    const others = lines().filter(({ msg }) => !['queue.command.submitted', 'queue.command.progress'].includes(msg))
    expect(JSON.stringify(others)).not.toContain(secret)
  })

  test.each<[string, unknown, unknown]>([
    ['a function has none', () => 1, null],
    ['an undefined one is null', { type: 'work', payload: undefined }, null],
    ['a number', { type: 'work', payload: 7 }, 7],
    ['one that is no JSON is not shown', { type: 'work', payload: { big: 1n } }, 'a payload that cannot be shown'],
  ])('%s', async (_what, command, expected) => {
    const { logger, lines } = inMemory()
    await using t = await setup({ work: {} }, { logger, logPayloads: true, start: false })
    void t.queue.submit('work', command as never)
    expect(lines()[0]).toMatchObject({ msg: 'queue.command.submitted' })
    expect(lines()[0]?.['payload']).toEqual(expected)
  })
})

describe('a hostile text stays one short line', () => {
  /** What a line of the log should be, and is not: one of so many, short, and harmless to a terminal. */
  const wildOf = (text: string, lines: readonly Line[], count: number): unknown[] => [
    ...(UNSAFE.exec(text) ?? []),
    ...lines.filter(({ msg }) => !msg.startsWith('queue.')),
    ...text.split('\n').filter((line) => line.length > 20_000),
    ...(lines.length === count ? [] : [`${lines.length} lines`]),
  ]

  test.each<[string, string]>([
    ['with line ends and control sequences', HOSTILE],
    ['of a megabyte', 'x'.repeat(1_000_000)],
    ['of a megabyte of them', '\n\u001b\u2028'.repeat(333_333)],
  ])('%s, wherever it comes from', async (_what, hostile) => {
    const { logger, text, lines } = inMemory()
    await using t = await setup(undefined, { logger, deadLetters: true })
    await errorOf(t.queue.submit('work', () => Promise.reject(new Error(hostile))))
    await errorOf(t.queue.submit('work', () => discard(hostile)))
    await errorOf(t.queue.submit(hostile as 'work', () => 1))
    await errorOf(t.queue.submit('work', { type: hostile, payload: 1 }))
    const run = t.queue.submit('work', () => 1, { id: hostile })
    run.cancel(hostile)
    await errorOf(run)
    t.queue.observe({
      observe: () => ({
        refused: () => {
          throw new Error(hostile)
        },
      }),
    })
    await errorOf(t.queue.submit('nowhere' as 'work', () => 1))
    expect(wildOf(text(), lines(), t.recorder.events.length)).toEqual([])
  })

  test('also in the text of a payload that is asked for', async () => {
    const { logger, text, lines } = inMemory()
    await using t = await setup({ work: {} }, { logger, logPayloads: true, start: false })
    for (const payload of [HOSTILE.repeat(50), { deep: ['x'.repeat(1_000_000)] }]) {
      void t.queue.submit('work', { type: 'work', payload })
    }
    expect(wildOf(text(), lines(), 2)).toEqual([])
  })

  test.each<[string, unknown]>([
    ['in a short payload', HOSTILE],
    ['inside a short payload', { text: [HOSTILE] }],
    ['as a name inside a payload', { [HOSTILE]: 1 }],
  ])('also %s', async (_what, payload) => {
    const { logger, text, lines } = inMemory()
    await using t = await setup({ work: {} }, { logger, logPayloads: true, start: false })
    void t.queue.submit('work', { type: 'work', payload })
    expect(wildOf(text(), lines(), 1)).toEqual([])
  })

  test.each<[string, unknown]>([
    ['as such', HOSTILE],
    ['inside an object', { text: HOSTILE }],
    ['of a megabyte inside an object', { text: 'x'.repeat(1_000_000) }],
    ['that is no JSON', { big: 1n }],
  ])('also in progress that is asked for, %s', async (_what, value) => {
    const { logger, text, lines } = inMemory()
    await using t = await setup(undefined, { logger, logPayloads: true })
    await t.queue.submit('work', (ctx) => ctx.progress(value))
    expect(wildOf(text(), lines(), 4)).toEqual([])
  })
})

describe('a logger', () => {
  test('that throws is told to onFault, and harms nobody', async () => {
    const breaks = (): never => {
      throw new Error('the logger broke')
    }
    const logger: Logger = { debug: breaks, info: breaks, warn: breaks, error: breaks }
    await using t = await setup({ work: { retry: RetryPolicy.fixed(1, 5) } }, { logger, deadLetters: true })
    expect(await t.queue.submit('work', () => 'unharmed')).toBe('unharmed')
    const failed = errorOf(t.queue.submit('work', () => Promise.reject(new Error('no'))))
    await t.clock.advance(5)
    expect((await failed).message).toBe('no')
    expect(t.faults.length).toBeGreaterThan(5)
    expect(new Set(t.faults.map(String))).toEqual(new Set(['Error: the logger broke']))
    expect(t.recorder.of('queue.fault')).toEqual([])
  })

  test("that rejects is told to onFault, and is nobody's unhandled rejection", async () => {
    const rejects = () => Promise.reject(new Error('the logger is away'))
    const logger: Logger = { debug: rejects, info: rejects, warn: rejects, error: rejects }
    await using t = await setup(undefined, { logger })
    expect(await t.queue.submit('work', () => 'unharmed')).toBe('unharmed')
    await t.clock.settle()
    expect(t.faults).toEqual(new Array(3).fill(new Error('the logger is away')))
  })

  test('whose isLevelEnabled throws is told to onFault, and harms nobody', async () => {
    const logger = keeping(() => {
      throw new Error('cannot say')
    })
    await using t = await setup(undefined, { logger })
    expect(await t.queue.submit('work', () => 'unharmed')).toBe('unharmed')
    expect(t.faults).toEqual(new Array(3).fill(new Error('cannot say')))
  })

  test('that submits while it logs is served', async () => {
    let left = 3
    const logger: Logger = {
      ...keeping(),
      debug: () => {
        if (left-- > 0) void t.queue.submit('work', t.noting(`by the logger ${left}`))
      },
    }
    await using t: Setup<'work'> = await setup(undefined, { logger })
    expect(await t.queue.submit('work', () => 'mine')).toBe('mine')
    await t.clock.settle()
    expect(sorted(t.notes)).toEqual(['by the logger 0', 'by the logger 1', 'by the logger 2'])
  })

  test('is called as the object that it is', async () => {
    class Counting implements Logger {
      lines = 0
      debug = (): void => {
        this.lines++
      }
      info(): void {
        this.lines++
      }
      warn(): void {
        this.lines++
      }
      error(): void {
        this.lines++
      }
    }
    const logger = new Counting()
    await using t = await setup(undefined, { logger })
    await errorOf(t.queue.submit('work', () => Promise.reject(new Error('no'))))
    expect(logger.lines).toBe(3)
  })

  test.each<[string, unknown]>([
    ['null', null],
    ['a text', 'console'],
    ['a function', () => undefined],
    ['one without error', { debug: () => 1, info: () => 1, warn: () => 1 }],
  ])('is refused: %s', (_what, logger) => {
    const error = thrownBy(() => new QueueManager({ lanes: { work: { priority: 0 } }, logger: logger as Logger }))
    expect(isLaneError(error)).toBe(true)
    expect(error).toMatchObject({ code: 'CONFIG_INVALID', option: 'logger' })
  })

  test.each<[unknown, Logger | undefined]>([
    [true, undefined],
    ['yes', keeping()],
    [1, keeping()],
  ])('needs a logPayloads that makes sense: %j', (logPayloads, logger) => {
    const lanes = { work: { priority: 0 } }
    const error = thrownBy(() => new QueueManager({ lanes, logger, logPayloads: logPayloads as boolean }))
    expect(error).toMatchObject({ code: 'CONFIG_INVALID', option: 'logPayloads' })
    expect(() => new QueueManager({ lanes, logPayloads: false })).not.toThrow()
  })
})
