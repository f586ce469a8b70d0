/** A session queue without an agent: tool calls in four lanes, one lane done by a worker outside, pause and cancel with proof. */
import { setTimeout as sleep } from 'node:timers/promises'
import { SessionQueue, type ToolCall, type ToolContext } from '@a3s-lab/lane/session'

/** Stands for all tools: takes its time, and stops when it is told to. */
async function execute(name: string, args: unknown, { laneId, signal }: ToolContext) {
  console.log(`+ ${name} in ${laneId}`)
  await sleep((args as { ms?: number }).ms ?? 50, undefined, { signal })
  return { output: `${name}: done here`, exit_code: 0 }
}

await using session = new SessionQueue({ queueConfig: { queryMaxConcurrency: 3 }, execute, permissive: true })
const call = (id: string, name: string, args: object = {}): ToolCall => ({ id, name, args })
const show = (results: readonly { id: string; output: string }[]): void => {
  for (const { id, output } of results) console.log(`${id}  ${output}`)
}

// What a model asked for in one turn: reads together, then the others in order; results in the order of the calls.
show(
  await session.runToolCalls([
    call('a', 'read', { path: 'main.ts' }),
    call('b', 'bash', { command: 'make' }),
    call('c', 'grep', { pattern: 'TODO' }),
    call('d', 'edit', { path: 'main.ts' }),
  ]),
)

// The execute lane goes to a worker. This one is in the same process; it could be anywhere.
session.setExternalTaskHandler(async ({ command_type, payload }) => {
  console.log(`the worker is given ${command_type} ${JSON.stringify(payload)}`)
  return { result: { output: `${command_type}: done outside`, exit_code: 0 } }
})
await session.setLaneHandler('execute', { mode: 'external', timeoutMs: 60_000 })
show(await session.runToolCalls([call('e', 'bash', { command: 'make test' }), call('f', 'read')]))

// Pause: what runs comes to its end, nothing more starts.
const reading = session.runToolCalls([call('g', 'read')])
await sleep(10)
const pause = await session.pause()
console.log(`paused; all has come to its end: ${pause.stoppedAfterMs !== undefined}`)
show(await reading)
const waiting = session.runToolCalls([call('h', 'read')])
await sleep(10)
console.log('waiting:', (await session.queueStats()).lanes.query?.pending)
await session.resume()
show(await waiting)

// Cancel: the turn's tools are told to stop, and the proof says when they had.
const doomed = session.runToolCalls([call('i', 'read', { ms: 60_000 }), call('j', 'grep', { ms: 60_000 })])
await sleep(10)
const { cancelled, stoppedAfterMs, unstopped } = await session.cancel({ reason: 'the user has left' })
console.log(`cancelled: ${cancelled}, stopped: ${stoppedAfterMs !== undefined}, not to be stopped: ${unstopped.length}`)
show(await doomed)
