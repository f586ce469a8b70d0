/** Messages that arrive while a turn runs. */
import { expect, test } from 'vitest'
import { agentSetup, all, aTool, endless, type Script, until } from '../../support/agent.js'
import { errorOf, gate } from '../../support/setup.js'

const texts = (prompt: readonly { content: unknown }[] | undefined): string[] =>
  [...JSON.stringify(prompt).matchAll(/"text","text":"([^"]*)"/g)].map(([, text]) => text as string)

test('enqueue: messages are answered one after another, in their order', async () => {
  await using t = await agentSetup(({ prompt }) => ({ text: `answer to ${texts(prompt).at(-1) ?? ''}` }))
  const sent = ['a', 'b', 'c'].map((message) => t.session.send(message))
  expect((await Promise.all(sent)).map(({ text }) => text)).toEqual(['answer to a', 'answer to b', 'answer to c'])
  expect(t.session.history().filter(({ role }) => role === 'user')).toMatchObject([
    { content: 'a' },
    { content: 'b' },
    { content: 'c' },
  ])
})

test('reject: a message is refused while a turn runs, and leaves no trace', async () => {
  const held = gate()
  await using t = await agentSetup([{ hold: held.promise, text: 'one' }, { text: 'two' }], { input: 'reject' })
  const first = t.session.send('First')
  expect((await errorOf(t.session.send('Second')))['code']).toBe('CONFLICT')
  held.open()
  await first
  expect((await t.session.send('Third')).text).toBe('two')
  expect(texts(t.model.asked[1]?.prompt)).toEqual(['First', 'one', 'Third'])
})

/** A turn that has read a file, and then runs a tool without end. */
const busy: Script = [{ calls: [['ls']] }, { calls: [['work']] }, { text: 'I see.' }]

test('interrupt: the turn ends, and what it has done is kept', async () => {
  const notes: string[] = []
  await using t = await agentSetup(busy, { tools: [endless('work', notes)] })
  const first = errorOf(t.session.send('First'))
  await until(() => notes.length > 0)
  const second = t.session.send('No, that', undefined, { input: 'interrupt' })
  expect((await first)['code']).toBe('COMMAND_CANCELLED')
  expect((await second).text).toBe('I see.')
  expect(notes, 'the tool has stopped before the next turn').toEqual(['+1', '-1'])
  expect(t.session.history().map(({ role }) => role)).toEqual([
    ...['user', 'assistant', 'tool', 'assistant', 'tool'],
    ...['user', 'assistant'],
  ])
  expect(JSON.stringify(t.model.asked[2]?.prompt)).toContain(
    'Tool execution error: Command cancelled: interrupted by a newer message',
  )
})

test('interrupt: a model call that runs ends too', async () => {
  const held = gate()
  await using t = await agentSetup([{ text: 'Well', hold: held.promise }, { text: 'Yes.' }])
  const first = errorOf(t.session.send('First'))
  await until(() => t.model.running)
  expect((await t.session.send('Second', undefined, { input: 'interrupt' })).text).toBe('Yes.')
  expect([(await first)['code'], t.model.asked[0]?.signal?.aborted]).toEqual(['COMMAND_CANCELLED', true])
  expect(texts(t.model.asked[1]?.prompt)).toEqual(['First', 'Second'])
})

test('rollback: the turn leaves no trace in the conversation', async () => {
  const notes: string[] = []
  await using t = await agentSetup([{ text: 'Before.' }, ...(busy as object[])], { tools: [endless('work', notes)] })
  await t.session.send('Before')
  const first = errorOf(t.session.send('First'))
  await until(() => notes.length > 0)
  const second = t.session.send('Second', undefined, { input: 'rollback' })
  expect(t.session.history(), 'at once').toHaveLength(2)
  expect((await first).message).toContain('undone by a newer message')
  await second
  expect(texts(t.model.asked[3]?.prompt)).toEqual(['Before', 'Before.', 'Second'])
  expect(t.session.history().map(({ content }) => (typeof content === 'string' ? content : 'said'))).toEqual([
    ...['Before', 'said', 'Second', 'said'],
  ])
})

test.each([0, 1, 2, 3, 4, 5, 6, 8, 12])(
  'rollback: a turn that is through in the same moment is either undone or kept, as its caller is told (%i)',
  async (microtasks) => {
    await using t = await agentSetup([{ text: 'one' }, { text: 'two' }])
    const events = t.session.subscribe({ types: ['end'] })
    const first = t.session.send('First').then(
      () => 'kept',
      () => 'undone',
    )
    await events.next()
    for (let n = 0; n < microtasks; n++) await Promise.resolve()
    await t.session.send('Second', undefined, { input: 'rollback' })
    const said = (await first) === 'kept' ? ['First', 'one', 'Second'] : ['Second']
    expect(texts(t.model.asked[1]?.prompt)).toEqual(said)
    expect(t.session.history()).toHaveLength(said.length + 1)
  },
)

test('rollback of a turn with a history of its own leaves the conversation alone', async () => {
  const notes: string[] = []
  await using t = await agentSetup([{ text: 'Before.' }, { calls: [['work']] }, { text: 'ok' }], {
    tools: [endless('work', notes)],
  })
  await t.session.send('Before')
  const first = errorOf(t.session.send('First', []))
  await until(() => notes.length > 0)
  await t.session.send('Second', undefined, { input: 'rollback' })
  await first
  expect(t.session.history()).toHaveLength(4)
})

test('steer: the message reaches the model in the next step, and its sender gets the answer', async () => {
  const began = gate()
  const held = gate()
  const tools = [
    aTool('work', () => {
      began.open()
      return held.promise.then(() => 'worked')
    }),
  ]
  await using t = await agentSetup([{ calls: [['work']] }, { text: 'Both.' }], { tools })
  const first = t.session.send('First')
  await began.promise
  const steered = [
    t.session.send('and this', undefined, { input: 'steer' }),
    t.session.send('and that', undefined, { input: 'steer' }),
  ]
  held.open()
  expect((await Promise.all([first, ...steered])).map(({ text }) => text)).toEqual(['Both.', 'Both.', 'Both.'])
  expect(t.model.asked[1]?.prompt.slice(-3)).toMatchObject([
    { role: 'tool' },
    { role: 'user', content: [{ text: 'and this' }] },
    { role: 'user', content: [{ text: 'and that' }] },
  ])
  expect(t.model.asked).toHaveLength(2)
})

test('steer: a message that comes during the last answer gets another one, whatever the rounds were', async () => {
  const held = gate()
  await using t = await agentSetup([{ calls: [['ls']] }, { text: 'One.', hold: held.promise }, { text: 'Two.' }], {
    maxToolRounds: 1,
  })
  const first = t.session.send('First')
  await until(() => t.model.asked.length === 2)
  const steered = t.session.send('More', undefined, { input: 'steer' })
  held.open()
  expect([(await first).text, (await steered).text]).toEqual(['Two.', 'Two.'])
})

test('steer: its stream tells how the turn ended', async () => {
  const held = gate()
  await using t = await agentSetup([{ text: 'One.', hold: held.promise }, { text: 'Two.' }])
  const first = t.session.send('First')
  await until(() => t.model.running)
  const steered = all(t.session.stream('More', undefined, { input: 'steer' }))
  held.open()
  await first
  expect(await steered).toMatchObject([{ type: 'end', text: 'Two.' }])
})

test('steer: a message that the turn never took is a turn of its own', async () => {
  const held = gate()
  await using t = await agentSetup([{ hold: held.promise }, { text: 'Own.' }])
  const controller = new AbortController()
  const first = errorOf(t.session.send('First', undefined, { signal: controller.signal }))
  await until(() => t.model.running)
  const steered = t.session.send('More', undefined, { input: 'steer' })
  controller.abort()
  expect([(await first)['code'], (await steered).text]).toEqual(['COMMAND_CANCELLED', 'Own.'])
})

test('a signal ends the turn that runs, and takes a waiting message back', async () => {
  const held = gate()
  await using t = await agentSetup([{ hold: held.promise }])
  const controller = new AbortController()
  const { signal } = controller
  const sent = ['First', 'Second'].map((message) => errorOf(t.session.send(message, undefined, { signal })))
  await until(() => t.model.running)
  controller.abort('enough')
  expect((await Promise.all(sent)).map(({ message }) => message)).toEqual([
    'Command cancelled: enough',
    'Command cancelled: enough',
  ])
  await until(() => t.model.running === 0)
  expect(t.model.asked).toHaveLength(1)
})

test('a turn that failed does not keep the next one from running', async () => {
  await using t = await agentSetup([{ fail: new Error('down') }, { text: 'up' }], { circuitBreakerThreshold: 1 })
  await errorOf(t.session.send('First'))
  expect((await t.session.send('Second')).text).toBe('up')
})
