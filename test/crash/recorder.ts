/** Runs programs with shim/record.c in them, which is built with the system's compiler where there is one. */
import { execFileSync, spawn } from 'node:child_process'
import { join } from 'node:path'
import { root } from '../../scripts/entry-points.mjs'

/** Why nothing can be recorded on this machine; undefined when it can. */
export function whyNoRecorder(): string | undefined {
  if (process.platform !== 'linux') return `needs Linux, this is ${process.platform}`
  try {
    execFileSync('cc', ['--version'], { stdio: 'ignore' })
    return undefined
  } catch {
    return 'needs a C compiler called cc'
  }
}

/** Builds the library into a folder. */
export function buildRecorder(folder: string): string {
  const library = join(folder, 'record.so')
  const options = ['-shared', '-fPIC', '-O2', '-Wall', '-Wextra', '-Werror', '-o', library]
  execFileSync('cc', [...options, join(root, 'test/crash/shim/record.c'), '-ldl', '-lpthread'], { stdio: 'inherit' })
  return library
}

export type Recording = {
  readonly library: string
  /** Only files whose path contains it. */
  readonly word: string
  readonly log: string
  /** The process is killed right before this call. */
  readonly killAt?: number
}

/** How a program ended, and what it printed. */
export type ProgramEnd = { readonly signal: NodeJS.Signals | null; readonly code: number | null; readonly text: string }

/** Runs a program to its end, which may be by its own hand. */
export function runRecorded(program: string, args: readonly string[], recording: Recording): Promise<ProgramEnd> {
  const child = spawn(process.execPath, [program, ...args], { env: { ...process.env, ...environmentOf(recording) } })
  let text = ''
  const collect = (part: string): void => {
    text += part
  }
  child.stdout.setEncoding('utf8').on('data', collect)
  child.stderr.setEncoding('utf8').on('data', collect)
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code, signal) => resolve({ signal, code, text }))
  })
}

function environmentOf({ library, word, log, killAt }: Recording): NodeJS.ProcessEnv {
  return {
    LD_PRELOAD: library,
    LANE_RECORD_WORD: word,
    LANE_RECORD_LOG: log,
    ...(killAt === undefined ? {} : { LANE_RECORD_KILL: String(killAt) }),
  }
}
