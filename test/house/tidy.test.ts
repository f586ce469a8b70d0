import { describe, expect, test } from 'vitest'
import { findBannedCalls } from './bans.js'
import { loadProject, projectOf } from './project.js'
import { findBadFileNames, findForeignWords, findLongFiles, findLongFunctions, findMisspellings } from './tidiness.js'

const project = loadProject()

describe('the house', () => {
  // it parses every file: seconds on a busy machine
  test('reads time, randomness and ids from what is injected, and prints nothing', { timeout: 30_000 }, () => {
    expect(findBannedCalls(project)).toEqual([])
  })

  test('keeps files short', () => {
    expect(findLongFiles(project)).toEqual([])
  })

  test('keeps functions short', () => {
    expect(findLongFunctions(project)).toEqual([])
  })

  test('names files after what they hold', () => {
    expect(findBadFileNames(project)).toEqual([])
  })

  test('spells cancelled with two l', () => {
    expect(findMisspellings(project)).toEqual([])
  })

  test('speaks of commands', () => {
    expect(findForeignWords(project)).toEqual([])
  })
})

const bansIn = (text: string, path = 'src/core/lane.ts'): string[] => findBannedCalls(projectOf({ [path]: text }))

describe('a planted call is found:', () => {
  test.each([
    ['Date.now()', 'Date'],
    ['new Date()', 'Date'],
    ['new Date(5)', 'Date'],
    ['Date()', 'Date'],
    ['const { now } = Date', 'Date'],
    [`Date['now']()`, 'Date'],
    ['globalThis.Date.now()', 'Date'],
    ['performance.now()', 'performance'],
    ['setTimeout(f, 1)', 'setTimeout'],
    ['globalThis.setTimeout(f, 1)', 'setTimeout'],
    [`globalThis['setTimeout'](f, 1)`, 'setTimeout'],
    ['const later = setTimeout', 'setTimeout'],
    ['const timers = { setTimeout }', 'setTimeout'],
    ['setInterval(f, 1)', 'setInterval'],
    ['setImmediate(f)', 'setImmediate'],
    ['AbortSignal.timeout(5)', 'AbortSignal.timeout'],
    ['process.nextTick(f)', 'process'],
    ['Math.random()', 'Math.random'],
    [`Math['random']()`, 'Math.random'],
    ['const { random } = Math', 'Math.random'],
    ['crypto.getRandomValues(bytes)', 'crypto'],
    [`import { randomUUID } from 'node:crypto'`, 'randomUUID'],
    [`console.log('x')`, 'console'],
  ])('%s', (text, name) => {
    expect(bansIn(text)).toEqual([expect.stringContaining(`src/core/lane.ts:1 uses ${name}: use `)])
  })
})

describe('a harmless line is left alone:', () => {
  test.each([
    ['clock.setTimeout(f, 1)'],
    ['type Timer = ReturnType<typeof setTimeout>'],
    ['interface Clock { setTimeout(f: () => void): void; performance: number }'],
    ['class VirtualClock { setTimeout() {} }'],
    ['const clock = { setTimeout: f }'],
    ['let at: Date | undefined'],
    ['at instanceof Date'],
    ['Date.parse(text)'],
    ['Math.max(1, 2)'],
    ['AbortSignal.any([a, b])'],
    ['queueMicrotask(f)'],
    [`'setTimeout(…)' // Date.now()`],
  ])('%s', (text) => {
    expect(bansIn(text)).toEqual([])
  })

  test('the wrapping files', () => {
    expect(bansIn('Date.now(); performance.now(); setTimeout(f, 1)', 'src/core/clock.ts')).toEqual([])
    expect(bansIn('Math.random(); crypto.randomUUID()', 'src/core/random.ts')).toEqual([])
    expect(bansIn('Math.random()', 'src/core/clock.ts')).toHaveLength(1)
  })
})

describe('length', () => {
  const lines = (count: number): string => '// x\n'.repeat(count)
  const reason = 'one table'

  test('a file past the limit is found', () => {
    expect(findLongFiles(projectOf({ 'src/core/a.ts': lines(400), 'src/core/b.ts': lines(401) }), {})).toEqual([
      expect.stringContaining('src/core/b.ts has 401 lines'),
    ])
  })

  test('a file on the list may not grow, and the list may only shrink', () => {
    const withEntry = (size: number, entry: { lines: number; reason: string }): string[] =>
      findLongFiles(projectOf({ 'src/core/a.ts': lines(size) }), { 'src/core/a.ts': entry })
    expect(withEntry(450, { lines: 450, reason })).toEqual([])
    expect(withEntry(451, { lines: 450, reason })).toEqual([expect.stringContaining('at most 450')])
    expect(withEntry(440, { lines: 450, reason })).toEqual([expect.stringContaining('lower its entry')])
    expect(withEntry(400, { lines: 450, reason })).toEqual([expect.stringContaining('remove it')])
    expect(withEntry(450, { lines: 450, reason: ' ' })).toEqual([expect.stringContaining('no reason')])
  })

  test('the scheduler gets no exception', () => {
    const tolerated = { 'src/core/scheduler.ts': { lines: 401, reason } }
    expect(findLongFiles(projectOf({ 'src/core/scheduler.ts': lines(401) }), tolerated)).toEqual([
      expect.stringContaining('no exception'),
    ])
  })

  test.each([
    ['a function', (body: string) => `function long() {\n${body}}`, '#long'],
    ['a method', (body: string) => `class A {\n  long() {\n${body}}}`, '#long'],
    ['a private method', (body: string) => `class A {\n  #long() {\n${body}}}`, '##long'],
    ['an arrow function', (body: string) => `const long = () => {\n${body}}`, '#long'],
    ['a constructor', (body: string) => `class A { constructor() {\n${body}} }`, '#constructor'],
    ['a callback', (body: string) => `f(() => {\n${body}})`, '#line 1'],
  ])('%s past the limit is found', (_what, text, name) => {
    const found = (count: number): string[] => findLongFunctions(projectOf({ 'src/core/a.ts': text(lines(count)) }), {})
    expect(found(68)).toEqual([])
    expect(found(69)).toEqual([expect.stringContaining(`src/core/a.ts${name} has 71 lines`)])
  })
})

describe('names and words', () => {
  test.each([
    'src/core/utils.ts',
    'src/core/types.ts',
    'src/helpers/index.ts',
    'test/unit/helper.ts',
    'src/core/retryPolicy.ts',
  ])('the file name %s is found', (path) => {
    expect(findBadFileNames(projectOf({ [path]: '' }))).toHaveLength(1)
  })

  test.each(['src/core/retry-policy.ts', 'test/types/queue.test-d.ts', 'globals.portable.d.ts'])(
    'the file name %s passes',
    (path) => {
      expect(findBadFileNames(projectOf({ [path]: '' }))).toEqual([])
    },
  )

  // in two halves, so that this file passes the rule
  test.each([
    ['cancel', 'ed'],
    ['isCancel', 'edAt'],
    ['CANCEL', 'ED'],
    ['cancel', 'ing'],
  ])('the spelling %s%s is found', (start, end) => {
    expect(findMisspellings(projectOf({ 'docs/a.md': `a ${start}${end} command` }))).toHaveLength(1)
  })

  test('the right spelling passes', () => {
    expect(
      findMisspellings(projectOf({ 'docs/a.md': 'cancelled, cancelling, cancellation, cancelError, cancelable' })),
    ).toEqual([])
  })

  test.each(['const jobId = 1', 'class A { #task = 1 }', 'function runTasks() {}', 'x.JOB_ID'])(
    'the foreign word in %s is found',
    (text) => {
      expect(findForeignWords(projectOf({ 'src/core/a.ts': text }))).toHaveLength(1)
    },
  )

  test('microtasks, words in text and adapters pass', () => {
    expect(findForeignWords(projectOf({ 'src/core/a.ts': `queueMicrotask(f) // a job\nconst a = 'task'` }))).toEqual([])
    expect(findForeignWords(projectOf({ 'src/bullmq/a.ts': 'const job = 1' }))).toEqual([])
  })
})
