/**
 * `npm run demo [-- folder]`: an agent works on a real folder through a queue of six lanes, while control pauses,
 * resumes and stops it. All figures are measured as it runs. Read on in this order: lanes.ts (the queue), commands.ts
 * (what can be submitted), work/ (what each lane does), agent.ts (who submits what, and how it ends), figures.ts.
 *
 * What is submitted is kept in a file (store.ts): killed and started again, the agent goes on where it was (recollect.ts).
 *
 * Exit codes: 0 done, 1 a check failed, 2 the command line makes no sense, 130 after Ctrl-C.
 */
import { isLaneError } from '@a3s-lab/lane'
import { Agent } from './agent.js'
import { readArguments, USAGE, type Wish } from './arguments.js'
import { Figures } from './figures.js'
import { newQueue } from './lanes.js'
import { Memory, resumedText } from './memory.js'
import { recollect } from './recollect.js'
import { report } from './report.js'
import type { Scene, View } from './scene.js'
import { openStore, removeAtExit } from './store.js'
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

/** Share of the working time that looking for files may take. */
const WALKING = 0.2

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

async function run(wish: Extract<Wish, { kind: 'run' }>): Promise<Summary> {
  const { root, seconds, show } = wish
  const signal = interruption()
  const workMs = seconds * 1000 - END_MS
  const store = await openStore(root, wish)
  const { folder, storage } = store
  removeAtExit(store)
  const memory = new Memory()
  const queue = newQueue(storage)
  const figures = new Figures(queue)
  const notes = await handleSession(queue, memory, folder)
  handleQueries(queue, memory, workMs * WALKING)
  handleSkills(queue, memory, folder)
  handlePrompts(queue, memory, folder)
  handleSystem(queue, memory)
  handleControl(queue, memory)

  const plain = show === 'plain' ? showPlain(() => scene, print) : undefined
  const log = new EventLog(queue, memory, (entry) => plain?.tell(entry))
  const kept = storage === undefined ? undefined : folder
  const scene: Scene = { queue, memory, figures, log, root, folder: kept, startedAt: performance.now(), workMs }
  let view: View | undefined = plain
  try {
    if (store.isFound) await recollect(queue, memory)
    else memory.recall()
    await queue.start()
    if (memory.earlier.size > 0) memory.resumed = { commands: sum(memory.left.values()), running: figures.recovered }
    scene.startedAt = performance.now() - memory.workedBeforeMs
    if (show === 'live') view = showLive(scene, paint, stdout)
    if (kept !== undefined) plain?.say(`kept in ${kept}; kill -9 ${process.pid}, start again: it goes on`)
    if (memory.resumed !== undefined) plain?.say(resumedText(memory.resumed))
    const agent = new Agent({ queue, memory, root, folder, workMs, signal, say: (text) => view?.say(text) })
    await agent.work()
    await agent.finish()
  } finally {
    view?.close()
    figures.close()
    log.close()
    await notes.close()
    await queue.close({ timeoutMs: 500 })
  }
  const interrupted = signal.aborted
  const tookMs = performance.now() - scene.startedAt
  const written = await checkNotes(folder)
  const { dropped } = log
  return summarise({ memory, figures, folder: root, storage: kept, interrupted, tookMs, dropped, notes: written })
}

const sum = (numbers: Iterable<number>): number => [...numbers].reduce((total, n) => total + n, 0)

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

process.exitCode = await main().catch((error: unknown) => {
  // Another demo is at work in that folder, or it cannot be written to: a sentence, not a stack.
  if (!isLaneError(error)) throw error
  stderr.write(`${error.code}: ${error.message}\n`)
  return 1
})
