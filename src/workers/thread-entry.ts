/**
 * What runs in each thread: piscina calls `runBody` for every body, which loads the user's file once and calls
 * it. It never throws: whatever piscina rejects with is the end of the thread, not of the body.
 */
import { type MessagePort, parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads'
import type { Outcome } from '../core/index.js'
import { ThreadBody, type ThreadHandler, type ThreadHost } from './thread-context.js'
import {
  type BodyEnding,
  type BodyStart,
  contentOf,
  inEnvelope,
  type Order,
  type Report,
  type ThreadData,
} from './thread-messages.js'
import { thrownForm } from './thrown-form.js'

const OUTCOME = Symbol.for('@a3s-lab/lane.outcome')

const port = parentPort as MessagePort
const stops = new Int32Array((workerData as ThreadData).stops)
const handlers = new Map<string, ThreadHandler>()
let current: ThreadBody | undefined

const host: ThreadHost = {
  post: (report: Report) => port.postMessage(inEnvelope(report)),
  isToldToStop: ({ place, body }) => Atomics.load(stops, place) === body,
  readOrders() {
    for (let next = receiveMessageOnPort(port); next !== undefined; next = receiveMessageOnPort(port)) {
      obey(next.message)
    }
  },
}

// piscina's own listener has had its one message, and would take each of ours for another.
port.removeAllListeners('message')
port.on('message', obey)

function obey(message: unknown): void {
  const order = contentOf<Order>(message)
  if (order !== undefined && order.body === current?.number) current.obey(order)
}

export async function runBody(start: BodyStart): Promise<BodyEnding> {
  const body = new ThreadBody(start, host)
  current = body
  try {
    const handler = handlers.get(start.file) ?? (await load(start.file))
    // It may have been told to stop while its file was loaded.
    if (body.isStopped) throw body.stopReason
    const value: unknown = await handler(start.payload, body)
    return endingOf(body, value)
  } catch (error) {
    return { sent: body.sent, how: 'threw', thrown: thrownForm(error) }
  } finally {
    body.end()
    current = undefined
  }
}

async function load(file: string): Promise<ThreadHandler> {
  const exported = ((await import(file)) as { default?: unknown }).default
  // CommonJS that was compiled from a default export has it one level down.
  const handler = typeof exported === 'function' ? exported : (exported as { default?: unknown } | undefined)?.default
  if (typeof handler !== 'function') throw new TypeError(`${file} has no default export that is a function`)
  handlers.set(file, handler as ThreadHandler)
  return handler as ThreadHandler
}

function endingOf(body: ThreadBody, value: unknown): BodyEnding {
  if (typeof value === 'object' && value !== null) {
    const outcome = (value as Record<symbol, unknown>)[OUTCOME] === true ? plain(value) : undefined
    if (outcome !== undefined) return { sent: body.sent, how: 'outcome', outcome }
  } else if (typeof value !== 'function' && typeof value !== 'symbol') {
    return { sent: body.sent, how: 'value', value }
  }
  try {
    body.reportValue(value)
  } catch (error) {
    return { sent: body.sent, how: 'unsendable', thrown: thrownForm(error) }
  }
  return { sent: body.sent, how: 'reported' }
}

/** The outcome as data that can surely be cloned: it may have been made by hand. */
function plain({ kind, delayMs, reason }: { kind?: unknown; delayMs?: unknown; reason?: unknown }): Outcome {
  return kind === 'snooze' ? { kind, delayMs: Number(delayMs) } : { kind: 'discard', reason: String(reason) }
}
