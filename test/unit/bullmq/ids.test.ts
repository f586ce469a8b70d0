import { describe, expect, test } from 'vitest'
import { commandIdOf, foreignIdOf, isForeignId, jobIdOf, laneIdOf, queueNameOf } from '../../../src/bullmq/ids.js'

const odd = ['', '7', '-12', 'a:b', 'wait', 'meta', '~', '~a', 'ä ö', '%0041', '😀', '\uD800', 'bull:x:1', 'a\nb']

describe('names of lanes and commands', () => {
  test('an ordinary name is taken as it is', () => {
    for (const name of ['query', 'c_1', 'a.b-c', '0f8fad5b-d9cb-469f-a165-70867728950e']) {
      expect(queueNameOf(name)).toBe(name)
      expect(jobIdOf(name, 'lane')).toBe(name)
    }
  })

  test('every other name has a form that BullMQ takes, and comes back letter for letter', () => {
    for (const name of odd) {
      const jobId = jobIdOf(name, 'lane')
      expect(jobId).toMatch(/^~[\w.%-]*$/)
      expect(commandIdOf(jobId)).toBe(name)
      expect(laneIdOf(queueNameOf(name))).toBe(name)
    }
  })

  test('different names have different forms', () => {
    const names = [...odd, ...odd.map((name) => jobIdOf(name, 'lane')), 'query']
    expect(new Set(names.map((name) => jobIdOf(name, 'lane'))).size).toBe(new Set(names).size)
  })

  test('a foreign job has an id of its own in each lane, and is found again by it', () => {
    expect(foreignIdOf('1', 'a')).not.toBe(foreignIdOf('1', 'b'))
    for (const [jobId, laneId] of [
      ['1', 'query'],
      ['my-id', 'a lane: with more'],
    ] as const) {
      const id = foreignIdOf(jobId, laneId)
      expect(isForeignId(id)).toBe(true)
      expect(jobIdOf(id, laneId)).toBe(jobId)
    }
  })
})
