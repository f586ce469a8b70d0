/** The agent example: everything but the model is real, the checks hold, and the timeline fits the terminal. */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { PlaybackServer } from '../../examples/agent/playback.js'
import { BUILD_MS, build, run, start } from './built.js'

/** It works for some seconds of real time, and longer on a busy machine. */
const LIMIT_MS = 90_000
/** No model of whoever runs the tests, and a place of its own for what it leaves behind. */
const temp = mkdtempSync(join(tmpdir(), 'lane-agent-test-'))
const env = { TMPDIR: temp, MODEL: '', OPENAI_API_KEY: '', OPENAI_BASE_URL: '', COLUMNS: '' }

beforeAll(build, BUILD_MS)
afterAll(() => rmSync(temp, { recursive: true, force: true }))

/** Folders of the example that are still there. */
const leftBehind = (): string[] => readdirSync(temp).filter((name) => name.startsWith('lane-agent-'))

/** The lines of the timeline, heads included. */
function timelineIn(stdout: string): string[] {
  const lines = stdout.split('\n')
  return lines.slice(lines.findIndex((line) => line.startsWith('Every command')))
}

test(
  'the agent finds the fault, is paused, hands a lane to two workers, and shows who waited for what',
  async () => {
    const { code, stdout, stderr } = await run('agent/main', [], env)
    expect({ code, stderr }, stdout).toEqual({ code: 0, stderr: '' })
    expect(stdout.match(/^yes {2}/gm), stdout).toHaveLength(6)
    expect(stdout, 'without colours').not.toContain('\u001b')
    const lines = timelineIn(stdout)
    expect(Math.max(...lines.map(({ length }) => length))).toBeLessThanOrEqual(80)
    const text = lines.join('\n')
    expect(text).toMatch(/^ generate call 3 of the mod\S* +model +(?:1\.\d s|9\d\d ms) .*█/m)
    expect(text).toMatch(/^ query +read, asked in \S+ +here .*▒/m)
    expect(text).toMatch(/^ execute +npm test +here .*█/m)
    expect(text).toMatch(/^ execute +rolldown \S+ +w[12] .*█/m)
    expect(text).toMatch(/^ control +pause +here .*█/m)
    expect(leftBehind()).toEqual([])
  },
  LIMIT_MS,
)

test(
  'with MODEL and an address it asks that model instead, with the key, and shows whatever came of it',
  async () => {
    await using server = await PlaybackServer.start({
      conversations: [
        {
          prompt: 'grow without end',
          steps: [{ calls: [{ name: 'bash', args: { command: 'rm -rf /' } }] }, { text: 'No.' }],
        },
        { prompt: 'bundles', steps: [{ text: 'I would rather not.' }] },
      ],
    })
    const real = { ...env, MODEL: 'some-model', OPENAI_API_KEY: 'k-test', OPENAI_BASE_URL: server.url, COLUMNS: '120' }
    const { code, stdout, stderr } = await run('agent/main', [], real)
    expect({ code, stderr }, stdout).toEqual({ code: 0, stderr: '' })
    expect(stdout).toContain(`The model is some-model at ${server.url}.`)
    expect(stdout).not.toContain('k-test')
    expect(stdout).toContain('I would rather not.')
    expect(server.asked.map(({ body, headers }) => [body.model, headers.authorization])).toEqual(
      Array.from({ length: 3 }, () => ['some-model', 'Bearer k-test']),
    )
    expect(JSON.stringify(server.asked[1]?.body.messages)).toContain('Permission denied')
    expect(timelineIn(stdout).join('\n')).toMatch(/^ execute +wc -l of all source +w2 /m)
    expect(leftBehind()).toEqual([])
  },
  LIMIT_MS,
)

test(
  'an interruption leaves nothing behind',
  async () => {
    const { child, ended } = start('agent/main', [], env)
    child.stdout.on('data', (text: string) => {
      if (text.includes('write test/retry.test.mjs')) child.kill('SIGINT')
    })
    expect(await ended).toMatchObject({ code: 130, stderr: '' })
    expect(leftBehind()).toEqual([])
  },
  LIMIT_MS,
)
