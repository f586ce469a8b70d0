/**
 * The examples as programs: compiled against the built package, each run as a process of its own.
 *
 * What is missing or older than its source is built first; test files run side by side, so one builds while the others
 * wait for it.
 */
import { execFile, spawn } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, rmSync, statSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { root } from '../../scripts/entry-points.mjs'

export type Ended = { readonly code: number | null; readonly stdout: string; readonly stderr: string }

/** Time for a build on a slow machine. */
export const BUILD_MS = 120_000

const lock = `${root}/build/examples.lock`
const execute = promisify(execFile)

/** Builds the package and the examples where they are not there or not current. */
export async function build(): Promise<void> {
  if (isBuilt()) return
  mkdirSync(`${root}/build`, { recursive: true })
  const unlock = await takeLock()
  try {
    if (isBuilt()) return
    if (!isPackageBuilt()) await succeed('npm', ['run', '--silent', 'build'])
    await succeed(process.execPath, ['node_modules/typescript/bin/tsc', '-p', 'examples'])
  } finally {
    unlock()
  }
}

/** Runs a step of the build; what it printed is the message when it fails. */
async function succeed(command: string, args: readonly string[]): Promise<void> {
  await execute(command, args, { cwd: root }).catch((error: unknown) => {
    const { message, stdout = '' } = error as Error & { stdout?: string }
    throw new Error(`${message}\n${stdout}`, { cause: error })
  })
}

/** Runs a compiled example to its end. */
export function run(program: string, args: readonly string[] = [], env: NodeJS.ProcessEnv = {}): Promise<Ended> {
  const { child, ended } = start(program, args, env)
  child.stdin.end()
  return ended
}

/** Starts a compiled example. */
export function start(program: string, args: readonly string[] = [], env: NodeJS.ProcessEnv = {}) {
  const child = spawn(process.execPath, [`${root}/build/examples/${program}.js`, ...args], {
    cwd: root,
    env: { ...process.env, NO_COLOR: '1', ...env },
  })
  const printed = { stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (text: string) => {
      printed[name] += text
    })
  }
  const ended = new Promise<Ended>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code) => resolve({ code, ...printed }))
  })
  return { child, ended }
}

/** The examples, without the demo. */
export const exampleNames = (): string[] =>
  readdirSync(`${root}/examples`)
    .filter((name) => name.endsWith('.ts'))
    .map((name) => name.slice(0, -'.ts'.length))

const isPackageBuilt = (): boolean => isCurrent('dist', 'src')

const isBuilt = (): boolean => isPackageBuilt() && isCurrent('build/examples', 'examples')

/** Whether every source has its output, none older than it. */
function isCurrent(output: string, source: string): boolean {
  const names = readdirSync(`${root}/${source}`, { recursive: true, encoding: 'utf8' })
  return names
    .filter((name) => name.endsWith('.ts'))
    .every((name) => {
      const built = statSync(`${root}/${output}/${name.replace(/\.ts$/, '.js')}`, { throwIfNoEntry: false })
      return built !== undefined && built.mtimeMs >= statSync(`${root}/${source}/${name}`).mtimeMs
    })
}

/** A folder that only one can make. One left behind by a run that was killed is taken over when it is too old. */
async function takeLock(): Promise<() => void> {
  for (;;) {
    try {
      mkdirSync(lock)
      return () => rmSync(lock, { recursive: true, force: true })
    } catch {
      if (existsSync(lock) && Date.now() - statSync(lock).mtimeMs > BUILD_MS) rmSync(lock, { recursive: true })
      await sleep(100)
    }
  }
}
