/** Everything that was measured, as one plain value: what `--json` prints, and what the report is written from. */
import { loadavg } from 'node:os'
import type { Figures, LaneSummary } from './figures.js'
import { SLOTS } from './lanes.js'
import type { Control, Memory, Resumed } from './memory.js'
import { type Summary as Percentiles, Samples } from './samples.js'
import { count } from './tree.js'

export type Summary = {
  readonly folder: string
  readonly interrupted: boolean
  /** Where everything was kept on the disk while it worked; null when nothing was. */
  readonly storage: string | null
  /** What a process that was killed had left; null when there was none. */
  readonly resumed: Resumed | null
  /** How long the work lasted, in all processes. */
  readonly seconds: number
  readonly read: {
    readonly files: number
    readonly directories: number
    readonly bytes: number
    readonly lines: number
    readonly todos: number
    readonly imports: number
    readonly longestLine: string | null
    readonly foundLines: number
    readonly commits: number
    readonly tokens: number
    readonly notes: number
  }
  readonly leftOut: readonly string[]
  readonly slots: number
  readonly lanes: Readonly<Record<string, LaneSummary>>
  readonly control: {
    readonly commands: number
    /** Those that found every slot taken and work waiting in every lane when they started. */
    readonly underFullLoad: number
    readonly startMs: Percentiles | null
    readonly startUnderFullLoadMs: Percentiles | null
    /** Generations that started while their lane was paused. */
    readonly startedWhilePaused: number
  }
  readonly cancel: {
    readonly generationStopMs: Percentiles | null
    readonly processStopMs: Percentiles | null
    readonly childrenCancelled: number
  }
  readonly events: {
    readonly pressure: number
    readonly idle: number
    readonly deadLettered: number
    readonly redriven: number
    readonly droppedByView: number
    readonly faults: number
  }
  readonly process: {
    readonly loopLagMs: Percentiles | null
    readonly peakMegabytes: number
    readonly load: number
  }
  readonly checks: {
    /** In every lane: submitted = done + failed + timedOut + cancelled. */
    readonly countsAddUp: boolean
    /** The notes on the disk are those that were reported done, each once and in order. */
    readonly notesAgree: boolean
  }
}

/** What a summary is made from. */
export type SummaryParts = {
  readonly memory: Memory
  readonly figures: Figures
  readonly folder: string
  readonly storage: string | undefined
  readonly interrupted: boolean
  readonly tookMs: number
  readonly dropped: number
  readonly notes: { readonly notes: number; readonly inOrder: boolean }
}

export function summarise(parts: SummaryParts): Summary {
  const { memory, figures, folder, storage, interrupted, tookMs, dropped, notes } = parts
  const { totals, longest, foundLines, commits, tokens } = memory
  const { pressure, idle, deadLettered, redriven, faults } = figures
  return {
    folder,
    interrupted,
    storage: storage ?? null,
    resumed: memory.resumed ?? null,
    seconds: Math.round(tookMs / 10) / 100,
    read: {
      files: totals.files,
      directories: new Set(memory.known.map(({ digest }) => digest.name)).size,
      bytes: totals.bytes,
      lines: totals.lines,
      todos: totals.todos,
      imports: totals.imports,
      longestLine: longest === undefined ? null : `${longest.place} (${longest.columns} columns)`,
      foundLines,
      commits,
      tokens,
      notes: notes.notes,
    },
    leftOut: [
      ...memory.leftOut,
      ...(totals.binary > 0 ? [`${count(totals.binary, 'file')} that turned out to be binary`] : []),
    ],
    slots: SLOTS,
    lanes: figures.summary(),
    control: controlOf(memory.controls, figures.startedWhilePaused),
    cancel: {
      generationStopMs: memory.stopMs.generation.summary(),
      processStopMs: memory.stopMs.process.summary(),
      childrenCancelled: memory.childrenCancelled,
    },
    events: { pressure, idle, deadLettered, redriven, droppedByView: dropped, faults },
    process: {
      loopLagMs: memory.loopLagMs.summary(),
      peakMegabytes: Math.round(memory.peakBytes / 1e6),
      load: Math.round((loadavg()[0] ?? 0) * 100) / 100,
    },
    checks: {
      countsAddUp: figures.addUp(memory.left),
      notesAgree: notes.inOrder && notes.notes === memory.notesBefore + figures.lane('session').done,
    },
  }
}

function controlOf(controls: readonly Control[], startedWhilePaused: number): Summary['control'] {
  const underFullLoad = controls.filter((one) => one.underFullLoad)
  return {
    commands: controls.length,
    underFullLoad: underFullLoad.length,
    startMs: samplesOf(controls).summary(),
    startUnderFullLoadMs: samplesOf(underFullLoad).summary(),
    startedWhilePaused,
  }
}

function samplesOf(controls: readonly Control[]): Samples {
  const samples = new Samples()
  for (const { startMs } of controls) samples.add(startMs)
  return samples
}
