/** How the result of a tool call is read from what a tool or a worker gave back. */
import { expect, test } from 'vitest'
import { externalSetup, sessionSetup } from '../../support/session.js'

const IMAGE = { mediaType: 'image/png', data: 'aGk=' }
const circular: Record<string, unknown> = {}
circular['self'] = circular

type Row = readonly [what: string, value: unknown, result: object]

const VALUES: readonly Row[] = [
  ['output and exit code', { output: 'hi', exit_code: 0 }, { output: 'hi', exit_code: 0, is_error: false }],
  ['output alone', { output: 'hi' }, { output: 'hi', exit_code: 0, is_error: false }],
  ['an exit code other than 0', { output: 'bad', exit_code: 2 }, { output: 'bad', exit_code: 2, is_error: true }],
  ['a negative exit code', { output: '', exit_code: -9 }, { output: '', exit_code: -9, is_error: true }],
  ['an exit code that is no number', { output: 'x', exit_code: '2' }, { output: 'x', exit_code: 0, is_error: false }],
  ['an exit code of NaN', { output: 'x', exit_code: Number.NaN }, { output: 'x', exit_code: 0, is_error: false }],
  ['an empty output', { output: '', stdout: 'x' }, { output: '', exit_code: 0, is_error: false }],
  ['a text', 'plain text', { output: 'plain text', exit_code: 0, is_error: false }],
  ['an empty text', '', { output: '', exit_code: 0, is_error: false }],
  ['an object without output', { files: ['a'] }, { output: '{"files":["a"]}', exit_code: 0, is_error: false }],
  ['a list', [1, 2], { output: '[1,2]', exit_code: 0, is_error: false }],
  ['a number', 42, { output: '42', exit_code: 0, is_error: false }],
  ['false', false, { output: 'false', exit_code: 0, is_error: false }],
  ['an empty object', {}, { output: '', exit_code: 0, is_error: false }],
  ['an empty list', [], { output: '', exit_code: 0, is_error: false }],
  ['null', null, { output: '', exit_code: 0, is_error: false }],
  ['an output that is no text', { output: { a: 1 } }, { output: '{"a":1}', exit_code: 0, is_error: false }],
  [
    'metadata and images',
    { output: 'hi', metadata: { lines: 3 }, images: [IMAGE] },
    { output: 'hi', exit_code: 0, is_error: false, metadata: { lines: 3 }, images: [IMAGE] },
  ],
  [
    'metadata that is no object, images that are no list',
    { output: 'hi', metadata: 'x', images: 'y' },
    { output: 'hi', exit_code: 0, is_error: false },
  ],
]

test.each(VALUES)('a tool that gives %s', async (_what, gives, result) => {
  await using t = sessionSetup()
  expect(await t.call('bash', { gives })).toEqual({ id: '1', name: 'bash', ...result })
})

test.each(VALUES)('a worker that gives %s', async (_what, given, result) => {
  await using t = externalSetup()
  const call = t.calls(['bash'])
  await t.work(() => ({ result: given }))
  expect(await t.clock.expectSettled(call)).toEqual([{ id: '1', name: 'bash', ...result }])
})

test('a tool that gives nothing, or what JSON cannot say, has an output all the same', async () => {
  await using t = sessionSetup()
  expect(await t.call('bash', { gives: undefined })).toMatchObject({ output: '', is_error: false })
  expect(await t.call('bash', { gives: circular })).toMatchObject({
    output: 'a value that cannot be shown',
    is_error: false,
  })
  expect(await t.call('bash', { gives: 10n })).toMatchObject({ output: '10', is_error: false })
})

const FAILURES: readonly Row[] = [
  ['an error alone', { success: false, error: 'E' }, { output: 'Tool execution error: E', exit_code: 1 }],
  ['no error', { success: false }, { output: 'Tool execution error: External task failed', exit_code: 1 }],
  [
    'an error with output',
    { success: false, error: 'E', result: { output: 'log' } },
    { output: 'Tool execution error: E\nlog', exit_code: 1 },
  ],
  [
    'an error with an exit code',
    { success: false, error: 'E', result: { output: 'log', exit_code: 101 } },
    { output: 'Tool execution error: E\nlog', exit_code: 101 },
  ],
  [
    'an error with exit code 0',
    { success: false, error: 'E', result: { exit_code: 0 } },
    { output: 'Tool execution error: E', exit_code: 1 },
  ],
  [
    'an error with an empty output',
    { success: false, error: 'E', result: { output: '' } },
    { output: 'Tool execution error: E', exit_code: 1 },
  ],
  [
    'an error with metadata and images',
    { success: false, error: 'E', result: { output: 'log', metadata: { host: 'a' }, images: [IMAGE] } },
    { output: 'Tool execution error: E\nlog', exit_code: 1, metadata: { host: 'a' }, images: [IMAGE] },
  ],
]

test.each(FAILURES)('a worker that fails with %s', async (_what, answer, result) => {
  await using t = externalSetup()
  const call = t.calls(['bash'])
  await t.work(() => answer as object)
  expect(await t.clock.expectSettled(call)).toEqual([{ id: '1', name: 'bash', is_error: true, ...result }])
})

test.each([
  [new Error('as it says'), 'as it says'],
  ['a bare text', 'a bare text'],
  [undefined, 'undefined'],
  [{ code: 5 }, ''],
])('a tool that throws %o fails with its text', async (thrown, text) => {
  await using t = sessionSetup({
    execute: () => {
      throw thrown
    },
  })
  const { output, exit_code, is_error } = await t.call('bash')
  expect([exit_code, is_error]).toEqual([1, true])
  expect(output.startsWith(`Tool execution error: ${text}`)).toBe(true)
})

test.each([['text'], [['ls']], [null], [5], [true]])('malformed arguments %j are an error result', async (args) => {
  await using t = sessionSetup()
  expect(await t.call('bash', args)).toMatchObject({
    id: '1',
    name: 'bash',
    output: expect.stringMatching(/^Invalid arguments for tool 'bash': an object is expected, got /) as unknown,
    exit_code: 1,
    is_error: true,
  })
  expect(t.notes).toEqual([])
})

test('missing arguments are {}', async () => {
  await using t = sessionSetup({ execute: (_name, args) => ({ output: JSON.stringify(args) }) })
  expect(await t.session.runToolCalls([{ id: 'a', name: 'bash' }])).toMatchObject([{ output: '{}' }])
})
