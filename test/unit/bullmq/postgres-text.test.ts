/** What BullMQ's tables cannot keep letter for letter is shown in them as near as can be; the rest is as it was. */
import { describe, expect, test } from 'vitest'
import { isPgAway, isPgInTheWay, pgRefusalOf } from '../../../src/bullmq/postgres/pg-errors.js'
import {
  fieldsOfRow,
  fieldsText,
  type JobRow,
  jsonbText,
  objectOf,
  plainText,
} from '../../../src/bullmq/postgres/pg-jobs.js'

describe('JSON text for a column of jsonb', () => {
  test('is left as it is where the column takes it', () => {
    for (const value of ['plain', 'tab\tand "quotes" \\ and \\\\', 'ä€😀', { a: [1, null, true] }]) {
      const text = JSON.stringify(value)
      expect(jsonbText(text)).toBe(text)
    }
  })

  test.each([
    ['a NUL', '\0'],
    ['half of a pair', '\ud83d'],
    ['the other half', '\ude00'],
  ])('has the sign for a lost character in the place of %s', (_name, bad) => {
    expect(JSON.parse(jsonbText(JSON.stringify({ [`key${bad}`]: [`a${bad}b`] })))).toEqual({
      'key\ufffd': ['a\ufffdb'],
    })
  })

  test('knows an escape from text that looks like one', () => {
    const text = JSON.stringify('\\u0000 \\\\u0000 \\ud83d \u0001')
    expect(JSON.parse(jsonbText(text))).toBe('\\u0000 \\\\u0000 \\ud83d \u0001')
    const nested = JSON.stringify({ inner: JSON.stringify('\0') })
    expect(JSON.parse(jsonbText(nested))).toEqual({ inner: '"\\u0000"' })
  })

  test('keeps a pair that is written as two escapes', () => {
    expect(JSON.parse(jsonbText('"\\ud83d\\ude00 \\u0000"'))).toBe('😀 \ufffd')
  })
})

test('fields are kept as text, and a column of text takes no NUL', () => {
  expect(objectOf(['laneAttempt', 2, 'laneDetails', ''])).toEqual({ laneAttempt: '2', laneDetails: '' })
  expect(JSON.parse(fieldsText({ data: '"\\u0000"' }))).toEqual({ data: '"\\u0000"' })
  expect(plainText('a\0b')).toBe('a\ufffdb')
})

test('what is kept beside a job goes before what BullMQ has of it, and an empty field stands for none', () => {
  const row: JobRow = {
    queue: 'lane',
    id: 'x',
    name: 'mail',
    state: 'active',
    data: '{"b": 1, "a": 2}',
    opts: '{}',
    priority: 1,
    attempts_started: 1,
    progress: null,
    return_value: null,
    failed_reason: 'of an earlier attempt',
    added_at_ms: '5',
    process_at_ms: null,
    processed_at_ms: '7',
    finished_at_ms: null,
    lock_token: 't',
    locked_until_ms: '9',
    stalled_count: 0,
    fields: { data: '{"b":1,"a":2}', laneLost: '', lane: '1' },
  }
  const fields = fieldsOfRow(row)
  expect(fields.get('data')).toBe('{"b":1,"a":2}')
  expect(fields.has('laneLost')).toBe(false)
  expect(fields.has('failedReason')).toBe(false)
  expect(fieldsOfRow({ ...row, fields: null }).get('data')).toBe('{"b": 1, "a": 2}')
})

describe('an error of Postgres', () => {
  const coded = (code: string, message = 'no'): Error => Object.assign(new Error(message), { code })

  test.each(['08006', '57P01', '57P03', '25P03', '53300', 'ECONNREFUSED', 'ECONNRESET'])(
    '%s says that it is away',
    (code) => {
      expect(isPgAway(coded(code))).toBe(true)
      expect(pgRefusalOf(coded(code))).toBeUndefined()
    },
  )

  test.each(['23505', '42P01', '42601'])('%s does not', (code) => {
    expect(isPgAway(coded(code))).toBe(false)
  })

  test.each([
    ['28P01', /password or the user/],
    ['3D000', /no such database/],
    ['42501', /no such database/],
  ])('%s names the connection', (code, text) => {
    const error = pgRefusalOf(coded(code, 'no such database'))
    expect(error).toMatchObject({ code: 'CONFIG_INVALID', option: 'BullMQEngine connection' })
    expect(error?.message).toMatch(text)
  })

  test('of two transactions in each other’s way is tried again', () => {
    expect(['40001', '40P01', '23505'].map((code) => isPgInTheWay(coded(code)))).toEqual([true, true, false])
  })
})
