import { JsonCommand } from '@a3s-lab/lane'
import { expect, test } from 'vitest'
import { commandOf, parseCommand, payloadOf, Work } from '../../../src/core/command.js'

test('a command by type and payload is kept as its payload', () => {
  const { type, body } = parseCommand({ type: 'x', payload: 5 })
  expect([type, body, payloadOf(body), Work.is(body)]).toEqual(['x', 5, 5, false])
  expect(commandOf('x', 5)).toEqual({ type: 'x', payload: 5 })
})

test('a command that brings its own work is kept as that work, and has no payload to show', () => {
  const command = (): number => 1
  const { type, body } = parseCommand(command)
  expect([type, payloadOf(body), Work.is(body)]).toEqual(['command', undefined, true])
  expect(commandOf('command', body)).toBe(command)
})

test('a JsonCommand shows its payload', () => {
  expect(payloadOf(parseCommand(new JsonCommand('x', 7)).body)).toBe(7)
})

test('a payload that looks like work is a payload', () => {
  const lookalike = Object.create(Work.prototype) as object
  expect(Work.is(lookalike)).toBe(false)
  for (const value of [null, undefined, 'x', {}]) expect(Work.is(value)).toBe(false)
})
