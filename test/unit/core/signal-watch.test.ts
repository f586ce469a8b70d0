import { expect, test } from 'vitest'
import { SignalWatch } from '../../../src/core/signal-watch.js'

test('everybody who watches a signal is told once, and those who stopped are not', () => {
  const watch = new SignalWatch()
  const controller = new AbortController()
  const told: string[] = []
  watch.watch(controller.signal, () => told.push('a'))
  const stop = watch.watch(controller.signal, () => told.push('never'))
  watch.watch(controller.signal, () => told.push('b'))
  stop()
  stop()
  controller.abort()
  expect(told).toEqual(['a', 'b'])
})

test('a signal can be watched again after everybody has stopped', () => {
  const watch = new SignalWatch()
  const controller = new AbortController()
  watch.watch(controller.signal, () => {})()
  const told: string[] = []
  watch.watch(controller.signal, () => told.push('again'))
  controller.abort()
  expect(told).toEqual(['again'])
})
