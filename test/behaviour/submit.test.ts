import { defaultLanes, JsonCommand, QueueManager, RetryPolicy } from '@a3s-lab/lane'
import { expect, test } from 'vitest'
import { errorOf, gate, setup, thrownBy } from '../support/setup.js'

test('a command by type and payload is run by the handler of its type', async () => {
  await using t = await setup()
  t.queue.handle('double', (payload: number) => payload * 2)
  expect(await t.queue.submit('work', { type: 'double', payload: 21 })).toBe(42)
})

test('a function command is called with its context', async () => {
  await using t = await setup()
  const run = t.queue.submit('work', function greet(ctx) {
    return [ctx.id, ctx.laneId, ctx.commandType, ctx.attempt, ctx.payload]
  })
  expect(await run).toEqual([run.id, 'work', 'greet', 1, undefined])
})

test('an anonymous function has the type function', async () => {
  await using t = await setup()
  const run = t.queue.submit('work', () => 1)
  expect(run.commandType).toBe('function')
  expect(await run).toBe(1)
})

test('a function whose name is no text has the type function', async () => {
  await using t = await setup()
  const command = Object.defineProperty((): number => 1, 'name', { value: 7 })
  expect(t.queue.submit('work', command).commandType).toBe('function')
})

test('a command object runs its own execute', async () => {
  await using t = await setup()
  const command = { commandType: 'sum', values: [1, 2, 3], execute: (): number => 6 }
  const run = t.queue.submit('work', command)
  expect(run.commandType).toBe('sum')
  expect(await run).toBe(6)
})

test('execute is called on its command object', async () => {
  await using t = await setup()
  class Adder {
    readonly commandType = 'add'
    readonly #amount = 5
    execute(): number {
      return this.#amount
    }
  }
  expect(await t.queue.submit('work', new Adder())).toBe(5)
})

test('a command object ignores the handler of its type', async () => {
  await using t = await setup()
  t.queue.handle('sum', () => 'from the handler')
  expect(await t.queue.submit('work', { commandType: 'sum', execute: () => 'its own' })).toBe('its own')
})

test('a JsonCommand gives its payload back when its type has no handler', async () => {
  await using t = await setup()
  expect(await t.queue.submit('work', new JsonCommand('echo', { a: 1 }))).toEqual({ a: 1 })
})

test('a JsonCommand is run by the handler of its type when there is one', async () => {
  await using t = await setup()
  t.queue.handle('echo', (payload: string, ctx) => `${payload} ${ctx.payload}`)
  expect(await t.queue.submit('work', new JsonCommand('echo', 'hi'))).toBe('hi hi')
})

test('a handler that is registered after the submit is found', async () => {
  await using t = await setup()
  const run = t.queue.submit('work', { type: 'late' })
  t.queue.handle('late', () => 'found')
  expect(await run).toBe('found')
})

test('a later handler of a type replaces the earlier one', async () => {
  await using t = await setup()
  t.queue.handle('x', () => 1)
  t.queue.handle('x', () => 2)
  expect(await t.queue.submit('work', { type: 'x' })).toBe(2)
})

test('a command without a handler is refused when its turn comes, and takes no slot', async () => {
  await using t = await setup({ work: { maxConcurrency: 1 } })
  const run = t.queue.submit('work', { type: 'nobody' })
  const next = t.queue.submit('work', () => 'next')
  expect(await errorOf(run)).toMatchObject({
    code: 'HANDLER_NOT_FOUND',
    message: "No handler is registered for command type 'nobody'",
    retryable: false,
  })
  expect(await next).toBe('next')
  expect(t.recorder.keys(run.id)).toEqual(['queue.command.submitted', 'queue.command.failed'])
  expect(await t.queue.get(run.id)).toMatchObject({ state: 'failed', attempt: 0 })
})

test('an unknown lane refuses a command with the id of the lane', async () => {
  await using t = await setup()
  const run = t.queue.submit('nowhere' as 'work', () => 1)
  const error = await errorOf(run)
  expect(error).toMatchObject({ code: 'LANE_NOT_FOUND', message: 'Lane not found: nowhere', laneId: 'nowhere' })
  expect(await errorOf(run.accepted)).toBe(error)
  expect(run.state).toBe('failed')
  expect(t.events()).toEqual([
    [
      'queue.command.rejected',
      { lane_id: 'nowhere', command_id: run.id, code: 'LANE_NOT_FOUND', error: 'Lane not found: nowhere' },
    ],
  ])
})

test('the queue of a manager is the manager itself and takes commands directly', async () => {
  await using t = await setup()
  expect(t.queue.queue()).toBe(t.queue)
  expect(await t.queue.queue().submit('work', () => 'direct')).toBe('direct')
  expect(await errorOf(t.queue.queue().submit('x' as 'work', () => 1))).toMatchObject({ message: 'Lane not found: x' })
})

test('a run carries its facts', async () => {
  await using t = await setup()
  const run = t.queue.submit('work', { type: 'x' })
  expect({ laneId: run.laneId, type: run.commandType, state: run.state }).toEqual({
    laneId: 'work',
    type: 'x',
    state: 'pending',
  })
  expect(run).toBeInstanceOf(Promise)
  expect(run.id).toMatch(/^[0-9a-z]{10}-[0-9a-z]+$/)
  t.queue.handle('x', () => 'done')
  await run.accepted
  expect(await run.result()).toBe('done')
  expect(run.state).toBe('completed')
})

test('ids are different', async () => {
  await using t = await setup()
  const ids = Array.from({ length: 3000 }, () => t.queue.submit('work', () => 1).id)
  expect(new Set(ids).size).toBe(3000)
})

test('commands that are submitted before the start run after it', async () => {
  await using t = await setup({ work: {} }, { start: false })
  const run = t.queue.submit('work', () => 'ran')
  await t.clock.advance(1000)
  expect(run.state).toBe('pending')
  expect(t.queue.stats().totalPending).toBe(1)
  await t.queue.start()
  expect(await run).toBe('ran')
  expect(t.queue.stats().totalPending).toBe(0)
})

test('pending commands are counted per lane and in total', async () => {
  await using t = await setup(defaultLanes(), { start: false })
  void t.queue.submit('system', () => 1)
  void t.queue.submit('query', () => 1)
  void t.queue.submit('query', () => 1)
  void t.queue.submit('prompt', () => 1)
  const { lanes, ...totals } = t.queue.stats()
  expect(totals).toEqual({ totalPending: 4, totalActive: 0, totalDelayed: 0, totalSlots: 0, deadLetterCount: 0 })
  expect(Object.fromEntries(Object.entries(lanes).map(([id, lane]) => [id, lane.pending]))).toEqual({
    system: 1,
    control: 0,
    query: 2,
    session: 0,
    skill: 0,
    prompt: 1,
  })
})

test('the status of a lane echoes its limits', async () => {
  await using t = await setup({ work: { minConcurrency: 2, maxConcurrency: 7 } }, { start: false })
  const expected = {
    pending: 0,
    active: 0,
    delayed: 0,
    slots: 0,
    zombies: 0,
    abandoned: 0,
    min: 2,
    max: 7,
    priority: 0,
    effectivePriority: 0,
    paused: false,
    protected: false,
  }
  expect(t.queue.lane('work').status()).toEqual(expected)
  void t.queue.submit('work', () => 1)
  const stats = t.queue.stats()
  expect(stats.lanes).toEqual({ work: { ...expected, pending: 1 } })
  expect(JSON.parse(JSON.stringify(stats))).toEqual(stats)
})

test('the error text of a failing command reaches the caller unchanged', async () => {
  await using t = await setup()
  const cause = new TypeError('disk on fire')
  const error = await errorOf(t.queue.submit('work', () => Promise.reject(cause)))
  expect(error).toMatchObject({ code: 'COMMAND_FAILED', message: 'disk on fire', retryable: false })
  expect(error.cause).toBe(cause)
})

test('stats and state agree with an outcome at the moment it is seen', async () => {
  await using t = await setup()
  const run = t.queue.submit('work', t.takes(10, 'x'))
  const seen = run.then(() => [run.state, t.queue.stats().totalActive, t.recorder.keys(run.id).at(-1)])
  await t.clock.advance(10)
  expect(await seen).toEqual(['completed', 0, 'queue.command.completed'])
})

test('waiting for a result can be given up without ending the command', async () => {
  await using t = await setup()
  const run = t.queue.submit('work', t.takes(10, 'late'))
  const controller = new AbortController()
  const waiting = run.result({ signal: controller.signal })
  const error = errorOf(waiting)
  controller.abort(new Error('no patience'))
  expect((await error).message).toBe('no patience')
  await t.clock.advance(10)
  expect(await run.result({ signal: new AbortController().signal })).toBe('late')
})

test('a result cannot be waited for with a signal that has aborted', async () => {
  await using t = await setup()
  const run = t.queue.submit('work', () => 1)
  expect(await errorOf(run.result({ signal: AbortSignal.abort(new Error('gone')) }))).toMatchObject({ message: 'gone' })
})

test('a batch gives a run for each command, in order', async () => {
  await using t = await setup()
  t.queue.handle('x', (payload: number) => payload)
  const runs = t.queue.submitBatch('work', [{ type: 'x', payload: 1 }, (): string => 'two', { type: 'x', payload: 3 }])
  expect(await Promise.all(runs)).toEqual([1, 'two', 3])
})

test('an item of a batch may bring options, which go before the common ones', async () => {
  await using t = await setup()
  t.queue.handle('x', () => 1)
  const common = { metadata: 'common', priority: 5 }
  const [a, b] = t.queue.submitBatch('work', [[{ type: 'x' }, { metadata: 'own' }], { type: 'x' }], common)
  expect(await t.queue.get(a.id)).toMatchObject({ metadata: 'own', priority: 5 })
  expect(await t.queue.get(b.id)).toMatchObject({ metadata: 'common', priority: 5 })
  const [c] = t.queue.submitBatch('work', [[{ type: 'x' }, { metadata: 'alone' }]])
  expect(await t.queue.get(c.id)).toMatchObject({ metadata: 'alone', priority: 1000 })
  await Promise.all([a, b, c])
})

test('a batch refuses each bad command on its own', async () => {
  await using t = await setup()
  const [bad, good] = t.queue.submitBatch('work', [7 as never, (): number => 1])
  expect(await errorOf(bad)).toMatchObject({ code: 'PAYLOAD_INVALID' })
  expect(await good).toBe(1)
})

test('a batch that is no array is refused', async () => {
  await using t = await setup()
  expect(thrownBy(() => t.queue.submitBatch('work', 'x' as never))).toMatchObject({
    code: 'CONFIG_INVALID',
    message: 'Configuration error: submitBatch commands must be an array, got "x"',
  })
})

const shape = 'A command must be a function, an object with execute(), or { type, payload }, got'

test.each([
  ['nothing', undefined, `${shape} undefined`],
  ['null', null, `${shape} null`],
  ['a number', 7, `${shape} 7`],
  ['a text', 'echo', `${shape} "echo"`],
  ['a type that is empty', { type: '' }, 'A command\'s type must be a string that is not empty, got ""'],
  ['a type that is no text', { type: 7 }, "A command's type must be a string that is not empty, got 7"],
  ['no type', {}, "A command's type must be a string that is not empty, got undefined"],
  [
    'an execute without a type',
    { execute() {} },
    "A command's commandType must be a string that is not empty, got undefined",
  ],
  [
    'an empty commandType',
    { commandType: '', execute() {} },
    'A command\'s commandType must be a string that is not empty, got ""',
  ],
])('a command of %s is refused', async (_what, command, message) => {
  await using t = await setup()
  const run = t.queue.submit('work', command as never)
  expect(await errorOf(run)).toMatchObject({ code: 'PAYLOAD_INVALID', message })
  expect(run.commandType).toBe('unknown')
  expect(t.queue.stats().totalPending).toBe(0)
  expect(t.recorder.keys()).toEqual(['queue.command.rejected'])
})

test.each([
  ['submit options', 'fast', 'submit options must be an object, got "fast"'],
  ['unknown', { prioritty: 1 }, "submit has no option 'prioritty'; did you mean 'priority'?"],
  ['cost', { cost: -1 }, 'submit cost must be a number of 0 or more, or an object of such numbers by unit, got -1'],
  [
    'a cost per unit',
    { cost: { tokens: Number.NaN } },
    'submit cost must be a number of 0 or more, or an object of such numbers by unit, got {"tokens":null}',
  ],
  ['dedupe', { dedupe: { id: '' } }, 'submit dedupe.id must be a string that is not empty, got ""'],
  ['deadlineMs', { deadlineMs: 0 }, 'submit deadlineMs must be a number of milliseconds, above 0, got 0'],
  ['key', { key: '' }, 'submit key must be a string that is not empty, got ""'],
  ['weight', { weight: 0 }, 'submit weight must be a number above 0, got 0'],
  ['an option that there is not', { lease: 5 }, "submit has no option 'lease'"],
  ['ephemeral', { ephemeral: 1 }, 'submit ephemeral must be true or false, got 1'],
  ['id', { id: '' }, 'submit id must be a string that is not empty, got ""'],
  ['priority', { priority: -1 }, 'submit priority must be an integer from 0 to 2097150, got -1'],
  ['priority too low', { priority: 2_097_151 }, 'submit priority must be an integer from 0 to 2097150, got 2097151'],
  ['timeoutMs', { timeoutMs: 0 }, 'submit timeoutMs must be a number of milliseconds, above 0, got 0'],
  ['delayMs', { delayMs: -1 }, 'submit delayMs must be a number of milliseconds, 0 or more, got -1'],
  ['delayMs and runAt', { delayMs: 1, runAt: 5 }, 'submit delayMs must be left out when runAt is given, got 1'],
  ['runAt', { runAt: 'soon' }, 'submit runAt must be a Date, Unix milliseconds or RFC 3339 text, got "soon"'],
  ['detached', { detached: 1 }, 'submit detached must be true or false, got 1'],
  ['signal', { signal: {} }, 'submit signal must be an AbortSignal, got {}'],
  ['no signal', { signal: null }, 'submit signal must be an AbortSignal, got null'],
  ['retry', { retry: 3 }, 'submit retry must be a RetryPolicy, got 3'],
  ['a bad retry', { retry: { maxRetries: -1 } }, 'RetryPolicy maxRetries must be an integer of at least 0, got -1'],
])('a bad submit option is refused by name: %s', async (_what, options, message) => {
  await using t = await setup()
  const run = t.queue.submit('work', () => 1, options as never)
  expect(await errorOf(run)).toMatchObject({ code: 'CONFIG_INVALID', message: `Configuration error: ${message}` })
  expect(t.queue.stats().totalPending).toBe(0)
})

test('options that are all undefined are as good as none', async () => {
  await using t = await setup()
  const run = t.queue.submit('work', () => 'ok', {
    id: undefined,
    priority: undefined,
    timeoutMs: undefined,
    retry: undefined,
    delayMs: undefined,
    runAt: undefined,
    detached: undefined,
    signal: undefined,
  })
  expect(await run).toBe('ok')
})

test('options given as null are as good as none', async () => {
  await using t = await setup()
  expect(await t.queue.submit('work', () => 'ok', null as never)).toBe('ok')
})

test('metadata is kept with the command and shown in its record', async () => {
  await using t = await setup()
  const run = t.queue.submit('work', () => 1, { metadata: { user: 7 } })
  await run
  expect(await t.queue.get(run.id)).toMatchObject({ metadata: { user: 7 } })
})

test('a timeout and a retry of the command itself go before those of its lane', async () => {
  await using t = await setup({ work: { timeoutMs: 1000, retry: RetryPolicy.fixed(5, 1) } })
  const slow = t.queue.submit('work', t.takes(500), { timeoutMs: 20, retry: RetryPolicy.none() })
  const error = errorOf(slow)
  await t.clock.advance(20)
  expect(await error).toMatchObject({ code: 'COMMAND_TIMEOUT', message: 'Command timed out after 20ms' })
})

test('a refused submit that nobody awaits stays quiet', async () => {
  await using t = await setup()
  void t.queue.submit('nowhere' as 'work', () => 1)
  void t.queue.submit('work', { type: 'nobody' })
  void t.queue.submit('work', () => Promise.reject(new Error('quiet')))
  await t.clock.settle()
  expect(t.recorder.of('queue.command.rejected')).toHaveLength(1)
  expect(t.recorder.of('queue.command.failed')).toHaveLength(2)
})

test('a run can be awaited any number of times', async () => {
  await using t = await setup()
  const open = gate<string>()
  const run = t.queue.submit('work', () => open.promise)
  const all = Promise.all([run, run, run.result(), run.then((value) => value)])
  open.open('same')
  expect(await all).toEqual(['same', 'same', 'same', 'same'])
  expect(await run).toBe('same')
})

test.each([
  ['no options', undefined, 'QueueManager options must be an object, got undefined'],
  ['no lanes', {}, 'lanes must be an object, got undefined'],
  ['an empty list of lanes', { lanes: {} }, 'lanes must be an object with at least one lane, got {}'],
  [
    'an unknown option',
    { lanes: { a: { priority: 0 } }, lane: 1 },
    "QueueManager has no option 'lane'; did you mean 'lanes'?",
  ],
  ['a storage', { lanes: { a: { priority: 0 } }, storage: {} }, 'storage must be a Storage, got {}'],
  [
    'an age without a storage',
    { lanes: { a: { priority: 0 } }, retention: { ageMs: 5 } },
    'retention.ageMs must be left out without a storage, got 5',
  ],
  [
    'a maxConcurrency of 0',
    { lanes: { a: { priority: 0 } }, maxConcurrency: 0 },
    'maxConcurrency must be an integer of at least 1, or Infinity, got 0',
  ],
  ['an onFault', { lanes: { a: { priority: 0 } }, onFault: 1 }, 'onFault must be a function, got 1'],
  ['events', { lanes: { a: { priority: 0 } }, events: 1 }, 'events must be an object, got 1'],
  ['events options', { lanes: { a: { priority: 0 } }, events: { size: 1 } }, "events has no option 'size'"],
  [
    'events capacity',
    { lanes: { a: { priority: 0 } }, events: { capacity: 0 } },
    'EventEmitter capacity must be an integer of at least 1, got 0',
  ],
  ['retention', { lanes: { a: { priority: 0 } }, retention: 5 }, 'retention must be an object, got 5'],
  ['retention options', { lanes: { a: { priority: 0 } }, retention: { max: 5 } }, "retention has no option 'max'"],
  [
    'retention count',
    { lanes: { a: { priority: 0 } }, retention: { count: -1 } },
    'retention.count must be an integer of at least 0, got -1',
  ],
  [
    'dead letters',
    { lanes: { a: { priority: 0 } }, deadLetters: -1 },
    'deadLetters must be an integer of at least 0, got -1',
  ],
  ['a lane without a name', { lanes: { '': { priority: 0 } } }, 'lane id must be a string that is not empty, got ""'],
  ['a lane that is no object', { lanes: { a: 1 } }, "lane 'a' must be an object, got 1"],
  [
    'a lane without a priority',
    { lanes: { a: {} } },
    "lane 'a'.priority must be an integer from 0 to 255, got undefined",
  ],
  [
    'a priority too low',
    { lanes: { a: { priority: 256 } } },
    "lane 'a'.priority must be an integer from 0 to 255, got 256",
  ],
  [
    'a crash budget below 0',
    { lanes: { a: { priority: 0, maxRecoveries: -1 } } },
    "lane 'a'.maxRecoveries must be an integer of at least 0, got -1",
  ],
  [
    'a lane maximum of 0',
    { lanes: { a: { priority: 0, maxConcurrency: 0 } } },
    "lane 'a'.maxConcurrency must be an integer of at least 1, or Infinity, got 0",
  ],
  [
    'a minimum above the maximum',
    { lanes: { a: { priority: 0, minConcurrency: 5 } } },
    "lane 'a'.minConcurrency must be at most maxConcurrency (4), got 5",
  ],
])('a queue with %s is refused', (_what, options, message) => {
  expect(thrownBy(() => new QueueManager(options as never))).toMatchObject({
    code: 'CONFIG_INVALID',
    message: `Configuration error: ${message}`,
  })
})

test.each([
  ['a type that is empty', '', () => 1, 'handle type must be a string that is not empty, got ""'],
  ['a handler that is no function', 'x', 7, "handler of 'x' must be a function, got 7"],
])('%s is not registered', async (_what, type, handler, message) => {
  await using t = await setup()
  expect(thrownBy(() => t.queue.handle(type, handler as never))).toMatchObject({
    code: 'CONFIG_INVALID',
    message: `Configuration error: ${message}`,
  })
})

test('a queue with its own clock and random numbers needs neither of them given', async () => {
  await using queue = new QueueManager({ lanes: defaultLanes() })
  await queue.start()
  expect(await queue.submit('query', () => 'real time')).toBe('real time')
})
