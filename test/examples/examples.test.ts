/** Every example runs as it stands and prints what it is about. */
import { readFileSync } from 'node:fs'
import { beforeAll, expect, test } from 'vitest'
import { root } from '../../scripts/entry-points.mjs'
import { BUILD_MS, build, exampleNames, run } from './built.js'

/** What the output of each has to say, in this order; other lines may stand between. */
const lines: Readonly<Record<string, readonly string[]>> = {
  basic: [
    'fish: 4',
    'red, cat: [ 1, 0 ]',
    'sum: 5',
    'COMMAND_FAILED: no such model',
    'lanes: system control query session skill prompt',
    'waiting 0, running 0, query has 10 slots',
    'done',
  ],
  priorities: [
    '1 higher lane empty: prompt-1, prompt-2',
    '2 higher lane full: system-1, prompt-1, system-2',
    '3 higher lane has room: system-1, system-2, prompt-1',
    'within a lane: skill/0, skill/5, skill/9',
  ],
  reliability: [
    'done on attempt 3',
    'COMMAND_TIMEOUT: Command timed out after 500ms',
    'COMMAND_FAILED: the service is down',
    'dead letter: call, 4 attempts, 4 errors, last: the service is down',
    'redriven: the service answered',
    'SHUTTING_DOWN: Queue is shutting down, not accepting new commands',
    'accepted before the shutdown: done on attempt 3',
  ],
  cancellation: [
    'running: 7',
    'cancelled: true',
    'cancelled once more: false',
    'LaneError: Command cancelled: nobody needs it any more',
    'a branch of depth 0 stops: COMMAND_CANCELLED',
    'running: 0, going on nevertheless: 0',
    'LaneError: Command cancelled: the user has left',
  ],
  events: [
    'queue.command.submitted',
    'queue.command.progress 2',
    'queue.command.completed',
    'failed: out of paper',
    'lane event: queue.lane.paused',
    'dropped: 10',
    'still there: queue.command.completed',
    'last: queue.shutdown.complete',
  ],
  preemption: [
    "attempt 1 begins with 0 words: ''",
    'the queue went up the hill to fetch a slot of water then control came and took it for a while',
    'yes  preempted and resumed three times, never retried',
    'yes  one attempt, number 1',
    'yes  nothing lost, nothing generated twice',
    'yes  no urgent command waited for its end',
  ],
  fairness: [
    'of the first 350 starts: gold (weight 4) 200, silver (2) 100, bronze (1) 50',
    'yes  without turns every small tenant waits for all 1,000',
    'yes  with turns none waits for more than 100 starts',
    'yes  weights 4, 2 and 1 get 200, 100 and 50',
  ],
  durable: [
    'first: atlas: done in attempt 1',
    'first: novel, page 2, attempt 1',
    'first was killed',
    // stored, so it is not printed again
    'second: atlas: done in attempt 1',
    'second: novel, page 4, attempt 2',
    'second: novel: done in attempt 2',
    'second: poems: done in attempt 1',
    'second has ended',
  ],
  'capacity-plan': [
    '           3           0 ms      60 ms      30.7 s         64.6        55 % ',
    '           4           1 ms     137 ms       9.3 s         69.2        58 %  fits',
    '           5           1 ms     270 ms       6.3 s         69.4        58 % ',
    'prompt needs 4 slots',
  ],
  observability: [
    'alert in api, warning: Queue depth warning: 20 (threshold: 20)',
    'alert in api, critical: Queue depth critical: 40 (threshold: 40)',
    'health: unhealthy, because of pending and alert',
    'alert in api, info: Queue depth resolved: 17 (threshold: 20)',
    'alert in batch, critical: Failure ratio critical: 100.00% (threshold: 60.00%)',
    'api: submitted 45, completed 45, dead letters 0',
    'batch: submitted 8, completed 0, dead letters 8',
    'a3s_lane_commands_submitted_total{lane="api"} 45',
    'health: unhealthy, not watched any more',
  ],
  logging: [
    'warn queue.command.retry {"lane_id":"mail","attempt":1}',
    'error queue.command.failed {"lane_id":"mail","error":"not an address"}',
    'warn queue.command.rejected {"lane_id":"post","code":"LANE_NOT_FOUND","error":"Lane not found: post"}',
    'info queue.lane.paused {"lane_id":"mail"}',
  ],
  tracing: [
    'page 7 was printed; traces: 1',
    'a3s.lane.submit (here)',
    '  a3s.lane.submit (there)',
    '    a3s.lane.execute (there)',
    '      a3s.lane.retry (there)',
    '    a3s.lane.execute (there)',
    '      print (there)',
    '  a3s.lane.execute (here)',
  ],
  session: [
    '+ read in query',
    '+ grep in query',
    '+ bash in execute',
    '+ edit in execute',
    'a  read: done here',
    'b  bash: done here',
    'c  grep: done here',
    'd  edit: done here',
    'the worker is given bash {"command":"make test"}',
    'e  bash: done outside',
    'f  read: done here',
    'paused; all has come to its end: true',
    'g  read: done here',
    'waiting: 1',
    'h  read: done here',
    'cancelled: 2, stopped: true, not to be stopped: 0',
    'i  Tool execution error: Command cancelled: the user has left',
    'j  Tool execution error: Command cancelled: the user has left',
  ],
  'lane-tools': [
    'Rome and Bern are booked.',
    'found Oslo, found Rome, found Bern, booked Rome',
    'booked Bern',
    'query 3, at most 2 at once; execute 2',
  ],
  testing: [
    'an hour later: queue.command.submitted queue.command.started queue.command.retry queue.command.started queue.command.completed',
    'timed out after 30 virtual seconds',
  ],
}

beforeAll(build, BUILD_MS)

test('every example is tried here, and none is missing', () => {
  expect(new Set(exampleNames())).toEqual(new Set(Object.keys(lines)))
})

test.each(exampleNames())(
  '%s.ts ends by itself and prints what it is about',
  async (name) => {
    const { code, stdout, stderr } = await run(name)
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    const printed = stdout.split('\n')
    let from = 0
    for (const line of lines[name] ?? []) {
      const at = printed.indexOf(line, from)
      expect(at, `${name} prints '${line}' after what comes before it:\n${stdout}`).toBeGreaterThanOrEqual(0)
      from = at + 1
    }
  },
  20_000,
)

test.each(exampleNames())('%s.ts fits on a page', (name) => {
  expect(readFileSync(`${root}/examples/${name}.ts`, 'utf8').split('\n').length).toBeLessThan(60)
})
