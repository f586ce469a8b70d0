/**
 * A program killed before its first disk call, before its second, and so on, until it comes to its end: what it leaves each
 * time is looked at.
 */
import { cpSync, mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { type ProgramEnd, runRecorded } from './recorder.js'

export type EveryCall = {
  readonly library: string
  readonly workplace: string
  readonly program: string
  readonly args: readonly string[]
  /** What the program finds; nothing when it is left out. */
  readonly origin?: string | undefined
  /** Looks at what a killed program has left; gives what is wrong with it. */
  judge(folder: string, killedAt: number): Promise<string | undefined>
}

export type EveryCallResult = { readonly calls: number; readonly wrong: readonly string[] }

/** More calls than any of these programs makes. */
const MOST = 500

export async function killAtEveryCall(options: EveryCall): Promise<EveryCallResult> {
  const wrong: string[] = []
  for (let call = 1; call <= MOST; call++) {
    const folder = join(options.workplace, `call-${call}`)
    if (options.origin === undefined) mkdirSync(folder, { recursive: true })
    else cpSync(options.origin, folder, { recursive: true })
    const end = await runUntil(options, folder, call)
    if (end.signal !== 'SIGKILL' && end.code !== 0) wrong.push(`call ${call}: it ended with ${end.code}: ${end.text}`)
    const found = await options.judge(folder, call)
    if (found !== undefined) wrong.push(`call ${call}: ${found}`)
    rmSync(folder, { recursive: true, force: true })
    if (end.signal !== 'SIGKILL') return { calls: call - 1, wrong }
  }
  return { calls: MOST, wrong: [...wrong, `it makes more than ${MOST} calls`] }
}

function runUntil({ library, program, args }: EveryCall, folder: string, killAt: number): Promise<ProgramEnd> {
  return runRecorded(program, [folder, ...args], { library, word: `${folder}/`, log: '/dev/null', killAt })
}
