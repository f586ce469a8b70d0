/**
 * `npm run example agent`: a coding agent at work in four lanes, without a key and without a network.
 *
 * A local server plays a recorded conversation (recording.json, playback.ts); everything else is real: the AI SDK and its
 * provider over HTTP, the session queue, the tools, a copy of this package's source with a fault in it (tree.ts), two
 * worker processes (workers.ts, worker.ts). The agent reads and searches in parallel, writes a test, mends the fault and
 * runs the tests; it is paused and resumed; then the execute lane goes external and the workers do its commands. In the
 * end a timeline (timeline.ts, chart.ts) shows who waited for what.
 *
 * With MODEL and OPENAI_API_KEY or OPENAI_BASE_URL a real model does the talking, and does as it thinks best.
 * The exit code is 0 when the turns came to their end and, with the recording, all checks hold.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { Agent, type AgentSession } from '@a3s-lab/lane/agent'
import type { PermissionPolicy } from '@a3s-lab/lane/session'
import { duration, painter } from './chart.js'
import { chosenModel } from './model.js'
import { showChecks, showTimeline } from './report.js'
import { Talk } from './talk.js'
import { TIMELINE_EVENTS, Timeline } from './timeline.js'
import { COMMAND_ENVIRONMENT, Tree } from './tree.js'
import { Workers } from './workers.js'

/** Whatever else a model may want to run is not for this example. */
const POLICY: PermissionPolicy = {
  allow: [
    ...['read', 'ls', 'glob', 'grep', 'write(src/*)', 'write(test/*)', 'edit(src/*)', 'edit(test/*)'],
    ...['bash(npm test)', 'bash(node --test*)', 'bash(rolldown *)'],
  ],
  otherwise: 'deny',
}

const MEND =
  'RetryPolicy.exponential promises delays of at most maxMs, but they grow without end. Write a test that shows it ' +
  '(test/retry.test.mjs, with node:test, against build/policy.js), mend src/policy, and see that it passes. ' +
  '`npm test` builds and runs all tests.'
const BUNDLE =
  'Now make bundles of core, testing and session, one after another: ' +
  '`rolldown src/<name>/index.ts --format esm --file build/<name>.js`.'

/** How long the pause goes on when everything has stopped. */
const QUIET_MS = 700
const paint = painter(process.stdout.isTTY)

/** Pauses while the tests run for the second time, puts something in the way meanwhile, and goes on. */
async function pauseOnce(session: AgentSession, signal: AbortSignal, talk: Talk): Promise<void> {
  let commands = 0
  for await (const event of session.subscribe({ types: ['queue.command.started'], signal })) {
    if (event.type === 'queue.command.started' && event.command_type === 'bash' && ++commands === 2) break
  }
  if (commands < 2) return
  const { acknowledgedAfterMs, stoppedAfterMs = 0 } = await session.pause()
  talk.say(
    'pause',
    `acknowledged after ${acknowledgedAfterMs.toFixed(1)} ms, all quiet after ${duration(stoppedAfterMs)}`,
  )
  const asked = session.submit('query', { path: 'package.json' }, { id: 'read, asked in pause' })
  await sleep(QUIET_MS)
  await session.resume()
  talk.say('resume', 'what has waited goes on')
  await asked
}

/** The turn's commands, and two of the program beside them: two workers have two commands at a time. */
async function workOutside(session: AgentSession, workers: Workers, timeline: Timeline, talk: Talk): Promise<void> {
  session.setExternalTaskHandler((work, { signal }) =>
    workers.run(work, signal, (name) => timeline.takenBy(work.command_id, name)),
  )
  await session.setLaneHandler('execute', { mode: 'external', timeoutMs: 60_000 })
  talk.say('external', 'the execute lane is done by two worker processes from now on')
  const own = [
    session.submit('execute', { command: 'npm test' }, { id: 'npm test, once more' }),
    session.submit('execute', { command: 'wc -l src/*/*.ts | tail -1' }, { id: 'wc -l of all source' }),
  ]
  await talk.turn(BUNDLE)
  await Promise.all(own)
  session.setExternalTaskHandler(null)
}

async function run(): Promise<number> {
  await using model = await chosenModel(process.env)
  using tree = new Tree()
  await using workers = new Workers(['w1', 'w2'], tree.folder, COMMAND_ENVIRONMENT)
  console.log(`The model is ${model.name}.\nThe workspace is a copy of this package's source with a fault in it.`)
  console.log('A line of the model or of a tool stands at the moment of its end.\n')
  const agent = await Agent.create(model.config)
  const timeline = new Timeline()
  await using session = agent.session(tree.folder, {
    queueConfig: { enableAllFeatures: true, laneTimeouts: { generate: 300_000 } },
    permissions: timeline.noting(POLICY),
    builtIn: { env: COMMAND_ENVIRONMENT },
  })
  const noted = timeline.read(session.subscribe({ types: TIMELINE_EVENTS }))
  const talk = new Talk(session, timeline, paint)

  const turnOver = new AbortController()
  await Promise.all([talk.turn(MEND).finally(() => turnOver.abort()), pauseOnce(session, turnOver.signal, talk)])
  await workOutside(session, workers, timeline, talk)
  await session.close()
  await noted

  const width = Number(process.env['COLUMNS']) || process.stdout.columns || 80
  showTimeline(timeline, width, paint)
  if (!model.isRecorded) return 0
  return showChecks(timeline, { tests: talk.tests, isMended: tree.isMended }) ? 0 : 1
}

process.once('SIGINT', () => process.exit(130))
process.exitCode = await run().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error)
  return 1
})
