import { expect, test } from 'vitest'
import {
  booleanSetting,
  integerSetting,
  type ReadSetting,
  readSettings,
  type SettingsForm,
  snakeCase,
  textSetting,
  unknownKey,
  wordSetting,
} from '../../../src/core/settings.js'
import { thrownBy } from '../../support/setup.js'

const nested: ReadSetting<object> = (option, value, form) =>
  readSettings(option, value, { innerWord: { read: wordSetting(['a', 'b']) } }, form)

const SETTINGS = {
  maxCount: { read: integerSetting(1), also: ['count', 'the_count'] },
  enableIt: { read: booleanSetting },
  name: { read: textSetting },
  nested: { read: nested },
}

const read = (value: unknown, form?: SettingsForm): unknown => readSettings('it', value, SETTINGS, form)

test.each(['maxCount', 'max_count', 'count', 'the_count'])('%s is the same setting', (key) => {
  expect(read({ [key]: 3 })).toEqual({ maxCount: 3 })
})

test('what is undefined is not set', () => {
  expect(read({ maxCount: undefined, name: 'x' })).toEqual({ name: 'x' })
})

test('two spellings with the same value are one setting', () => {
  expect(read({ maxCount: 3, max_count: 3, nested: { innerWord: 'a' } })).toEqual({
    maxCount: 3,
    nested: { innerWord: 'a' },
  })
})

test.each<[unknown, string, string]>([
  [
    { maxCount: 3, count: 4 },
    "it has 'maxCount' and 'count' with two values: both are the same option, keep one",
    'it.count',
  ],
  [{ maxCout: 3 }, "it has no option 'maxCout'; did you mean 'maxCount'?", 'it.maxCout'],
  [{ max_cout: 3 }, "it has no option 'max_cout'; did you mean 'max_count'?", 'it.max_cout'],
  [{ couunt: 3 }, "it has no option 'couunt'; did you mean 'count'?", 'it.couunt'],
  [
    { zzzzzzzzz: 3 },
    "it has no option 'zzzzzzzzz'; its options are 'maxCount', 'count', 'enableIt', 'name', 'nested'",
    'it.zzzzzzzzz',
  ],
  [
    { unknown: undefined },
    "it has no option 'unknown'; its options are 'maxCount', 'count', 'enableIt', 'name', 'nested'",
    'it.unknown',
  ],
  [
    { toString: 1 },
    "it has no option 'toString'; its options are 'maxCount', 'count', 'enableIt', 'name', 'nested'",
    'it.toString',
  ],
  [{ max_count: 0 }, 'it.max_count must be an integer of at least 1, got 0', 'it.max_count'],
  [{ max_count: '1' }, 'it.max_count must be an integer of at least 1, got "1"', 'it.max_count'],
  [{ enableIt: 1 }, 'it.enableIt must be true or false, got 1', 'it.enableIt'],
  [{ name: '' }, 'it.name must be a string that is not empty, got ""', 'it.name'],
  [{ nested: { inner_word: 'c' } }, "it.nested.inner_word must be one of 'a', 'b', got \"c\"", 'it.nested.inner_word'],
  [{ nested: [{ inner_word: 'a' }] }, 'it.nested must be an object, got [{"inner_word":"a"}]', 'it.nested'],
  [null, 'it must be an object, got null', 'it'],
])('%j is refused', (value, message, option) => {
  expect(thrownBy(() => read(value))).toMatchObject({
    code: 'CONFIG_INVALID',
    message: `Configuration error: ${message}`,
    option,
  })
})

test('a block that is there once is its object', () => {
  expect(read([{ nested: [{ inner_word: 'a' }] }], 'blocks')).toEqual({ nested: { innerWord: 'a' } })
  expect(read({ nested: { inner_word: 'a' } }, 'blocks')).toEqual({ nested: { innerWord: 'a' } })
})

test.each<[unknown, string]>([
  [{ nested: [{}, {}] }, 'it.nested must be one block, got 2'],
  [{ nested: [] }, 'it.nested must be an object, got []'],
])('blocks that are no single object are refused: %j', (value, message) => {
  expect(() => read(value, 'blocks')).toThrow(`Configuration error: ${message}`)
})

test('a setting that is called like a member of every object is one', () => {
  expect(readSettings('it', { constructor: 'a' }, { constructor: { read: textSetting } })).toEqual({ constructor: 'a' })
  expect(snakeCase('initialDelayMs')).toBe('initial_delay_ms')
  expect(unknownKey('it', 'naem', ['name']).message).toContain("did you mean 'name'?")
})
