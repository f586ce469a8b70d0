import { describe, expect, test } from 'vitest'
import {
  claimOf,
  commandOf,
  failedReasonOf,
  fieldsOf,
  foreignOptions,
  jobData,
  namedFields,
  outcomeOf,
  ownFields,
  progressFields,
  progressOf,
  recordOf,
} from '../../../src/bullmq/job-form.js'
import type { EngineCommand } from '../../../src/core/index.js'

const full: EngineCommand = {
  id: 'c1',
  laneId: 'query',
  commandType: 'ask',
  payload: '{"a":1}',
  priority: 4,
  createdAt: 1000,
  dueAt: 2000,
  deadlineAt: 3000,
  options: '{"x":1}',
  cost: '{"tokens":5}',
  hasOwnId: true,
  dedupe: { id: 'd', mode: 'keep-last', until: 9000 },
  replyTo: 'me',
}
const bare: EngineCommand = {
  ...full,
  payload: undefined,
  dueAt: undefined,
  deadlineAt: undefined,
  options: undefined,
  cost: undefined,
  hasOwnId: false,
  dedupe: undefined,
  replyTo: undefined,
}

/** What the server keeps of it. */
const kept = (command: EngineCommand): string[] => [
  ...['name', command.commandType, 'data', jobData(command), 'priority', String(command.priority + 1)],
  ...['timestamp', String(command.createdAt), ...ownFields(command)],
]

describe('a command as a job', () => {
  test('what is written is what is read', () => {
    for (const command of [full, bare]) expect(commandOf('c1', 'query', fieldsOf(kept(command)))).toEqual(command)
  })

  test('a window of dedupe may have no end', () => {
    const command: EngineCommand = { ...full, dedupe: { id: 'd', mode: 'drop', until: undefined } }
    expect(commandOf('c1', 'query', fieldsOf(kept(command))).dedupe).toEqual(command.dedupe)
  })

  test('a claim tells what was saved, how often it was lost, and whether it is to be cancelled', () => {
    const lost = ['stc', '2', 'laneLost', '1', 'laneAttempt', '3', 'laneCheckpoint', '[1]', 'laneCancel', 'enough']
    expect(claimOf('c1', 'query', 'token', [...kept(full), ...lost])).toEqual({
      lease: { id: 'c1', laneId: 'query', token: 'token' },
      command: full,
      progress: { attempt: 3, checkpoint: '[1]', details: undefined },
      recoveries: 2,
      isRecovered: true,
      cancelled: { reason: 'enough' },
    })
    expect(claimOf('c1', 'query', 'token', kept(full))).toMatchObject({
      recoveries: 0,
      isRecovered: false,
      cancelled: undefined,
    })
  })

  test('progress that was there and is none any more is read as none', () => {
    const none = { attempt: 2, checkpoint: undefined, details: undefined }
    expect(progressFields(none, false)).toEqual(['laneAttempt', 2])
    expect(progressOf(fieldsOf(progressFields(none, true).map(String)))).toEqual(none)
    const some = { attempt: 1, checkpoint: '1', details: '{}' }
    expect(progressOf(fieldsOf(progressFields(some, false).map(String)))).toEqual(some)
  })

  test('a job of another program is a command with its retries', () => {
    const foreign = [
      'name',
      'mail',
      'data',
      '{}',
      'timestamp',
      '5',
      'priority',
      '0',
      'opts',
      '{"attempts":3,"backoff":50}',
    ]
    expect(commandOf('7', 'query', fieldsOf(foreign))).toMatchObject({
      id: 'bull:query:7',
      commandType: 'mail',
      payload: '{}',
      priority: 0,
      replyTo: undefined,
      options: '{"retry":{"maxRetries":2,"initialMs":50,"maxMs":50,"factor":1,"jitter":"none"}}',
    })
  })

  test('the pauses of another program grow as BullMQ lets them grow', () => {
    const opts = '{"attempts":2,"backoff":{"type":"exponential","delay":100,"jitter":0.5}}'
    expect(JSON.parse(foreignOptions(opts) as string)).toEqual({
      retry: { maxRetries: 1, initialMs: 100, maxMs: 604_800_000, factor: 2, jitter: 'equal' },
    })
    for (const none of [undefined, '{}', '{"attempts":1}', 'not json', '{"attempts":"x"}']) {
      expect(foreignOptions(none)).toBeUndefined()
    }
  })
})

describe('the outcome of a job', () => {
  const ended = (fields: Record<string, string>): ReturnType<typeof outcomeOf> =>
    outcomeOf('c1', 'query', new Map(Object.entries({ finishedOn: '9', ...fields })))

  test('there is none before it has ended', () => {
    expect(outcomeOf('c1', 'query', new Map([['returnvalue', '1']]))).toBeUndefined()
  })

  test('a result may be null, or none', () => {
    expect(ended({ laneState: 'completed', returnvalue: 'null' })?.result).toBe('null')
    expect(ended({ laneState: 'completed', returnvalue: 'null', laneBareResult: '1' })?.result).toBeUndefined()
  })

  test('what a BullMQ worker has ended has its outcome too', () => {
    expect(ended({ returnvalue: '3' })).toMatchObject({ state: 'completed', result: '3' })
    expect(ended({ failedReason: 'broken' })).toMatchObject({
      state: 'failed',
      error: '{"name":"Error","message":"broken"}',
    })
  })

  test('failed, timed out and cancelled are told apart', () => {
    for (const state of ['failed', 'timed_out', 'cancelled']) {
      expect(ended({ laneState: state, failedReason: 'x', laneError: '{}' })).toMatchObject({ state, error: '{}' })
    }
  })

  test('the reason that tools show is the message of the error', () => {
    expect(failedReasonOf('{"message":"broken"}', 'failed')).toBe('broken')
    expect(failedReasonOf('{"message":""}', 'timed_out')).toBe('timed_out')
    expect(failedReasonOf('not json', 'failed')).toBe('not json')
    expect(failedReasonOf(undefined, 'cancelled')).toBe('cancelled')
  })

  test('a record shows when it is due only while it is delayed', () => {
    const stands = { state: 'delayed', dueAt: 77 } as const
    expect(recordOf('c1', 'query', fieldsOf(kept(full)), stands)).toMatchObject({ state: 'delayed', dueAt: 77 })
    const done = fieldsOf([...kept(full), 'finishedOn', '9', 'returnvalue', '1', 'progress', '50', 'processedOn', '8'])
    expect(recordOf('c1', 'query', done, stands)).toMatchObject({
      state: 'completed',
      dueAt: undefined,
      startedAt: 8,
      endedAt: 9,
      lastProgress: '50',
    })
  })

  test('fields that are not there are left out of an answer by name', () => {
    expect([...namedFields(['a', 'b'], ['1', null])]).toEqual([['a', '1']])
  })
})
