/** What the agent knows so far. The handlers of its lanes write it; its plan, the view and the report read it. */
import type { DirectoryDigest, LongestLine } from './digest.js'
import { Samples } from './samples.js'
import { count, type Directory, printable, type Tree } from './tree.js'

/** A directory that was read, and what of it can be searched. */
export type Known = { readonly digest: DirectoryDigest; readonly directory: Directory }

/** A generation that runs. */
export type Speech = { readonly label: string; text: string; readonly startedAt: number }

/** A control command that was carried out. */
export type Control = {
  readonly type: string
  /** From submit to the first line of its handler. */
  readonly startMs: number
  /** Whether every slot was taken and work waited in every lane, at that line. */
  readonly underFullLoad: boolean
}

/** Commands that an earlier process has left unsettled. */
export type Resumed = {
  readonly commands: number
  /** Of them, those that were running when it ended. */
  readonly running: number
}

export const resumedText = ({ commands, running }: Resumed): string =>
  `resumed: ${count(commands, 'command')}, ${running} were running`

/** Findings that wait to be noted; older ones are forgotten, there will be more. */
const MOST_FINDINGS = 2000

/** Names that are kept: of the commands that wait, and of those that somebody may still read about. */
const MOST_LABELS = 20_000

export class Memory {
  readonly totals = { files: 0, bytes: 0, lines: 0, todos: 0, imports: 0, binary: 0 }
  readonly known: Known[] = []
  readonly leftOut: string[] = []
  readonly findings: string[] = []
  /** By command id. */
  readonly speeches = new Map<string, Speech>()
  /** Names of commands, for people. */
  readonly labels = new Map<string, string>()
  readonly controls: Control[] = []
  /** When commands were cancelled, until their bodies have ended. */
  readonly #cancelledAt = new Map<string, number>()
  readonly stopMs = { generation: new Samples(), process: new Samples() }
  readonly loopLagMs = new Samples()
  peakBytes = 0
  /** Surveys that wait for their children. */
  lenders = 0
  /** Directories that are still to be read. */
  unread = 0
  foundLines = 0
  tokens = 0
  commits = 0
  notes = 0
  /** Notes that were in the file when this process began. */
  notesBefore = 0
  /** Drafts' paragraphs that waited to be noted when their generation was cancelled, and went with it. */
  childrenCancelled = 0
  longest: LongestLine | undefined
  tree: Tree | undefined
  hasGit = false

  /** What an earlier process left unsettled; undefined when this one is the first. */
  resumed: Resumed | undefined
  /** How many of each lane. */
  readonly left = new Map<string, number>()
  /** Commands that were submitted before this process began: the plan goes on after them. */
  readonly earlier = new Set<string>()
  /** Whether a beat of the pulse was left. */
  hasPulse = false
  /** How long the work had lasted when this process began. */
  workedBeforeMs = 0
  /** Resolves when what earlier processes have read is known again. */
  readonly recalled: Promise<void>
  recall: () => void = () => undefined

  constructor() {
    this.recalled = new Promise((resolve) => {
      this.recall = resolve
    })
  }

  learn(digest: DirectoryDigest, directory: Directory): void {
    const { totals } = this
    this.known.push({ digest, directory })
    totals.binary += digest.binary
    for (const file of digest.files) {
      totals.files++
      totals.bytes += file.bytes
      totals.lines += file.lines
      totals.todos += file.todos
      totals.imports += file.imports
      this.findingOf(`${file.name}: ${file.lines} lines, ${file.imports} imports, ${file.todos} to do`)
    }
    if ((digest.longest?.columns ?? 0) > (this.longest?.columns ?? 0)) this.longest = digest.longest ?? undefined
  }

  findingOf(text: string): void {
    this.findings.push(text)
    if (this.findings.length > MOST_FINDINGS) this.findings.splice(0, MOST_FINDINGS / 2)
  }

  name(id: string, label: string): void {
    this.labels.set(id, printable(label))
    const [oldest] = this.labels.keys()
    if (this.labels.size > MOST_LABELS && oldest !== undefined) this.labels.delete(oldest)
  }

  label(id: string): string {
    return this.labels.get(id) ?? ''
  }

  /** A running command was cancelled; its body has not ended yet. */
  cancelledAt(id: string, at: number): void {
    this.#cancelledAt.set(id, at)
  }

  /** To be called on the last line of a body: how long did it go on? */
  bodyEnded(id: string, what: 'generation' | 'process'): void {
    const at = this.#cancelledAt.get(id)
    if (at === undefined) return
    this.#cancelledAt.delete(id)
    this.stopMs[what].add(performance.now() - at)
  }
}
