/** Sessions whose direct submissions outlive their process. */
import { existsSync, mkdtempSync, readdirSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { MemoryStorage } from '@a3s-lab/lane/testing'
import { afterEach, expect, test } from 'vitest'
import { agentSetup, aTool, endless, like, until } from '../../support/agent.js'
import { errorOf, gate, thrownBy } from '../../support/setup.js'

const folders: string[] = []
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true })
})

function newFolder(): string {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'lane-agent-durable-')))
  folders.push(folder)
  return folder
}

const DURABLE = { sessionId: 'one', queueConfig: { storagePath: './queue', enableDlq: true } }

test('the store is a file for each session id, in a folder that is relative to the workspace', async () => {
  const folder = newFolder()
  await using one = await agentSetup([], { ...DURABLE, folder })
  await using two = await agentSetup([], { ...DURABLE, sessionId: 'two', folder })
  expect([one.session.sessionId, two.session.sessionId]).toEqual(['one', 'two'])
  expect(readdirSync(join(folder, 'queue')).filter((name) => name.endsWith('.db'))).toEqual(['one.db', 'two.db'])
})

test('an empty session id is refused', async () => {
  const made = agentSetup([], { ...DURABLE, folder: newFolder(), sessionId: '' })
  expect((await errorOf(made))['code']).toBe('CONFIG_INVALID')
})

test.each(['a/b', '../../up', 'Häuser', '.', 'x'.repeat(300), 'ONE'])(
  'the session id %j has a file of its own in that folder',
  async (sessionId) => {
    const folder = newFolder()
    await using _t = await agentSetup([], { ...DURABLE, folder, sessionId })
    expect(readdirSync(join(folder, 'queue')).filter((name) => name.endsWith('.db'))).toEqual([
      expect.stringMatching(/^~[0-9a-f]{64}\.db$/),
    ])
  },
)

test('the same session twice at once is refused', async () => {
  const folder = newFolder()
  await using _t = await agentSetup([], { ...DURABLE, folder })
  const { code, message } = await errorOf(agentSetup([], { ...DURABLE, folder }))
  expect([code, message]).toEqual(['STORAGE_LOCKED', expect.stringContaining('session initialization: queue')])
})

test('the path of the configuration is used too', async () => {
  const folder = newFolder()
  await using _t = await agentSetup([], {
    folder,
    sessionId: 'one',
    queueConfig: undefined,
    config: { queue: { storagePath: './of-the-block' } },
  })
  expect(existsSync(join(folder, 'of-the-block', 'one.db'))).toBe(true)
})

test('a path needs a session id, and a queue that is switched off needs neither', async () => {
  const folder = newFolder()
  await using t = await agentSetup([], { folder, queueConfig: false, config: { queue: { storagePath: './queue' } } })
  expect([t.session.hasQueue(), existsSync(join(folder, 'queue'))]).toEqual([false, false])
  expect(thrownBy(() => t.agent.session(folder)).message).toContain('sessionId')
})

test('a direct submission that was accepted runs after a restart, by itself', async () => {
  const folder = newFolder()
  {
    await using t = await agentSetup([], { ...DURABLE, folder })
    await t.session.pause()
    const task = await t.session.submitTask({ id: 'later', lane: 'execute', payload: { command: 'echo ran > ran' } })
    task.result().catch(() => undefined)
  }
  expect(existsSync(join(folder, 'ran'))).toBe(false)
  await using _t = await agentSetup([], { ...DURABLE, folder })
  await until(() => existsSync(join(folder, 'ran')))
})

test('a prompt that was accepted is asked after a restart', async () => {
  const folder = newFolder()
  {
    await using t = await agentSetup([], { ...DURABLE, folder })
    await t.session.pause()
    const task = await t.session.submitTask({ id: 'ask', lane: 'generate', payload: { prompt: 'Later' } })
    task.result().catch(() => undefined)
  }
  await using t = await agentSetup([{ text: 'Yes.' }], { ...DURABLE, folder })
  const task = await t.session.submitTask({ id: 'ask', lane: 'generate', payload: { prompt: 'Later' } })
  expect([await task.result(), t.model.asked.length]).toEqual(['Yes.', 1])
})

test('a prompt that was under way goes on after its last round, and repeats no tool', async () => {
  const storage = new MemoryStorage()
  const ran: string[] = []
  const held = gate()
  const tools = [aTool('touch', () => void ran.push('touch'))]
  const script =
    (hold?: PromiseLike<unknown>) =>
    ({ prompt }: { prompt: readonly { role: string }[] }) =>
      prompt.at(-1)?.role === 'tool'
        ? { text: 'Done.', ...(hold === undefined ? {} : { hold }) }
        : { calls: [['touch']] as const }
  const dead = await agentSetup(script(held.promise), { sessionId: 'one', storage, tools })
  dead.session.submit('generate', { prompt: 'Touch' }, { id: 'aside' }).catch(() => undefined)
  await until(() => dead.model.asked.length === 2)
  const left = storage.crash()
  {
    await using t = await agentSetup(script(), { sessionId: 'one', storage: left, tools })
    const task = await t.session.submitTask({ id: 'aside', lane: 'generate', payload: { prompt: 'Touch' } })
    expect(await task.result()).toBe('Done.')
    expect([ran, t.model.asked.length]).toEqual([['touch'], 1])
  }
  await dead[Symbol.asyncDispose]()
})

test('a tool call whose turn died with its process is not run again, but kept as a dead letter', async () => {
  const storage = new MemoryStorage()
  const notes: string[] = []
  const options = { sessionId: 'one', queueConfig: { enableDlq: true }, tools: [endless('deploy', notes)] }
  const dead = await agentSetup([{ calls: [['deploy', { to: 'prod' }]] }], { ...options, storage })
  const lost = errorOf(dead.session.send('Deploy'))
  await until(() => notes.length > 0)
  const left = storage.crash()
  {
    await using t = await agentSetup([{ text: 'ok' }], { ...options, storage: left })
    await until(async () => (await t.session.deadLetters()).length > 0)
    expect(await t.session.deadLetters()).toMatchObject([
      { command_type: 'deploy', lane_id: 'execute', error: like.text('ended with its process') },
    ])
    expect(notes).toEqual(['+1'])
    expect((await t.session.send('Go on')).text).toBe('ok')
  }
  await dead[Symbol.asyncDispose]()
  await lost
})

test('the answer of a direct submission is given again after a restart', async () => {
  const folder = newFolder()
  {
    await using t = await agentSetup([], { ...DURABLE, folder })
    await t.session.submit('execute', { command: 'echo one >> count' }, { id: 'once' })
  }
  await using t = await agentSetup([], { ...DURABLE, folder })
  const again = await t.session.submit('execute', { command: 'echo one >> count' }, { id: 'once' })
  expect([again, t.file('count')]).toEqual([expect.objectContaining({ exit_code: 0 }), 'one\n'])
})
