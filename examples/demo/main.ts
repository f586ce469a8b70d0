/**
 * `npm run demo [-- folder]`: an agent works on a real folder through a queue of six lanes, while control pauses,
 * resumes and stops it. All figures are measured as it runs. Read on in this order: lanes.ts (the queue), commands.ts
 * (what can be submitted), work/ (what each lane does), agent.ts (who submits what, and how it ends), figures.ts.
 *
 * Exit codes: 0 done, 1 a check failed, 2 the command line makes no sense, 130 after Ctrl-C.
 */
import { rmSync } from 'node:fs'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Agent } from './agent.js'
import { readArguments, USAGE, type Wish } from './arguments.js'
import { killAll } from './child-process.js'
import { Figures } from './figures.js'
import { newQueue } from './lanes.js'
import { Memory } from './memory.js'
import { report } from './report.js'
import type { Scene, View } from './scene.js'
import { type Summary, summarise } from './summary.js'
import { EventLog } from './view/event-log.js'
import { showLive } from './view/live.js'
import { painter } from './view/paint.js'
import { showPlain } from './view/plain.js'
import { handleControl } from './work/control.js'
import { handlePrompts } from './work/prompt.js'
import { handleQueries } from './work/query.js'
import { checkNotes, handleSession } from './work/session.js'
import { handleSkills } from './work/skill.js'
import { handleSystem } from './work/system.js'

const { stdout, stderr } = process

/** What the end takes: finishing, dead letters, draining. The work gets the rest. */
const END_MS = 1500

/** Nothing in here takes that long. Should it happen, the demo says so instead of hanging. */
const LONGEST_MS = 19_500

/** Ends everything when the first Ctrl-C comes; a second one ends it at once. */
function interruption(): AbortSignal {
  const controller = new AbortController()
  const onSignal = (): void => {
    if (controller.signal.aborted) process.exit(130)
    controller.abort(new Error('interrupted'))
  }
  process.on('SIGINT', onSignal)
  process.on('SIGTERM', onSignal)
  return controller.signal
}

/** A folder of the demo's own, and nothing of the demo's is left, however it ends. */
async function ownFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'lane-demo-'))
  process.once('exit', () => {
    killAll()
    rmSync(folder, { recursive: true, force: true })
  })
  return folder
}

async function run({ root, seconds, show }: Extract<Wish, { kind: 'run' }>): Promise<Summary> {
  const signal = interruption()
  const startedAt = performance.now()
  const workMs = seconds * 1000 - END_MS
  const folder = await ownFolder()
  const memory = new Memory()
  const queue = newQueue()
  const figures = new Figures(queue)
  const notes = await handleSession(queue, memory, folder)
  handleQueries(queue, memory)
  handleSkills(queue, memory, folder)
  handlePrompts(queue, memory, folder)
  handleSystem(queue, memory)
  handleControl(queue, memory)

  const plain = show === 'plain' ? showPlain(() => scene, print) : undefined
  const log = new EventLog(queue, memory, (entry) => plain?.tell(entry))
  const scene: Scene = { queue, memory, figures, log, root, startedAt, workMs }
  const view: View | undefined = show === 'live' ? showLive(scene, paint, stdout) : plain
  try {
    await queue.start()
    const agent = new Agent({ queue, memory, root, folder, workMs, signal, say: (text) => view?.say(text) })
    await agent.work()
    await agent.finish()
  } finally {
    view?.close()
    figures.close()
    log.close()
    await notes.close()
  }
  const interrupted = signal.aborted
  const tookMs = performance.now() - startedAt
  const kept = await checkNotes(folder)
  return summarise({ memory, figures, folder: root, interrupted, tookMs, dropped: log.dropped, notes: kept })
}

const paint = painter(stdout.isTTY && stdout.hasColors())
const print = (line: string): void => void stdout.write(`${line}\n`)

async function main(): Promise<number> {
  const wish = readArguments(process.argv.slice(2), stdout.isTTY && process.env['TERM'] !== 'dumb')
  if (wish.kind === 'help') {
    stdout.write(USAGE)
    return 0
  }
  if (wish.kind === 'refused') {
    stderr.write(wish.message)
    return 2
  }
  const summary = await run(wish)
  if (wish.show === 'json') print(JSON.stringify(summary, undefined, 2))
  else for (const line of report(summary, Math.min(stdout.columns ?? 100, 110), paint)) print(line)
  if (summary.interrupted) return 130
  return summary.checks.countsAddUp && summary.checks.notesAgree ? 0 : 1
}

// Whoever reads the output may stop reading, as `head` does: then there is nobody left to work for.
stdout.on('error', () => process.exit(0))
setTimeout(() => {
  stderr.write(`The demo did not end within ${LONGEST_MS / 1000} s and was stopped.\n`)
  process.exit(1)
}, LONGEST_MS).unref()

process.exitCode = await main()
