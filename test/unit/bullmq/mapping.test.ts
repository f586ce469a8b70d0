import { expect, test } from 'vitest'
import { GAPS, MAPPING } from '../../../src/bullmq/index.js'
import { checkedOptions } from '../../../src/bullmq/options.js'
import { composedScripts, type Registered } from '../../../src/bullmq/scripts.js'

test('every gap has a name and a sentence, and every mapping two sides', () => {
  for (const [id, sentence] of Object.entries(GAPS)) {
    expect(id).toMatch(/^[a-z]+(_[a-z]+)*$/)
    expect(sentence).toMatch(/^[A-Z].*\.$/)
  }
  expect(new Set(MAPPING.map(({ ours }) => ours)).size).toBe(MAPPING.length)
  expect(MAPPING.every(({ theirs }) => theirs !== '')).toBe(true)
})

test('scripts of another BullMQ are refused', () => {
  const other = new Map<string, Registered>([['addPrioritizedJob', { lua: 'return ARGV[4]', numberOfKeys: 9 }]])
  expect(() => composedScripts(other)).toThrow(/script addPrioritizedJob is not the one of 6.7/)
  expect(() => composedScripts(new Map())).toThrow(/npm install bullmq/)
})

test('an option that makes no sense is named', () => {
  const good = { connection: 'redis://127.0.0.1:1', namespace: 'app' }
  expect(checkedOptions(good)).toMatchObject({
    role: 'both',
    leaseMs: 10_000,
    keepCount: 10_000,
    keepAgeSeconds: 604_800,
  })
  for (const [name, bad] of Object.entries({
    connection: 7,
    namespace: 'a:b',
    role: 'boss',
    leaseMs: 5,
    retention: { count: 0 },
    connectTimeoutMs: -1,
    maxPayloadBytes: 0.5,
    other: 1,
  })) {
    expect(() => checkedOptions({ ...good, [name]: bad } as never)).toThrow(`BullMQEngine ${name}`)
  }
})
