/** The cluster example: real processes, a real server, and one worker killed on the way. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { redisMissing } from '../support/redis.js'
import { BUILD_MS, build, run, start } from './built.js'

const skip = redisMissing() !== undefined
/** It works for some seconds of real time, and longer on a busy machine. */
const LIMIT_MS = 120_000
/** A place of its own for what it leaves behind. */
const temp = mkdtempSync(join(tmpdir(), 'lane-cluster-test-'))
const env = { TMPDIR: temp, COLUMNS: '' }

beforeAll(build, BUILD_MS)
afterAll(() => rmSync(temp, { recursive: true, force: true }))

const leftBehind = (): string[] => readdirSync(temp)

/** Whether a process is there. */
function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

test('a worker is killed, the others run again what it has left, and every command is settled once with the right result', {
  timeout: LIMIT_MS,
  skip,
}, async () => {
  const { code, stdout, stderr } = await run('cluster/main', [], { ...env, SECONDS: '5' })
  expect({ code, stderr }, stdout).toEqual({ code: 0, stderr: '' })
  expect(stdout.match(/^yes {2}/gm), stdout).toHaveLength(4)
  expect(stdout).toMatch(/w\d is killed while it runs .*bundle/)
  expect(stdout).toMatch(/w\d runs again: bundle \S+ \(\d+\.\d s after the kill\)/)
  expect(stdout).toMatch(/^recovered {2}[1-9]\d*, started again /m)
  expect(stdout).toMatch(/^control {4}\d+, submit to start p50 .*, p99 /m)
  expect(stdout, 'plain lines without a terminal').not.toContain('\u001b')
  expect(leftBehind()).toEqual([])
})

test('an interruption ends the server and the workers and leaves nothing behind', {
  timeout: LIMIT_MS,
  skip,
}, async () => {
  const { child, ended } = start('cluster/main', ['docs'], env)
  let pids: number[] = []
  child.stdout.on('data', (text: string) => {
    if (pids.length > 0 || !text.includes('pending')) return
    pids = childrenOf(child.pid as number)
    child.kill('SIGINT')
  })
  expect(await ended).toMatchObject({ code: 130, stderr: '' })
  expect(pids.length, 'a server and three workers').toBe(4)
  await expect.poll(() => pids.filter(isAlive), { timeout: 5000 }).toEqual([])
  expect(leftBehind()).toEqual([])
})

test('without a Redis server it says what it needs', { timeout: LIMIT_MS }, async () => {
  const { code, stdout, stderr } = await run('cluster/main', [], { ...env, PATH: temp })
  expect(code).toBe(1)
  expect(stdout).toBe('')
  expect(stderr).toContain('This example needs a Redis server')
  expect(stderr).toContain('apt-get install redis-server')
  expect(leftBehind()).toEqual([])
})

/** Processes that a process has started. */
function childrenOf(pid: number): number[] {
  const lines = execFileSync('ps', ['-A', '-o', 'pid=,ppid='], { encoding: 'utf8' }).trim().split('\n')
  const pairs = lines.map((line) => line.trim().split(/\s+/).map(Number) as [number, number])
  return pairs.filter(([own, parent]) => parent === pid && own !== 0).map(([own]) => own)
}
