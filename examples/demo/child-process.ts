/** Runs a process to its end, or until a signal aborts: then it is stopped, with all that it has started itself. */
import { type ChildProcess, spawn } from 'node:child_process'

export type Ended = { readonly code: number | null; readonly stdout: string; readonly stderr: string }

/** How long a process may take to obey before it is killed. */
const GRACE_MS = 400

/** Most text that is kept of what a process prints. */
const KEPT = 64 * 1024

const running = new Set<ChildProcess>()

/**
 * Resolves when the process has ended. Rejects when it cannot be started, and with the signal's reason when it was
 * stopped, but only once it is gone: until then the command keeps its slot, because the process keeps the machine busy.
 */
export function runProcess(
  command: string,
  args: readonly string[],
  options: { readonly cwd?: string; readonly signal: AbortSignal },
): Promise<Ended> {
  const { signal, ...place } = options
  signal.throwIfAborted()
  return new Promise((resolve, reject) => {
    // A group of its own: a signal to the group reaches its children, and Ctrl-C in the terminal does not reach it.
    const child = spawn(command, args, { ...place, detached: !isWindows, stdio: ['ignore', 'pipe', 'pipe'], env })
    running.add(child)
    const printed = { stdout: '', stderr: '' }
    for (const name of ['stdout', 'stderr'] as const) {
      child[name].setEncoding('utf8').on('data', (text: string) => {
        if (printed[name].length < KEPT) printed[name] += text
      })
    }
    let killing: NodeJS.Timeout | undefined
    const onAbort = (): void => {
      kill(child, 'SIGTERM')
      killing = setTimeout(() => kill(child, 'SIGKILL'), GRACE_MS)
    }
    signal.addEventListener('abort', onAbort, { once: true })
    const ended = (): void => {
      running.delete(child)
      clearTimeout(killing)
      signal.removeEventListener('abort', onAbort)
    }
    child.on('error', (error) => {
      ended()
      reject(error)
    })
    child.on('close', (code) => {
      ended()
      if (signal.aborted) reject(signal.reason)
      else resolve({ code, ...printed })
    })
  })
}

/** The last resort, when this process ends while others run. */
export function killAll(): void {
  for (const child of running) kill(child, 'SIGKILL')
}

const isWindows = process.platform === 'win32'

/** Never asks, never pages, takes no locks: these commands only look. */
const env = { ...process.env, GIT_OPTIONAL_LOCKS: '0', GIT_TERMINAL_PROMPT: '0', LC_ALL: 'C' }

function kill(child: ChildProcess, signal: NodeJS.Signals): void {
  if (child.pid === undefined) return
  try {
    if (isWindows) child.kill(signal)
    else process.kill(-child.pid, signal)
  } catch {
    // it has ended meanwhile
  }
}
