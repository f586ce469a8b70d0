import assert from 'node:assert/strict'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Breaker, type BreakerOptions, type BreakerState, breakerOptions } from '../../../src/policy/breaker.js'

const ask = { cost: undefined }

const ENDS = { s: 'success', f: 'failure', n: 'neutral' } as const

/** A breaker, what it announced, and the ends of attempts in short. */
class Watched {
  readonly changes: BreakerState[] = []
  readonly breaker: Breaker
  now = 0

  constructor(options: BreakerOptions) {
    this.breaker = new Breaker(breakerOptions('breaker', options), (state) => this.changes.push(state))
  }

  get state(): BreakerState {
    return this.breaker.state(this.now)
  }

  get readyAt(): number {
    return this.breaker.readyAt(ask, this.now)
  }

  /** Attempts that start and end at this instant: s success, f failure, n neutral. */
  run(ends: string): this {
    for (const end of ends) this.start().end(end, this.now)
    return this
  }

  start(): this {
    this.breaker.started(ask, this.now)
    return this
  }

  end(end: string, startedAt?: number): this {
    this.breaker.ended(ENDS[end as keyof typeof ENDS], this.now, startedAt)
    return this
  }

  at(now: number): this {
    this.now = now
    return this
  }
}

const plain: BreakerOptions = { failureRatio: 0.5, minimum: 4, windowMs: 1000, openMs: 500, halfOpen: 1 }

describe('options', () => {
  test('all but the ratio have defaults', () => {
    expect(breakerOptions('breaker', { failureRatio: 0.3 })).toEqual({
      failureRatio: 0.3,
      minimum: 10,
      windowMs: 10_000,
      openMs: 30_000,
      halfOpen: 1,
    })
    expect(breakerOptions('breaker', plain)).toEqual(plain)
  })

  test.each<[unknown, string]>([
    [undefined, ' must be an object, got undefined'],
    [{}, '.failureRatio must be a number above 0, at most 1, got undefined'],
    [{ failureRatio: 0 }, '.failureRatio must be a number above 0, at most 1, got 0'],
    [{ failureRatio: 1.01 }, '.failureRatio must be a number above 0, at most 1, got 1.01'],
    [{ failureRatio: Number.NaN }, '.failureRatio must be a number above 0, at most 1, got NaN'],
    [{ failureRatio: '1' }, '.failureRatio must be a number above 0, at most 1, got "1"'],
    [{ failureRatio: 1, minimum: 0 }, '.minimum must be an integer of at least 1, got 0'],
    [{ failureRatio: 1, windowMs: 0 }, '.windowMs must be a number of milliseconds, above 0, got 0'],
    [
      { failureRatio: 1, windowMs: Number.POSITIVE_INFINITY },
      '.windowMs must be a number of milliseconds, above 0, got Infinity',
    ],
    [{ failureRatio: 1, openMs: -1 }, '.openMs must be a number of milliseconds, above 0, got -1'],
    [{ failureRatio: 1, halfOpen: 0.5 }, '.halfOpen must be an integer of at least 1, got 0.5'],
    [{ failureRatio: 1, halfopen: 1 }, " has no option 'halfopen'"],
  ])('%j are refused', (options, message) => {
    expect(() => breakerOptions("lane 'a'.breaker", options)).toThrow(`Configuration error: lane 'a'.breaker${message}`)
  })
})

describe('closed', () => {
  test('it lets everything through and opens with enough ends, enough of them failures', () => {
    const w = new Watched(plain)
    expect([w.state, w.readyAt, w.breaker.reason(ask, 0)]).toEqual(['closed', 0, undefined])
    expect(w.run('fff').state).toBe('closed')
    expect(w.run('f').state).toBe('open')
    expect(w.changes).toEqual(['open'])
  })

  test.each([
    ['sssfff', 'open'],
    ['ssssff', 'closed'],
    ['fffs', 'open'],
    ['sfsf', 'open'],
    ['ssff', 'open'],
    ['sssf', 'closed'],
    ['nnnnnn', 'closed'],
    ['nfnfnf', 'closed'],
    ['nfnfnfns', 'open'],
  ])('a ratio of 0.5 of at least 4: after %s it is %s', (ends, state) => {
    expect(new Watched(plain).run(ends).state).toBe(state)
  })

  test.each([0.1, 0.2, 0.3, 0.6, 0.7])('a ratio of %d opens with exactly that share of ten', (failureRatio) => {
    const w = new Watched({ ...plain, failureRatio, minimum: 10 })
    const failures = Math.round(failureRatio * 10)
    expect(w.run('s'.repeat(10 - failures) + 'f'.repeat(failures)).state).toBe('open')
    const fewer = new Watched({ ...plain, failureRatio, minimum: 10 })
    expect(fewer.run('s'.repeat(11 - failures) + 'f'.repeat(failures - 1)).state).toBe('closed')
  })

  test('a ratio of 1 with a minimum of 1 opens at the first failure', () => {
    expect(new Watched({ failureRatio: 1, minimum: 1 }).run('f').changes).toEqual(['open'])
  })

  test('an attempt that ended a window ago does not count any more, one that ended a moment later does', () => {
    expect(new Watched(plain).run('ff').at(999).run('ff').state).toBe('open')
    expect(new Watched(plain).run('ff').at(1000).run('ff').state).toBe('closed')
    expect(new Watched(plain).at(123).run('ff').at(1122).run('ff').state).toBe('open')
    expect(new Watched(plain).run('ff').at(1e12).run('ff').state).toBe('closed')
  })

  test('an attempt counts with the tenth of the window in which it ended', () => {
    const second = (): Watched => new Watched(plain).run('s').at(100).run('ff')
    expect(second().at(1099).run('ff').state).toBe('open')
    expect(second().at(1100).run('ff').state).toBe('closed')
    const first = (): Watched => new Watched(plain).run('s').at(99).run('ff')
    expect(first().at(999).run('ff').state).toBe('open')
    expect(first().at(1000).run('ff').state).toBe('closed')
  })

  test('a clock that steps back counts as one that stands still', () => {
    const stepBack = (): Watched => new Watched(plain).at(5000).run('ff').at(100).run('f')
    expect(stepBack().state).toBe('closed')
    expect(stepBack().at(5999).run('f').state).toBe('open')
    expect(stepBack().at(6000).run('ff').state).toBe('closed')
  })

  test('failures are forgotten as the ends are', () => {
    expect(new Watched(plain).run('fff').at(1000).run('sssf').state).toBe('closed')
    expect(new Watched(plain).run('fff').at(950).run('s').state).toBe('open')
  })
})

describe('open', () => {
  test('it starts nothing for openMs, and says until when and why', () => {
    const w = new Watched(plain).at(100).run('sfff')
    expect(w.readyAt).toBe(600)
    expect(w.at(599).readyAt).toBe(600)
    expect(w.state).toBe('open')
    expect(w.breaker.reason(ask, 599)).toEqual({
      code: 'breaker_open',
      message: 'The circuit breaker is open, because 3 of 4 attempts failed within 1000 ms',
      until: 600,
    })
  })

  test('then it is half open, which is announced when a trial starts', () => {
    const w = new Watched(plain).run('ffff').at(500)
    expect([w.state, w.readyAt, w.breaker.reason(ask, 500)]).toEqual(['half_open', 500, undefined])
    expect(w.changes).toEqual(['open'])
    expect(w.start().changes).toEqual(['open', 'half_open'])
    expect(w.state).toBe('half_open')
  })

  test('what was started before ends without a say', () => {
    const w = new Watched(plain).start().start().run('ffff').at(100)
    expect(w.end('s', 0).end('f', 0).changes).toEqual(['open'])
    expect(w.readyAt).toBe(500)
  })

  test('a start that should not have been is no trial', () => {
    const w = new Watched(plain).run('ffff').at(100).start()
    expect(w.changes).toEqual(['open'])
    expect(w.at(500).end('s', 100).changes).toEqual(['open'])
  })
})

describe('half open', () => {
  const halfOpen = (trials: number): Watched => new Watched({ ...plain, halfOpen: trials }).run('ffff').at(500)

  test('a trial that succeeds closes it, with an empty record', () => {
    const w = halfOpen(1).run('s')
    expect(w.changes).toEqual(['open', 'half_open', 'closed'])
    expect(w.run('fff').state).toBe('closed')
    expect(w.run('f').state).toBe('open')
  })

  test('a trial that fails opens it again, for all of openMs', () => {
    const w = halfOpen(1).start().at(700).end('f', 500)
    expect(w.changes).toEqual(['open', 'half_open', 'open'])
    expect(w.readyAt).toBe(1200)
    expect(w.breaker.reason(ask, 700)?.message).toBe(
      'The circuit breaker is open, because the command let through on trial failed',
    )
    expect(w.at(1200).run('s').state).toBe('closed')
  })

  test('no more than halfOpen are let through before they have ended', () => {
    const w = halfOpen(2)
    expect(w.start().readyAt).toBe(500)
    expect(w.start().readyAt).toBe(Number.POSITIVE_INFINITY)
    expect(w.breaker.reason(ask, 500)).toEqual({
      code: 'breaker_open',
      message: 'The circuit breaker is half open and waits for what it has let through on trial: 2 commands',
    })
    expect(w.end('s', 500).readyAt).toBe(Number.POSITIVE_INFINITY)
    expect(w.end('s', 500).changes).toEqual(['open', 'half_open', 'closed'])
  })

  test('trials that come one after the other are counted together', () => {
    const w = halfOpen(3).run('ss')
    expect([w.state, w.readyAt]).toEqual(['half_open', 500])
    expect(w.run('s').state).toBe('closed')
  })

  test('one trial that fails is enough, and the others have no say any more', () => {
    const w = halfOpen(3).start().start().end('s', 500).end('f', 500)
    expect(w.changes).toEqual(['open', 'half_open', 'open'])
    w.at(1000).start().end('s', 500)
    expect(w.changes).toEqual(['open', 'half_open', 'open', 'half_open'])
    expect(w.end('s', 1000).end('n', 1000).state).toBe('half_open')
  })

  test('each round of trials begins anew', () => {
    const w = halfOpen(2).run('s').start().start()
    expect(w.end('f', 500).state).toBe('open')
    w.at(1000).run('s')
    expect([w.state, w.readyAt]).toEqual(['half_open', 1000])
    expect(w.run('s').changes).toEqual(['open', 'half_open', 'open', 'half_open', 'closed'])
  })

  test('a trial whose start is told wrongly is taken for one when no older attempt is left', () => {
    const w = halfOpen(1).start().end('s', 0)
    expect(w.state).toBe('closed')
  })

  test('an attempt that had been started before there was a breaker ends like any other', () => {
    const w = new Watched(plain).end('f').end('f').end('f').end('f')
    expect(w.state).toBe('open')
    expect(w.at(500).run('s').run('fff').start().run('f').state).toBe('open')
    expect(w.at(1000).start().end('f', 500).state).toBe('half_open')
    expect(w.end('s', 1000).state).toBe('closed')
  })

  test('a trial that was cancelled or put off gives its place back', () => {
    const w = halfOpen(1).start()
    expect(w.readyAt).toBe(Number.POSITIVE_INFINITY)
    expect(w.end('n', 500).readyAt).toBe(500)
    expect(w.changes).toEqual(['open', 'half_open'])
    expect(w.run('s').state).toBe('closed')
  })

  test('an older attempt that ends has no say, whether it fails or succeeds', () => {
    for (const end of ['f', 's', 'n']) {
      const w = new Watched(plain).start().run('ffff').at(500).start().end(end, 0)
      expect([w.state, w.readyAt]).toEqual(['half_open', Number.POSITIVE_INFINITY])
      expect(w.end('s', 500).state).toBe('closed')
    }
  })

  test("without the instant of its start, an end counts as a trial's while there are trials", () => {
    const w = halfOpen(1)
    w.start()
    expect(w.end('s').state).toBe('closed')
    const none = halfOpen(1).start().end('n')
    expect(none.end('f').state).toBe('half_open')
  })
})

describe('other limits', () => {
  const change = (w: Watched, options: Partial<BreakerOptions>): void =>
    w.breaker.configure(breakerOptions('breaker', { ...plain, ...options }))

  test('what was counted is kept, unless the window is another', () => {
    const kept = new Watched(plain).run('fff')
    change(kept, { minimum: 5 })
    expect(kept.run('f').state).toBe('closed')
    expect(kept.run('f').state).toBe('open')
    const fresh = new Watched(plain).run('fff')
    change(fresh, { windowMs: 2000 })
    expect(fresh.run('fff').state).toBe('closed')
    expect(fresh.run('f').state).toBe('open')
  })

  test('an open one stays open for the new time since it opened', () => {
    const w = new Watched(plain).at(100).run('ffff')
    change(w, { openMs: 50 })
    expect(w.readyAt).toBe(150)
    change(w, { openMs: 5000 })
    expect(w.readyAt).toBe(5100)
    expect(w.changes).toEqual(['open'])
  })

  test('a half open one closes when as many have succeeded as are asked for now', () => {
    const w = new Watched({ ...plain, halfOpen: 3 }).run('ffff').at(500).run('ss')
    change(w, { halfOpen: 2 })
    expect(w.changes).toEqual(['open', 'half_open', 'closed'])
    const more = new Watched(plain).run('ffff').at(500).start()
    change(more, { halfOpen: 2 })
    expect(more.readyAt).toBe(500)
  })
})

test('an end counts for at least nine tenths of the window and never longer than all of it', () => {
  // in hundredths of the window: mostly close together, now and then far apart
  const gap = fc.oneof(fc.integer({ min: 0, max: 3 }), fc.integer({ min: 10, max: 110 }))
  const gaps = fc.array(gap, { minLength: 1, maxLength: 60 })
  const windowMs = fc.double({ min: 0.5, max: 2000, noNaN: true })
  fc.assert(
    fc.property(gaps, fc.integer({ min: 1, max: 6 }), windowMs, (steps, minimum, window) => {
      const w = new Watched({ failureRatio: 1, minimum, windowMs: window, openMs: 1 })
      const ends: number[] = []
      const within = (ms: number): number => ends.filter((at) => w.now - at < ms).length
      for (const step of steps) {
        assert.ok(within(window * (0.9 - 1e-9)) < minimum, 'it did not open for ends that are recent')
        w.at(w.now + (step * window) / 100).run('f')
        ends.push(w.now)
        if (w.changes.length > 0) break
      }
      const isOpen = w.changes.length > 0
      expect(isOpen ? within(window * (1 + 1e-9)) : minimum).toBeGreaterThanOrEqual(minimum)
    }),
    { numRuns: 2000 },
  )
})

/** A breaker with attempts under way, oldest first; the ones of now are trials while it is half open. */
class Driven extends Watched {
  running: number[] = []
  #halfOpenAt = 0

  step(kind: string, ms: number): void {
    if (kind === 'wait') this.at(this.now + ms)
    else if (kind === 'start') this.#startIfReady()
    else if (this.running.length > 0) this.end(kind, this.running.shift())
  }

  get trials(): number {
    const isHalfOpen = this.changes[this.changes.length - 1] === 'half_open'
    return isHalfOpen ? this.running.filter((at) => at >= this.#halfOpenAt).length : 0
  }

  #startIfReady(): void {
    if (this.readyAt > this.now) return
    const changes = this.changes.length
    this.start().running.push(this.now)
    if (this.changes.length > changes) this.#halfOpenAt = this.now
  }
}

test('states change as drawn, nothing is due while it is open, and at most halfOpen trials are under way', () => {
  const steps = fc.array(
    fc.record({ kind: fc.constantFrom('start', 's', 'f', 'n', 'wait'), ms: fc.integer({ min: 1, max: 300 }) }),
    { maxLength: 150, size: 'max' },
  )
  const legal = ['closed>open', 'open>half_open', 'half_open>open', 'half_open>closed']
  fc.assert(
    fc.property(steps, fc.integer({ min: 1, max: 3 }), (happened, halfOpen) => {
      const w = new Driven({ ...plain, minimum: 2, halfOpen })
      for (const { kind, ms } of happened) {
        w.step(kind, ms)
        const { now, readyAt } = w
        const reason = w.breaker.reason(ask, now)
        assert.equal(reason === undefined, readyAt <= now)
        assert.equal(w.state === 'open', readyAt > now && readyAt < Number.POSITIVE_INFINITY)
        assert.equal(reason?.until, w.state === 'open' ? readyAt : undefined)
        assert.ok(w.trials <= halfOpen)
      }
      const states = ['closed', ...w.changes]
      const changes = w.changes.map((state, index) => `${states[index]}>${state}`)
      expect(changes.filter((change) => !legal.includes(change))).toEqual([])
    }),
  )
})
