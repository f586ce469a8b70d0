/** The demo on small folders: its figures add up, and it ends as it says, whatever it is given. */
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { root } from '../../scripts/entry-points.mjs'
import { BUILD_MS, build, type Ended, run, start } from './built.js'

type Percentiles = { readonly count: number; readonly p50: number; readonly p99: number; readonly max: number }
type Lane = Record<'submitted' | 'done' | 'failed' | 'timedOut' | 'cancelled' | 'retried' | 'started', number> &
  Record<'waitMs' | 'runMs', Percentiles | null>

/** As much of the document as is looked at here. */
type Summary = {
  readonly seconds: number
  readonly storage: string | null
  readonly resumed: { readonly commands: number; readonly running: number } | null
  readonly read: { readonly files: number; readonly lines: number; readonly todos: number; readonly notes: number }
  readonly leftOut: readonly string[]
  readonly lanes: Readonly<Record<string, Lane>>
  readonly control: {
    readonly commands: number
    readonly underFullLoad: number
    readonly startedWhilePaused: number
    readonly startUnderFullLoadMs: Percentiles | null
  }
  readonly cancel: { readonly generationStopMs: Percentiles | null; readonly processStopMs: Percentiles | null }
  readonly events: { readonly deadLettered: number; readonly redriven: number; readonly faults: number }
  readonly checks: Readonly<Record<string, boolean>>
}

/** As long as the longest run may take, and some more for a busy machine. */
const LIMIT_MS = 60_000

const folder = mkdtempSync(join(tmpdir(), 'demo-test-'))
/** The demo makes its own temporary folders in here, so that what it leaves behind is seen. */
const temp = join(folder, 'tmp')
const tree = join(folder, 'tree')

const demo = (...args: string[]): Promise<Ended> => run('demo/main', args, { TMPDIR: temp })

const sum = ({ done, failed, timedOut, cancelled }: Lane): number => done + failed + timedOut + cancelled

beforeAll(async () => {
  for (const name of [
    temp,
    join(tree, 'src/inner'),
    join(tree, 'docs'),
    join(tree, 'node_modules/x'),
    `${folder}/empty`,
  ])
    mkdirSync(name, { recursive: true })
  const words = 'The lane with the highest priority that has work and room goes next. '
  for (const name of ['src/one.ts', 'src/two.ts', 'src/inner/three.ts', 'docs/four.md', 'five.txt']) {
    const text = Array.from(
      { length: 40 },
      (_, line) => `import { x${line} } from './${line}' // ${words.repeat(line % 3)}`,
    )
    writeFileSync(join(tree, name), `${text.join('\n')}\n// TODO ${name}\n`)
  }
  writeFileSync(join(tree, 'node_modules/x/index.js'), 'not looked at\n')
  writeFileSync(join(tree, 'picture.dat'), new Uint8Array([1, 0, 2]))
  await build()
}, BUILD_MS)

afterAll(() => rmSync(folder, { recursive: true, force: true }))

describe('on a small folder', () => {
  let ended: Ended
  let summary: Summary

  beforeAll(async () => {
    ended = await demo('--json', '--seconds', '7', tree)
    summary = JSON.parse(ended.stdout) as Summary
  }, LIMIT_MS)

  test('ends well, with one JSON document and nothing else', () => {
    expect({ code: ended.code, stderr: ended.stderr }).toEqual({ code: 0, stderr: '' })
    expect(summary.seconds).toBeLessThan(20)
    expect(summary.checks).toEqual({ countsAddUp: true, notesAgree: true })
  })

  test('reads what is text, and says what it left out', () => {
    expect(summary.read).toMatchObject({ files: 5, lines: 5 * 41, todos: 5 })
    expect(summary.leftOut).toEqual([
      'the folders node_modules',
      'git log: the folder is not in a git repository',
      '1 file that turned out to be binary',
    ])
  })

  test('counts each command of each lane once', () => {
    expect(Object.keys(summary.lanes)).toEqual(['system', 'control', 'query', 'session', 'skill', 'prompt'])
    for (const [id, lane] of Object.entries(summary.lanes)) {
      expect(sum(lane), `ends in ${id}`).toBe(lane.submitted)
      // in so short a time every generation may have been skipped or stopped
      expect(id === 'prompt' ? lane.cancelled : lane.done, `done in ${id}`).toBeGreaterThan(0)
      expect(lane.started, `attempts in ${id}`).toBeGreaterThanOrEqual(lane.done + lane.retried)
      expect(lane.waitMs?.count, `attempts whose wait was measured in ${id}`).toBe(lane.started)
      expect(lane.runMs?.count ?? 0, `results that were timed in ${id}`).toBe(lane.done)
    }
    expect(summary.lanes['session']?.done).toBe(summary.read.notes)
  })

  test('has retried, buried and redriven what failed', () => {
    expect(summary.lanes['skill']?.retried).toBeGreaterThan(0)
    expect(summary.events).toMatchObject({ deadLettered: 1, redriven: 1, faults: 0 })
  })

  test('has measured control while everything was busy', () => {
    const { commands, underFullLoad, startUnderFullLoadMs, startedWhilePaused } = summary.control
    expect(commands).toBe(summary.lanes['control']?.done)
    expect(underFullLoad).toBeGreaterThan(0)
    expect(startUnderFullLoadMs?.count).toBe(underFullLoad)
    expect(startedWhilePaused).toBe(0)
    expect(summary.cancel.generationStopMs?.count).toBeGreaterThan(0)
    expect(summary.cancel.processStopMs?.count).toBe(1)
  })

  test('leaves nothing behind', () => {
    expect(readdirSync(temp)).toEqual([])
  })
})

test(
  'prints a table for people',
  async () => {
    const { code, stdout, stderr } = await demo('--seconds', '3', tree)
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(stdout).toMatch(/^ lane +done +failed +retried +cancelled +wait p50 +p99 +run p50 +p99$/m)
    expect(stdout).toMatch(/^ query +\d/m)
    expect(stdout).toContain('control pauses the prompt lane')
    expect(stdout, 'without colours').not.toContain('\u001b')
  },
  LIMIT_MS,
)

test(
  'an empty folder is no reason to wait',
  async () => {
    const { code, stdout } = await demo('--json', '--seconds', '15', `${folder}/empty`)
    const { seconds, read, control } = JSON.parse(stdout) as Summary
    expect(code).toBe(0)
    expect(seconds).toBeLessThan(10)
    expect(read.files).toBe(0)
    expect(control).toMatchObject({ underFullLoad: 0, startUnderFullLoadMs: null })
  },
  LIMIT_MS,
)

/** A demo that is at work: a signal that comes while Node starts just ends it. */
async function atWork() {
  const { child, ended } = start('demo/main', ['--seconds', '15', tree], { TMPDIR: temp })
  await new Promise<void>((resolve) => {
    child.stdout.on('data', (text: string) => {
      if (text.includes('deliver the notes')) resolve()
    })
  })
  return { child, ended }
}

describe('killed, and started again', () => {
  test(
    'it goes on where it was',
    async () => {
      const { child, ended } = await atWork()
      child.kill('SIGKILL')
      const before = await ended
      expect(before.stdout).toMatch(/kept in .*lane-demo-/)
      const [left = ''] = readdirSync(temp)
      expect(left).toMatch(/^lane-demo-/)

      const { code, stdout, stderr } = await demo('--seconds', '5', tree)
      expect({ code, stderr }, stdout).toEqual({ code: 0, stderr: '' })
      expect(stdout).toMatch(/resumed: \d+ commands, [1-9]\d* were running/)
      expect(stdout).toMatch(/recovered: watch the folder/)
      expect(stdout).toMatch(/^ Resumed: \d+ commands/m)
      expect(stdout).toMatch(/^ ok +every command/m)
      expect(stdout).toMatch(/^ ok +every note/m)
      expect(readdirSync(temp)).toEqual([])
    },
    LIMIT_MS,
  )

  test(
    'a second one beside it is refused, and --fresh begins anew when it is gone',
    async () => {
      const { child, ended } = await atWork()
      const second = await demo('--json', '--fresh', tree)
      expect(second).toMatchObject({ code: 1, stdout: '' })
      expect(second.stderr).toMatch(/^STORAGE_LOCKED: .* process \d+/)
      child.kill('SIGKILL')
      await ended

      const { code, stdout } = await demo('--json', '--fresh', '--seconds', '3', tree)
      const { resumed, checks } = JSON.parse(stdout) as Summary
      expect({ code, resumed, checks }).toEqual({
        code: 0,
        resumed: null,
        checks: { countsAddUp: true, notesAgree: true },
      })
      expect(readdirSync(temp)).toEqual([])
    },
    LIMIT_MS,
  )
})

test(
  '--memory keeps nothing on the disk',
  async () => {
    const { code, stdout } = await demo('--json', '--memory', '--seconds', '3', tree)
    const { storage, checks } = JSON.parse(stdout) as Summary
    expect({ code, storage, checks }).toEqual({
      code: 0,
      storage: null,
      checks: { countsAddUp: true, notesAgree: true },
    })
  },
  LIMIT_MS,
)

test(
  'an interruption ends it in good order',
  async () => {
    const { child, ended } = await atWork()
    child.kill('SIGINT')
    const { code, stdout } = await ended
    expect({ code, interrupted: stdout.includes('Interrupted after') }).toEqual({ code: 130, interrupted: true })
    expect(stdout).toMatch(/^ ok +every command/m)
    expect(stdout).toMatch(/^ ok +every note/m)
    expect(readdirSync(temp)).toEqual([])
  },
  LIMIT_MS,
)

describe('a command line that makes no sense', () => {
  test.each([
    ['a folder that is not there', ['no/such/folder'], `There is no folder ${join(root, 'no/such/folder')}.\n`],
    ['a file', ['package.json'], `${join(root, 'package.json')} is not a folder.\n`],
    ['an unknown option', ['--colour'], `Unknown option '--colour'.\n\nUsage: npm run demo`],
    ['too long', ['--seconds', '90'], `--seconds takes a number from 3 to 15, not '90'.\n\nUsage`],
    ['two folders', ['a', 'b'], 'One folder at a time, please.'],
  ])(
    '%s is refused with a sentence',
    async (_what, args, message) => {
      const { code, stdout, stderr } = await demo('--json', ...args)
      expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
      expect(stderr).toContain(message)
    },
    LIMIT_MS,
  )

  test(
    '--help is none',
    async () => {
      const { code, stdout, stderr } = await demo('--help')
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
      expect(stdout).toContain('Usage: npm run demo')
    },
    LIMIT_MS,
  )
})
