import { EventEmitter } from '@a3s-lab/lane'
import { recordEvents } from '@a3s-lab/lane/testing'
import { expect, test } from 'vitest'

test('a recorder keeps every event of an emitter, at the moment it happens', () => {
  const emitter = new EventEmitter(1)
  const recorder = recordEvents(emitter)
  const event = (command_id: string) => ({
    key: 'queue.command.submitted' as const,
    payload: { lane_id: 'a', command_id },
    timestamp: '2026-01-01T00:00:00.000Z',
  })
  for (const id of ['1', '2', '3']) emitter.emit(event(id))
  emitter.emit({ key: 'queue.shutdown.started', payload: null, timestamp: '2026-01-01T00:00:00.000Z' })
  expect(recorder.keys()).toHaveLength(4)
  expect(recorder.keys('2')).toEqual(['queue.command.submitted'])
  expect(recorder.of('queue.command.submitted')).toEqual([event('1'), event('2'), event('3')])
  recorder.clear()
  expect(recorder.events).toEqual([])
  recorder.stop()
  emitter.emit(event('4'))
  expect(recorder.events).toEqual([])
})
