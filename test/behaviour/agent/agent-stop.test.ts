/** Pause, resume, cancel and preemption of an agent at work: what has stopped, and that nothing runs afterwards. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import {
  type AgentSetup,
  agentSetup,
  all,
  endless,
  like,
  type Script,
  turnsOfTheLoop,
  until,
} from '../../support/agent.js'
import { errorOf, gate } from '../../support/setup.js'

test('cancel during generating ends the model call, and proves it', async () => {
  const held = gate()
  await using t = await agentSetup([{ text: 'Well', hold: held.promise }])
  const sent = errorOf(t.session.send('Go'))
  await until(() => t.model.running)
  const proof = await t.session.cancel({ reason: 'enough' })
  expect(proof).toMatchObject({ action: 'cancel', scope: 'turn', cancelled: 1, unstopped: [] })
  expect(proof.stoppedAfterMs).toBeGreaterThanOrEqual(proof.acknowledgedAfterMs)
  expect([(await sent).message, t.model.running, t.model.asked[0]?.signal?.aborted]).toEqual([
    'Command cancelled: enough',
    0,
    true,
  ])
  expect(await t.told('control_requested', 'control_acknowledged', 'control_stopped')).toMatchObject([
    { type: 'control_requested', action: 'cancel', scope: 'turn' },
    { type: 'control_acknowledged' },
    { type: 'control_stopped', unstopped: [] },
  ])
})

test('cancel without a queue ends the model call and the tools too', async () => {
  const held = gate()
  const notes: string[] = []
  await using t = await agentSetup([{ hold: held.promise }, { calls: [['work']] }], {
    queueConfig: false,
    tools: [endless('work', notes)],
  })
  const first = errorOf(t.session.send('Go'))
  await until(() => t.model.running)
  await t.session.cancel()
  expect([(await first)['code'], t.model.running]).toEqual(['COMMAND_CANCELLED', 0])
  const second = errorOf(t.session.send('Go'))
  await until(() => notes.length > 0)
  await t.session.cancel()
  expect([(await second)['code'], notes, t.model.asked.length]).toEqual(['COMMAND_CANCELLED', ['+1', '-1'], 2])
})

/** Processes of this machine whose command line holds a text. */
function processesWith(mark: string): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(mark)
      } catch {
        return false // it has ended meanwhile
      }
    })
}

const onLinux = existsSync('/proc/self/cmdline')

/** Ten commands of bash at once, each with a child and one in the background: mixed in one batch and across submissions. */
async function tenCommands(t: AgentSetup, mark: string): Promise<Promise<unknown>[]> {
  const command = `sleep 1000${mark} & sleep 1000${mark}; echo late > late-${mark}`
  const submitted = Array.from({ length: 9 }, () => errorOf(t.session.submit('execute', { command })))
  const sent = errorOf(t.session.send(command))
  await until(() => processesWith(`1000${mark}`).length >= 20)
  return [...submitted, sent]
}

const running = (command: string): Script => [{ calls: [['bash', { command }]] }]

test('cancel of the session ends ten commands with their children, and nothing is alive afterwards', {
  skip: !onLinux,
}, async () => {
  const mark = `${process.pid}1`
  await using t = await agentSetup(({ prompt }) => ({ calls: [['bash', { command: text(prompt) }]] }), {
    queueConfig: { executeMaxConcurrency: 10 },
  })
  const ended = await tenCommands(t, mark)
  const proof = await t.session.cancel({ scope: 'session', reason: 'stop' })
  expect([proof.unstopped, proof.cancelled]).toEqual([[], 10])
  // the benchmark says how long it takes; here only that nothing waits for a grace period of seconds
  expect(proof.stoppedAfterMs).toBeLessThan(2000)
  expect(processesWith(`1000${mark}`)).toEqual([])
  for (const error of (await Promise.all(ended)) as { code: string }[]) expect(error.code).toBe('COMMAND_CANCELLED')
  expect(readdirSync(t.folder)).toEqual([])
  expect(await t.session.queueStats()).toMatchObject({ totalActive: 0, totalPending: 0 })
})

const text = (prompt: readonly { content: unknown }[]): string => {
  const [part] = (prompt.at(-1)?.content ?? []) as { text: string }[]
  return part?.text ?? ''
}

test('closing a session ends its commands too', { skip: !onLinux }, async () => {
  const mark = `${process.pid}2`
  await using t = await agentSetup(running(`sleep 1000${mark}`))
  const sent = errorOf(t.session.send('Go'))
  await until(() => processesWith(`1000${mark}`).length > 0)
  await t.session.close({ timeoutMs: 0 })
  expect((await sent)['code']).toBe('SHUTTING_DOWN')
  await until(() => processesWith(`1000${mark}`).length === 0)
})

test('a tool that runs out of time is ended with its children before the model is told', {
  skip: !onLinux,
}, async () => {
  const mark = `${process.pid}3`
  let alive: string[] | undefined
  await using t = await agentSetup(
    ({ prompt }) => {
      if (prompt.at(-1)?.role !== 'tool')
        return { calls: [['bash', { command: `sleep 1000${mark} & sleep 1000${mark}` }]] }
      alive = processesWith(`1000${mark}`)
      return { text: 'I see.' }
    },
    { toolTimeoutMs: 60 },
  )
  expect((await t.session.send('Go')).text).toBe('I see.')
  expect([alive, t.model.text(1).includes('Command timed out after 60ms')]).toEqual([[], true])
})

test('cancel of the tools alone: the model is told, and goes on', { skip: !onLinux }, async () => {
  const mark = `${process.pid}4`
  await using t = await agentSetup([
    {
      calls: [
        ['bash', { command: `sleep 1000${mark}` }],
        ['bash', { command: 'echo never > never' }],
      ],
    },
    { text: 'Stopped.' },
  ])
  const sent = t.session.send('Go')
  await until(() => processesWith(`1000${mark}`).length > 0)
  await t.session.cancel({ scope: 'tools', reason: 'too long' })
  expect([(await sent).text, processesWith(`1000${mark}`), readdirSync(t.folder)]).toEqual(['Stopped.', [], []])
  expect(t.model.text(1)).toContain('Command cancelled: too long')
})

test('pause during generating: the call ends, and no tool begins before resume', async () => {
  const held = gate()
  await using t = await agentSetup([
    { hold: held.promise, calls: [['ls'], ['bash', { command: 'echo ran > ran' }]] },
    { text: 'Done.' },
  ])
  const sent = t.session.send('Go')
  await until(() => t.model.running)
  const paused = t.session.pause()
  await paused.acknowledged
  held.open()
  expect(await paused).toMatchObject({ action: 'pause', unstopped: [], stoppedAfterMs: like.any(Number) })
  await until(async () => (await t.session.queueStats()).totalPending > 0)
  await turnsOfTheLoop(5)
  expect([existsSync(t.path('ran')), t.model.asked.length]).toEqual([false, 1])
  expect(await t.session.resume()).toMatchObject({ action: 'resume' })
  expect([(await sent).text, t.file('ran')]).toEqual(['Done.', 'ran\n'])
})

test('a paused turn can be cancelled', async () => {
  await using t = await agentSetup([{ text: 'never' }])
  await t.session.pause()
  const sent = errorOf(t.session.send('Go'))
  await until(async () => (await t.session.queueStats()).totalPending > 0)
  expect(await t.session.cancel()).toMatchObject({ cancelled: 1, unstopped: [] })
  expect([(await sent)['code'], t.model.asked.length]).toEqual(['COMMAND_CANCELLED', 0])
  await t.session.resume()
  expect((await t.session.send('Again')).text).toBe('never')
})

test('with one slot for everything an urgent query takes that of the model, whose call begins again afterwards', async () => {
  const held = gate()
  await using t = await agentSetup([{ text: 'Hel', hold: held.promise }, { text: 'Hello.' }], {
    queueConfig: { maxConcurrency: 1 },
    files: { 'a.txt': 'urgent' },
  })
  const streamed = all(t.session.stream('Go'))
  await until(async () => t.model.running && (await t.told('text_delta')).length > 0)
  expect(await t.session.submit('query', { path: 'a.txt' })).toMatchObject({
    output: like.text('urgent'),
  })
  const events = await streamed
  expect(events.filter(({ type }) => String(type).startsWith('text_'))).toEqual([
    { type: 'text_delta', text: 'Hel' },
    { type: 'text_reset', turn: 1 },
    { type: 'text_delta', text: 'Hello.' },
  ])
  expect(events.at(-1)).toMatchObject({ type: 'end', text: 'Hello.' })
  expect((await t.session.queueStats()).lanes).toMatchObject({
    generate: { completed: 1, failed: 0 },
    query: { completed: 1 },
  })
})

test('cancel reaches a turn whose model call waits for its slot', async () => {
  const notes: string[] = []
  await using t = await agentSetup([{ text: 'never' }], {
    queueConfig: { maxConcurrency: 1 },
    tools: [endless('work', notes)],
  })
  const busy = errorOf(t.session.submit('query', {}, { commandType: 'work' }))
  await until(() => notes.length > 0)
  const sent = errorOf(t.session.send('Go'))
  await turnsOfTheLoop(2)
  await t.session.cancel()
  expect([(await sent)['code'], t.model.asked.length]).toEqual(['COMMAND_CANCELLED', 0])
  await t.session.cancel({ scope: 'session' })
  expect((await busy)['code']).toBe('COMMAND_CANCELLED')
})
