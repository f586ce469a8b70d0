import { appendFileSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { HistoryError, hashOf, openHistory, parseHistory, readHistory } from './history.js'

function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'lane-history-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

describe('a history', () => {
  test('gives back what several processes appended, in order of time', () => {
    const folder = newFolder()
    const [one, two] = [openHistory(folder, 'one'), openHistory(folder, 'two')]
    one.add('submit', 'invoke', { command: 'a', hash: hashOf({ n: 1 }) })
    two.add('start', 'ok', { command: 'a', attempt: 1 })
    one.add('submit', 'ok', { command: 'a' })
    expect(readHistory(folder).map(({ process, op, kind }) => [process, op, kind])).toEqual([
      ['one', 'submit', 'invoke'],
      ['two', 'start', 'ok'],
      ['one', 'submit', 'ok'],
    ])
  })

  test('does without a last line that its author did not finish', () => {
    const folder = newFolder()
    const history = openHistory(folder, 'killed')
    history.add('submit', 'invoke', { command: 'a' })
    appendFileSync(join(folder, 'killed.jsonl'), '{"at":17,"proc')
    expect(readHistory(folder)).toHaveLength(1)
  })

  test('cannot be judged with a torn line in its middle', () => {
    expect(() => parseHistory('{"at":1,"op":"st\n{"at":2}\n')).toThrow(HistoryError)
  })

  test('tells equal content by its hash, also where there is none', () => {
    expect(hashOf({ a: [1, 'x'] })).toBe(hashOf({ a: [1, 'x'] }))
    expect(hashOf({ a: [1, 'x'] })).not.toBe(hashOf({ a: [1, 'y'] }))
    expect(hashOf(undefined)).not.toBe(hashOf(null))
  })
})
