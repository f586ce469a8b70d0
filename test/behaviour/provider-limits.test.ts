import {
  QueueManager,
  RateLimitConfig,
  RateLimitGroup,
  RetryAfterError,
  RetryPolicy,
  UnrecoverableError,
} from '@a3s-lab/lane'
import { describe, expect, test } from 'vitest'
import { sorted } from '../support/bodies.js'
import { errorOf, type Setup, setup, thrownBy } from '../support/setup.js'
import { NOW, recorded } from '../unit/policy/provider-headers.js'

/** An error with fields of its own, as client libraries throw them. */
const failure = (message: string, fields: object): Error => Object.assign(new Error(message), fields)

/** What OpenAI's and Anthropic's clients throw. */
const tooMany = (seconds: number, status = 429): Error =>
  failure(`${status} status code`, { status, headers: new Headers({ 'retry-after': String(seconds) }) })

/** A body that throws what it is given, once for each, and then succeeds. */
const throwing =
  (t: Pick<Setup, 'notes' | 'clock'>, name: string, ...errors: readonly unknown[]) =>
  ({ attempt }: { attempt: number }): string => {
    t.notes.push(`${name}${attempt}@${t.clock.now()}`)
    if (attempt <= errors.length) throw errors[attempt - 1]
    return name
  }

describe('an answer that asks for a pause closes the lane until then:', () => {
  const headers = { 'retry-after': '2' }
  test.each<[string, () => unknown]>([
    ['a thrown fetch Response', () => new Response('slow down', { status: 429, headers })],
    ['an error of OpenAI or Anthropic', () => failure('429', { status: 429, headers: new Headers(headers) })],
    ['the same with plain headers', () => failure('429', { status: 429, headers })],
    [
      'an APICallError of the AI SDK',
      () =>
        failure('Rate limit reached', {
          name: 'AI_APICallError',
          statusCode: 429,
          isRetryable: true,
          responseHeaders: headers,
        }),
    ],
    [
      'a RetryError of the AI SDK',
      () =>
        failure('Failed after 3 attempts', {
          name: 'AI_RetryError',
          reason: 'maxRetriesExceeded',
          lastError: failure('Rate limit reached', { statusCode: 429, responseHeaders: headers }),
        }),
    ],
    ['an error of Octokit', () => failure('limit', { status: 429, response: { status: 429, headers } })],
    ['an error of axios', () => failure('limit', { response: { status: 429, headers: { 'Retry-After': '2' } } })],
    ['an error of got', () => failure('limit', { response: { statusCode: 429, headers } })],
    ['an error with such a cause', () => new Error('the call failed', { cause: tooMany(2) })],
    ['503 Service Unavailable', () => tooMany(2, 503)],
    [
      'a date of HTTP',
      () => failure('503', { status: 503, headers: { 'Retry-After': 'Thu, 01 Jan 2026 00:00:02 GMT' } }),
    ],
    ['milliseconds', () => failure('429', { status: 429, headers: { 'retry-after-ms': '2000', 'retry-after': '3' } })],
  ])('%s', async (_what, error) => {
    await using t = await setup({ work: { maxConcurrency: 2 } })
    const put = t.queue.submit('work', throwing(t, 'put off ', error()))
    await t.clock.settle()
    const other = t.queue.submit('work', throwing(t, 'other '))
    await t.clock.advance(1999)
    expect([put.state, other.state]).toEqual(['delayed', 'pending'])
    await t.clock.advance(1)
    expect(t.notes).toEqual(['put off 1@0', 'put off 2@2000', 'other 1@2000'])
    expect(await put).toBe('put off ')
    expect(t.clock.timers).toBe(0)
  })
})

test.each(recorded)('a lane is closed by the headers of $from as long as they ask for', async (answer) => {
  await using t = await setup({ work: { retry: RetryPolicy.fixed(1, 10) } })
  t.clock.stepWall(NOW - t.clock.wallNow())
  const error = failure('an answer', { status: answer.status, headers: new Headers(answer.headers) })
  const run = t.queue.submit('work', throwing(t, '', error))
  await t.clock.settle()
  const [delayed] = t.recorder.of('queue.command.delayed')
  expect(delayed?.payload.delay_ms).toEqual(answer.waitMs)
  await t.clock.advance(answer.waitMs ?? 10)
  expect(await run).toBe('')
  expect(t.recorder.of('queue.command.retry')).toHaveLength(answer.waitMs === undefined ? 1 : 0)
})

test('the command that got the answer is put off and told so', async () => {
  await using t = await setup()
  const run = t.queue.submit('work', throwing(t, '', tooMany(2)))
  await t.clock.advance(2000)
  await run
  const ids = { lane_id: 'work', command_id: run.id }
  expect(t.events(run.id)).toEqual([
    ['queue.command.submitted', ids],
    ['queue.command.started', { ...ids, command_type: 'function' }],
    ['queue.command.delayed', { ...ids, delay_ms: 2000, reason: 'deferred' }],
    ['queue.command.started', { ...ids, command_type: 'function' }],
    ['queue.command.completed', ids],
  ])
})

test('it spends no retry, and takes the next attempt number', async () => {
  await using t = await setup({ work: { retry: RetryPolicy.fixed(1, 0) } })
  const run = t.queue.submit('work', throwing(t, '', tooMany(1), new Error('no'), tooMany(1)))
  await t.clock.advance(2000)
  expect(await run).toBe('')
  expect(t.notes).toEqual(['1@0', '2@1000', '3@1000', '4@2000'])
  expect(t.recorder.of('queue.command.retry').map(({ payload }) => payload.attempt)).toEqual([1])
})

test('a command is put off at most maxDeferrals times, then it fails with what was thrown', async () => {
  await using t = await setup({ work: { maxDeferrals: 2, retry: RetryPolicy.fixed(5, 0) } }, { deadLetters: true })
  const last = tooMany(1)
  const run = t.queue.submit('work', throwing(t, '', tooMany(1), tooMany(1), last))
  const error = errorOf(run)
  await t.clock.advance(2000)
  expect(await error).toMatchObject({ code: 'COMMAND_FAILED', cause: last })
  expect(t.notes).toEqual(['1@0', '2@1000', '3@2000'])
  expect((await t.queue.deadLetters.list())[0]).toMatchObject({ attempts: 3 })
})

test('ten times is the default', async () => {
  await using t = await setup()
  const run = t.queue.submit('work', throwing(t, '', ...Array.from({ length: 11 }, () => tooMany(1))))
  const error = errorOf(run)
  await t.clock.advance(20_000)
  expect((await error)['code']).toBe('COMMAND_FAILED')
  expect(t.notes).toHaveLength(11)
})

test('a command that may not be put off fails, and the lane is closed for the others all the same', async () => {
  await using t = await setup({ work: { maxDeferrals: 0 } })
  const error = errorOf(t.queue.submit('work', throwing(t, 'fails ', tooMany(5))))
  await t.clock.settle()
  expect((await error)['code']).toBe('COMMAND_FAILED')
  void t.queue.submit('work', throwing(t, 'waits '))
  await t.clock.advance(5000)
  expect(t.notes).toEqual(['fails 1@0', 'waits 1@5000'])
})

describe('an ordinary failure:', () => {
  test.each<[string, unknown]>([
    ['429 without headers', failure('429', { status: 429 })],
    ['429 with headers that say nothing', failure('429', { status: 429, headers: { server: 'x' } })],
    ['429 with a header that cannot be read', failure('429', { status: 429, headers: { 'retry-after': 'soon' } })],
    ['500 with Retry-After', tooMany(5, 500)],
    ['a redirect with Retry-After', tooMany(5, 301)],
    ['200 with Retry-After', new Response('', { status: 200, headers: { 'retry-after': '5' } })],
    ['no status at all', failure('?', { headers: { 'retry-after': '5' } })],
  ])('%s', async (_what, error) => {
    await using t = await setup({ work: { retry: RetryPolicy.fixed(1, 10) } })
    const run = t.queue.submit('work', throwing(t, '', error))
    await t.clock.settle()
    expect(await t.clock.expectSettled(t.queue.submit('work', () => 'open'))).toBe('open')
    await t.clock.advance(10)
    expect(await run).toBe('')
    expect(t.recorder.of('queue.command.retry')).toHaveLength(1)
  })
})

test('other lanes stay open', async () => {
  await using t = await setup({ work: {}, other: {} })
  void t.queue.submit('work', throwing(t, '', tooMany(5)))
  await t.clock.settle()
  expect(await t.clock.expectSettled(t.queue.submit('other', () => 'open'))).toBe('open')
  await t.clock.advance(5000)
})

test('a lane with limits of its own closes alone', async () => {
  const rateLimit = RateLimitConfig.perSecond(100)
  await using t = await setup({ work: { rateLimit }, other: { rateLimit } })
  void t.queue.submit('work', throwing(t, '', tooMany(5)))
  await t.clock.settle()
  const waits = t.queue.submit('work', throwing(t, 'waits '))
  expect(await t.clock.expectSettled(t.queue.submit('other', () => 'open'))).toBe('open')
  expect(waits.state).toBe('pending')
  await t.clock.advance(5000)
  await waits
})

test('all lanes of its group close with it', async () => {
  const rateLimit = RateLimitConfig.perSecond(100, { group: 'provider' })
  await using t = await setup({ a: { rateLimit }, b: { rateLimit }, other: {} })
  void t.queue.submit('a', throwing(t, 'a', tooMany(5)))
  await t.clock.settle()
  void t.queue.submit('b', throwing(t, 'b'))
  expect(await t.clock.expectSettled(t.queue.submit('other', () => 'open'))).toBe('open')
  await t.clock.advance(10_000)
  expect(t.notes).toEqual(['a1@0', 'a2@5000', 'b1@5000'])
})

test('a lane that is in several groups closes all of them', async () => {
  const limit = (group: string): RateLimitConfig => RateLimitConfig.perSecond(100, { group })
  await using t = await setup({
    both: { rateLimit: [limit('x'), limit('y')] },
    x: { rateLimit: limit('x') },
    y: { rateLimit: limit('y') },
  })
  void t.queue.submit('both', throwing(t, 'both', tooMany(5)))
  await t.clock.settle()
  void t.queue.submit('x', throwing(t, 'x'))
  void t.queue.submit('y', throwing(t, 'y'))
  await t.clock.advance(5000)
  expect(t.notes).toEqual(['both1@0', 'both2@5000', 'x1@5000', 'y1@5000'])
})

test('a RateLimitGroup closes in all of its queues, and says until when', async () => {
  const group = new RateLimitGroup('provider')
  const rateLimit = RateLimitConfig.perSecond(100, { group })
  await using t = await setup({ work: { rateLimit } })
  await using other = new QueueManager({ lanes: { work: { priority: 0, rateLimit } }, clock: t.clock })
  await other.start()
  expect(group.closedUntil(0)).toBeUndefined()
  void t.queue.submit('work', throwing(t, 'first', tooMany(5)))
  await t.clock.settle()
  const there = other.submit('work', throwing(t, 'there'))
  await t.clock.advance(4999)
  expect([there.state, group.closedUntil(t.clock.now())]).toEqual(['pending', 5000])
  await t.clock.advance(1)
  expect(sorted(t.notes)).toEqual(['first1@0', 'first2@5000', 'there1@5000'])
  expect(group.closedUntil(t.clock.now())).toBeUndefined()
})

test('of several answers the one that asks for most counts', async () => {
  await using t = await setup({ work: { maxConcurrency: 3 } })
  for (const [name, seconds] of [
    ['a', 5],
    ['b', 1],
  ] as const) {
    void t.queue.submit('work', async (ctx) => {
      t.notes.push(`${name}${ctx.attempt}@${t.clock.now()}`)
      if (ctx.attempt === 1) await t.sleep(10 - seconds)
      if (ctx.attempt === 1) throw tooMany(seconds)
    })
  }
  await t.clock.advance(5004)
  expect(t.notes).toEqual(['a1@0', 'b1@0'])
  await t.clock.advance(1)
  expect(sorted(t.notes.slice(2))).toEqual(['a2@5005', 'b2@5005'])
})

test('what runs goes on, and what ends well opens nothing', async () => {
  await using t = await setup({ work: { maxConcurrency: 2 } })
  const running = t.queue.submit('work', t.takes(1000, 'went on'))
  void t.queue.submit('work', throwing(t, 'a', tooMany(5)))
  await t.clock.advance(1000)
  expect(await running).toBe('went on')
  void t.queue.submit('work', throwing(t, 'b'))
  await t.clock.advance(3999)
  expect(t.notes).toEqual(['a1@0'])
  await t.clock.advance(1)
})

test('the command that was put off comes back under its original place', async () => {
  await using t = await setup({ work: { maxConcurrency: 1 } })
  void t.queue.submit('work', throwing(t, 'a', tooMany(1)))
  void t.queue.submit('work', throwing(t, 'b'))
  void t.queue.submit('work', throwing(t, 'c'))
  await t.clock.advance(1000)
  expect(t.notes).toEqual(['a1@0', 'a2@1000', 'b1@1000', 'c1@1000'])
})

test('a pause of nothing, or of the past, puts the command off for nothing', async () => {
  await using t = await setup({ work: { retry: RetryPolicy.none() } })
  const past = failure('429', { status: 429, headers: { 'retry-after': 'Wed, 31 Dec 2025 23:59:00 GMT' } })
  expect(await t.clock.expectSettled(t.queue.submit('work', throwing(t, '', tooMany(0), past)))).toBe('')
  expect(t.notes).toEqual(['1@0', '2@0', '3@0'])
})

test('the lane is told to be closed by its provider, and until when', async () => {
  await using t = await setup()
  const put = t.queue.submit('work', throwing(t, '', tooMany(2)))
  await t.clock.settle()
  const waits = t.queue.submit('work', throwing(t, ''))
  const until = '2026-01-01T00:00:02.000Z'
  expect(t.queue.explain(waits.id)).toEqual({
    state: 'pending',
    reasons: [{ code: 'closed_by_provider', message: 'The provider asked for a pause', until }],
  })
  expect(t.queue.explain(put.id)).toEqual({
    state: 'delayed',
    reasons: [{ code: 'delayed', message: 'Attempt 2 follows after a delay', until }],
  })
  await t.clock.advance(2000)
})

test('a closed lane may be paused and resumed meanwhile', async () => {
  await using t = await setup()
  void t.queue.submit('work', throwing(t, 'a', tooMany(2)))
  await t.clock.advance(1000)
  t.queue.lane('work').pause()
  t.queue.lane('work').resume()
  await t.clock.advance(999)
  expect(t.notes).toEqual(['a1@0'])
  t.queue.lane('work').pause()
  await t.clock.advance(1000)
  expect(t.notes).toEqual(['a1@0'])
  t.queue.lane('work').resume()
  await t.clock.settle()
  expect(t.notes).toEqual(['a1@0', 'a2@2999'])
})

test('a lane that is given limits, or leaves its group, stays closed', async () => {
  await using t = await setup({ work: {} })
  void t.queue.submit('work', throwing(t, 'a', tooMany(2)))
  await t.clock.advance(500)
  t.queue.lane('work').configure({ rateLimit: RateLimitConfig.perSecond(10, { group: 'provider' }) })
  await t.clock.advance(500)
  t.queue.lane('work').configure({ rateLimit: undefined })
  void t.queue.submit('work', throwing(t, 'b'))
  await t.clock.advance(999)
  expect(t.notes).toEqual(['a1@0'])
  await t.clock.advance(1)
  expect(t.notes).toEqual(['a1@0', 'a2@2000', 'b1@2000'])
})

test('drain waits for a command that was put off, and names it at its limit', async () => {
  await using t = await setup()
  const run = t.queue.submit('work', throwing(t, '', tooMany(2)))
  const early = errorOf(t.queue.drain(1000))
  const drained = t.queue.drain(10_000)
  await t.clock.advance(1000)
  expect(await early).toMatchObject({ code: 'DRAIN_TIMEOUT', unsettled: [run.id] })
  await t.clock.advance(1000)
  await drained
  expect(run.state).toBe('completed')
})

test('a command that was put off can be cancelled; the lane stays closed', async () => {
  await using t = await setup()
  const run = t.queue.submit('work', throwing(t, 'a', tooMany(2)))
  const error = errorOf(run)
  await t.clock.settle()
  run.cancel()
  expect((await error)['code']).toBe('COMMAND_CANCELLED')
  void t.queue.submit('work', throwing(t, 'b'))
  await t.clock.advance(2000)
  expect(t.notes).toEqual(['a1@0', 'b1@2000'])
})

test('a child that was put off keeps its parent waiting, not failing', async () => {
  await using t = await setup({ work: { maxConcurrency: 1 } })
  const run = t.queue.submit('work', (ctx) => ctx.run('work', throwing(t, 'child', tooMany(2))))
  await t.clock.advance(2000)
  expect(await run).toBe('child')
  expect(t.notes).toEqual(['child1@0', 'child2@2000'])
})

test('a child that failed for good with such an answer does not close the lane of its parent', async () => {
  await using t = await setup({ parents: {}, children: { maxDeferrals: 0 } })
  const error = errorOf(t.queue.submit('parents', (ctx) => ctx.run('children', throwing(t, 'child', tooMany(5)))))
  await t.clock.settle()
  expect(await error).toMatchObject({ code: 'COMMAND_FAILED', message: '429 status code' })
  expect(await t.clock.expectSettled(t.queue.submit('parents', () => 'open'))).toBe('open')
})

test('what its handler calls unrecoverable is final, whatever caused it', async () => {
  await using t = await setup({ work: { retry: RetryPolicy.fixed(5, 0) } })
  const error = errorOf(
    t.queue.submit('work', throwing(t, '', new UnrecoverableError('no use', { cause: tooMany(5) }))),
  )
  expect((await error).message).toBe('no use')
  expect(t.notes).toEqual(['1@0'])
})

test('a body that was cancelled or timed out closes nothing with what it throws later', async () => {
  await using t = await setup({ work: { timeoutMs: 10 } })
  const error = errorOf(
    t.queue.submit('work', async () => {
      await t.sleep(20)
      throw tooMany(1000)
    }),
  )
  await t.clock.advance(20)
  expect((await error)['code']).toBe('COMMAND_TIMEOUT')
  expect(await t.clock.expectSettled(t.queue.submit('work', () => 'open'))).toBe('open')
})

describe('RetryAfterError', () => {
  test('with scope lane closes the lane by hand, with or without a rate limit', async () => {
    for (const rateLimit of [undefined, RateLimitConfig.perSecond(100)]) {
      await using t = await setup({ work: { rateLimit } })
      const run = t.queue.submit('work', throwing(t, 'a', new RetryAfterError(500, { scope: 'lane' })))
      await t.clock.settle()
      void t.queue.submit('work', throwing(t, 'b'))
      await t.clock.advance(500)
      expect(await run).toBe('a')
      expect(t.notes).toEqual(['a1@0', 'a2@500', 'b1@500'])
    }
  })

  test('with scope lane closes the group of the lane', async () => {
    const rateLimit = RateLimitConfig.perSecond(100, { group: 'provider' })
    await using t = await setup({ a: { rateLimit }, b: { rateLimit } })
    void t.queue.submit('a', throwing(t, 'a', new RetryAfterError(500, { scope: 'lane' })))
    await t.clock.settle()
    void t.queue.submit('b', throwing(t, 'b'))
    await t.clock.advance(500)
    expect(t.notes).toEqual(['a1@0', 'a2@500', 'b1@500'])
  })

  test('with scope command, the default, puts off that command alone', async () => {
    await using t = await setup()
    const runs = [new RetryAfterError(500), new RetryAfterError(500, { scope: 'command' })].map((error) =>
      t.queue.submit('work', throwing(t, '', error)),
    )
    await t.clock.settle()
    expect(await t.clock.expectSettled(t.queue.submit('work', () => 'open'))).toBe('open')
    await t.clock.advance(500)
    expect(await Promise.all(runs)).toEqual(['', ''])
  })

  test('with scope lane spends no retry and counts as a deferral', async () => {
    await using t = await setup({ work: { maxDeferrals: 1, retry: RetryPolicy.fixed(1, 0) } })
    const again = (): RetryAfterError => new RetryAfterError(10, { scope: 'lane' })
    const error = errorOf(t.queue.submit('work', throwing(t, '', again(), new Error('no'), again())))
    await t.clock.advance(100)
    expect((await error)['code']).toBe('COMMAND_FAILED')
    expect(t.notes).toEqual(['1@0', '2@10', '3@10'])
  })

  test('refuses a scope or a delay that makes no sense', () => {
    for (const make of [
      () => new RetryAfterError(-1),
      () => new RetryAfterError(Number.NaN),
      () => new RetryAfterError(1, { scope: 'queue' as 'lane' }),
    ]) {
      expect(thrownBy(make)['code']).toBe('CONFIG_INVALID')
    }
  })
})
