import { LaneError, RetryAfterError, UnrecoverableError } from '@a3s-lab/lane'
import { expect, test } from 'vitest'
import { classify } from '../../../src/core/failure.js'

const throwing = new Proxy(
  {},
  {
    getPrototypeOf() {
      throw new Error('trap')
    },
  },
)

test.each<[string, unknown, object]>([
  ['an error', new Error('x'), { kind: 'retryable', timedOut: false }],
  ['a text', 'x', { kind: 'retryable', timedOut: false }],
  ['nothing', undefined, { kind: 'retryable', timedOut: false }],
  ['an error of ours', new LaneError('QUEUE_FULL', 'x'), { kind: 'retryable', timedOut: false }],
  ['a timeout of ours', new LaneError('COMMAND_TIMEOUT', 'x'), { kind: 'retryable', timedOut: true }],
  ['a timeout of the platform', new DOMException('x', 'TimeoutError'), { kind: 'retryable', timedOut: true }],
  ['what only says that it is a timeout', { name: 'TimeoutError' }, { kind: 'retryable', timedOut: false }],
  ['an unrecoverable error', new UnrecoverableError('x'), { kind: 'final' }],
  ['an error that says when', new RetryAfterError(5), { kind: 'deferred', delayMs: 5, closesLane: false }],
  [
    'an error that says when for its lane',
    new RetryAfterError(5, { scope: 'lane' }),
    { kind: 'deferred', delayMs: 5, closesLane: true },
  ],
  [
    "a provider's refusal that says when",
    Object.assign(new Error('slow down'), { status: 429, headers: { 'retry-after': '2' } }),
    { kind: 'deferred', delayMs: 2000, closesLane: true },
  ],
  [
    "a provider's refusal that does not",
    Object.assign(new Error('no'), { status: 429 }),
    { kind: 'retryable', timedOut: false },
  ],
  ['a value that cannot be read', throwing, { kind: 'retryable', timedOut: false }],
])('%s is understood', (_what, error, failure) => {
  expect(classify(error, 0)).toEqual(failure)
})
