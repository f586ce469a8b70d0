/**
 * The agent: what it submits, when, and how it ends. The work itself is in work/, a file per lane.
 *
 *     0 s       reads the folder: surveys in the query lane, whose children read the files
 *     then      keeps every lane busy, while control asks how the queue is, forty times a second
 *     at 30 %   control pauses the generation, and resumes it a little later
 *     at 50 %   control skips a generation now and then
 *     at 100 %  control stops the generation for good; what is begun is finished, dead letters are run again
 *
 * Whatever it submits to be stored has an id that says what it is, and the same id is the same command. So after a crash the
 * agent does the same again: what was done answers at once, what waited goes on waiting, and only the rest is new.
 *
 * Every wait in here ends early when the signal aborts.
 */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  type BuiltInLaneId,
  type CommandDefinition,
  type CommandRun,
  type FunctionCommand,
  RetryPolicy,
} from '@a3s-lab/lane'
import { runProcess } from './child-process.js'
import * as commands from './commands.js'
import { Feeder } from './feeder.js'
import type { Queue } from './figures.js'
import { WORK_LANES } from './lanes.js'
import type { Memory } from './memory.js'
import { keyOf, Plan, type Submit } from './plan.js'
import { labelOf, openCommands } from './recollect.js'
import { count, type Tree } from './tree.js'
import { firstBeat } from './work/system.js'

/** What an agent needs. */
export type AgentParts = {
  readonly queue: Queue
  readonly memory: Memory
  /** The folder it works on. */
  readonly root: string
  /** A folder of its own, for notes, drafts and the index. */
  readonly folder: string
  readonly workMs: number
  readonly signal: AbortSignal
  /** Tells people what it is about to do. */
  readonly say: (text: string) => void
}

/** Commands that wait in each lane while the agent works. */
const DEPTH = { query: 24, session: 8, skill: 6, prompt: 10 }

/** Longest waits at the end: for what was begun, and for the queue to be empty. */
const FINISH_MS = 1500
const DRAIN_MS = 1000

/** Share of the working time after which reading ends, and what was not read is left out. */
const READING = 0.4

/** Share that reading has in any case: on a slow machine it may begin late. */
const READING_AT_LEAST = 0.3

export class Agent {
  readonly #parts: AgentParts
  readonly #open = new Set<CommandRun>()
  readonly #feeder: Feeder
  readonly #plan: Plan
  readonly #startedAt: number

  constructor(parts: AgentParts) {
    this.#parts = parts
    this.#feeder = new Feeder(parts.queue)
    this.#plan = new Plan(parts.memory, parts.root, this.#submit)
    this.#startedAt = performance.now() - parts.memory.workedBeforeMs
  }

  /** Works for `workMs`, or until the signal aborts. */
  async work(): Promise<void> {
    const { signal, memory, say } = this.#parts
    const probing = new AbortController()
    const probes = this.#probe(AbortSignal.any([signal, probing.signal]))
    try {
      await this.#begin()
      if (memory.totals.files > 0 || memory.tree?.files !== 0) await this.#steer()
    } catch (error) {
      if (!signal.aborted) throw error
    } finally {
      if (!signal.aborted) say('control stops the generation for good')
      this.#feeder.stop()
      await this.#control(commands.stop)
      probing.abort()
      await probes
    }
  }

  /** Ends in order: what was begun is finished, dead letters are run again, then nothing is left. */
  async finish(): Promise<void> {
    const { queue, signal, say } = this.#parts
    if (!signal.aborted) {
      say('what was begun is finished')
      await this.#settled(FINISH_MS)
      await this.#redrive()
    }
    await queue.shutdown()
    // In a hurry, or when something took too long. What was on its way into a lane is cancelled the second time.
    for (let isEmpty = false, tries = 0; !isEmpty && tries < 3; tries++) {
      for (const id of WORK_LANES) queue.lane(id).cancelAll('time is up')
      isEmpty = await queue.drain(DRAIN_MS).then(
        () => true,
        () => false,
      )
    }
  }

  /** Looks around: is there git, which files are there? Then reads them, and keeps the lanes busy from now on. */
  async #begin(): Promise<void> {
    const { queue, memory, root, folder, signal, say } = this.#parts
    if (!memory.hasPulse) firstBeat(queue)
    const locked = memory.resumed === undefined ? leaveLockBehind(folder, signal) : undefined
    // waited for below, if the walk does not end this before
    locked?.catch(() => undefined)
    if (memory.resumed !== undefined) await this.#takeUp()
    this.#submit('skill', commands.watch({ root }), { id: 'watch', label: 'watch the folder' })
    const git = this.#track(queue.submit('skill', hasGit(root), { ephemeral: true }), 'is there git?')
    say('the query lane walks the folder')
    memory.tree = await queue.submit('query', commands.walkTree({ root }), { id: 'walk', signal })
    memory.leftOut.push(...memory.tree.leftOut)
    this.#read(memory.tree)
    this.#feeder.feed('query', DEPTH.query, this.#plan.query)
    this.#feeder.feed('session', DEPTH.session, this.#plan.session)
    this.#feeder.feed('prompt', DEPTH.prompt, this.#plan.prompt)
    memory.hasGit = await git
    if (!memory.hasGit) memory.leftOut.push('git log: the folder is not in a git repository')
    // There is no outbox yet: this fails, also when it is tried once more, and becomes a dead letter.
    const notes = { id: 'deliver', label: 'deliver the notes', retry: RetryPolicy.fixed(1, 200) }
    await locked
    this.#submit('skill', commands.deliver({ to: join(folder, 'outbox') }), notes)
    this.#feeder.feed('skill', DEPTH.skill, this.#plan.skill)
  }

  /** Follows what an earlier process has left unsettled as if this one had submitted it. */
  async #takeUp(): Promise<void> {
    const { queue } = this.#parts
    for await (const { id, laneId, commandType: type, payload, metadata } of openCommands(queue)) {
      const run = this.#track(queue.submit(laneId as BuiltInLaneId, { type, payload }, { id }), labelOf(metadata))
      if (laneId === 'prompt') void this.#listen(run)
    }
  }

  /** Submits a survey per directory. Those near the top go first; what is not read in time is given up. */
  #read({ directories, files }: Tree): void {
    const { queue, memory, workMs, say } = this.#parts
    say(`and reads ${count(files, 'file')} in ${count(directories.length, 'directory', 'directories')}`)
    const sharedMs = this.#startedAt + workMs * READING - performance.now()
    const readingEnds = AbortSignal.timeout(Math.ceil(Math.max(sharedMs, workMs * READING_AT_LEAST)))
    memory.unread = directories.length
    const surveys: CommandRun[] = []
    const known: Promise<unknown>[] = []
    const giveUp = (): void => {
      memory.unread--
      const what = 'directories that there was no time to read'
      if (!memory.leftOut.includes(what)) memory.leftOut.push(what)
    }
    for (const directory of directories) {
      const priority = directory.name.split(/[\\/]/).length
      const id = `survey/${keyOf(directory)}`
      const run = queue.submit('query', commands.survey({ directory }), { id, priority })
      surveys.push(run)
      const read = this.#track(run, `survey ${directory.name}`).then((digest) => {
        memory.learn(digest, directory)
        memory.unread--
      }, giveUp)
      if (memory.earlier.has(id)) known.push(read)
    }
    readingEnds.addEventListener('abort', () => {
      for (const run of surveys) run.cancel('there was no time to read it')
    })
    void Promise.all(known).then(memory.recall)
  }

  /** What the control lane does while all others are busy. */
  async #steer(): Promise<void> {
    const { say } = this.#parts
    if (await this.#until(0.3)) {
      say('control pauses the prompt lane: what runs goes on, nothing more starts')
      void this.#control(commands.pause)
    }
    if (await this.#until(0.42)) {
      say('control resumes the prompt lane')
      void this.#control(commands.resume)
    }
    if (await this.#until(0.5)) say('control skips a generation now and then')
    for (let share = 0.5; share < 0.95; share += 0.1) {
      if (await this.#until(share)) void this.#control(commands.skip)
    }
    await this.#until(1)
  }

  /** Asks the control lane how the queue is, some forty times a second, until told to stop. */
  async #probe(signal: AbortSignal): Promise<void> {
    try {
      for (;;) {
        await sleep(10 + Math.random() * 30, undefined, { signal })
        void this.#control(commands.look)
      }
    } catch (error) {
      if (!signal.aborted) throw error
    }
  }

  #control<R>(command: CommandDefinition<commands.Asked, commands.Asked, R>): CommandRun<R> {
    return this.#parts.queue.submit('control', command({ askedAt: performance.now() }))
  }

  /** Dead letters are commands that failed for good. The cause of these is known: put right, they are run again. */
  async #redrive(): Promise<void> {
    const { queue, folder, say } = this.#parts
    const letters = await queue.deadLetters.list()
    const [letter] = letters
    if (letter === undefined) return
    const { commandType, attempts, error } = letter
    say(
      `${count(letters.length, 'dead letter')}: '${commandType}' failed ${attempts} times, ${error}; put right, run again`,
    )
    await mkdir(join(folder, 'outbox'), { recursive: true })
    for (const run of await queue.deadLetters.redrive({ laneId: 'skill' })) {
      void this.#track(run, 'deliver the notes, again')
    }
    await this.#settled(FINISH_MS)
  }

  /** Submits work of the plan. Nobody waits for its result: whatever becomes of it is in the figures. */
  readonly #submit: Submit = (laneId, command, { label, ...options }) => {
    const run = this.#track(this.#parts.queue.submit(laneId, command, { ...options, metadata: label }), label)
    if (laneId === 'prompt') void this.#listen(run)
  }

  #track<R>(run: CommandRun<R>, label: string): CommandRun<R> {
    const { memory } = this.#parts
    memory.name(run.id, label)
    this.#open.add(run)
    const end = (): void => void this.#open.delete(run)
    void run.then(end, end)
    return run
  }

  /** Follows a generation while it speaks. */
  async #listen(run: CommandRun): Promise<void> {
    for await (const token of run.progress()) {
      const speech = this.#parts.memory.speeches.get(run.id)
      if (speech !== undefined) speech.text += String(token)
    }
  }

  /** Waits until everything submitted has settled, but not longer than `limitMs`. */
  async #settled(limitMs: number): Promise<void> {
    const { signal } = this.#parts
    const enough = new AbortController()
    const limit = sleep(limitMs, undefined, { signal: AbortSignal.any([signal, enough.signal]) }).catch(() => undefined)
    await Promise.race([Promise.allSettled(this.#open), limit])
    enough.abort()
  }

  /** Waits until a share of the working time is over; false when it was over before this process began. */
  async #until(share: number): Promise<boolean> {
    const { workMs, signal, memory } = this.#parts
    const left = this.#startedAt + share * workMs - performance.now()
    if (left > 0) await sleep(left, undefined, { signal })
    return share * workMs >= memory.workedBeforeMs
  }
}

/** A command may be just a function; its name is the command's type. */
const hasGit = (root: string): FunctionCommand<boolean> =>
  async function askGit({ signal }) {
    const ended = await runProcess('git', ['-C', root, 'rev-parse', '--is-inside-work-tree'], { signal }).catch(
      () => null,
    )
    signal.throwIfAborted()
    return ended?.code === 0 && ended.stdout.trim() === 'true'
  }

/** The lock of a process that ended without removing it, as after a crash: the first to find it fails, and is retried. */
async function leaveLockBehind(folder: string, signal: AbortSignal): Promise<void> {
  const { stdout } = await runProcess(process.execPath, ['-p', 'process.pid'], { signal })
  await writeFile(join(folder, 'index.json.lock'), stdout.trim())
}
