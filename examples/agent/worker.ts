/**
 * A worker: a process of its own that runs shell commands. It needs nothing of the package: work comes in as
 * `{ task_id, payload }`, and `{ task_id, result }` goes out. The transport is Node's channel between processes here; any
 * other would do.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { resolve } from 'node:path'

/** What comes in: work, or word that nobody waits for it any more. */
type Message =
  | { readonly task_id: string; readonly payload: { readonly command: string; readonly working_dir?: string } }
  | { readonly withdrawn: string }

const running = new Map<string, ChildProcess>()

process.on('message', (message: Message) => {
  if ('withdrawn' in message) stop(message.withdrawn)
  else work(message.task_id, message.payload)
})
// the coordinator is gone: nobody waits for anything
process.on('disconnect', () => {
  for (const id of running.keys()) stop(id)
  process.exit()
})

function work(id: string, { command, working_dir: folder = '.' }: { command: string; working_dir?: string }): void {
  // a group of its own, so that a signal reaches whatever the shell has started
  const child = spawn('bash', ['-c', command], {
    cwd: resolve(folder),
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  running.set(id, child)
  let output = ''
  const take = (text: string): void => {
    output += text
  }
  child.stdout.setEncoding('utf8').on('data', take)
  child.stderr.setEncoding('utf8').on('data', take)
  const done = (answer: object): void => {
    if (running.delete(id)) process.send?.({ task_id: id, ...answer })
  }
  child.on('error', (error) => done({ success: false, error: error.message }))
  child.on('close', (code) => done({ result: { output: output.trimEnd(), exit_code: code ?? 1 } }))
}

function stop(id: string): void {
  const pid = running.get(id)?.pid
  if (pid === undefined) return
  try {
    process.kill(-pid)
  } catch {
    // it has ended meanwhile
  }
}
