/** The skill lane: runs processes. Four at a time at most, retried when they fail, stopped when they are cancelled. */
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type CommandContext, UnrecoverableError } from '@a3s-lab/lane'
import { runProcess } from '../child-process.js'
import { checkFiles, countLines, deliver, gitLog, indexWords, watch } from '../commands.js'
import type { Queue } from '../figures.js'
import type { Memory } from '../memory.js'
import type { TextFile } from '../tree.js'

/** Commits that one `git log` looks at. */
const COMMITS = '20'

export function handleSkills(queue: Queue, memory: Memory, folder: string): void {
  const run = runner(memory)

  queue.handle(gitLog, async ({ root, path }, context) => {
    const log = ['log', '--stat', '--format=commit %h', '--no-color', '--no-ext-diff', '-n', COMMITS, '--', path]
    const printed = await run(context, 'git', ['-C', root, '--no-pager', ...log])
    const commits = printed.match(/^commit /gm)?.length ?? 0
    memory.commits += commits
    return commits
  })

  queue.handle(countLines, async ({ files }, context) =>
    Number(await run(context, process.execPath, [script('count-lines'), ...paths(files)])),
  )

  queue.handle(checkFiles, ({ files }, context) =>
    run(context, process.execPath, [script('check-files'), ...paths(files)]),
  )

  // The flaky one: only one process may write the index, and whoever finds it locked fails and is retried.
  queue.handle(indexWords, ({ files }, context) =>
    run(context, process.execPath, [script('index-words'), join(folder, 'index.json'), ...paths(files)]),
  )

  // Fails for good while the folder that it delivers to is not there: see the end of agent.ts.
  queue.handle(deliver, ({ to }, context) =>
    run(context, process.execPath, [script('deliver'), join(folder, 'notes.txt'), to]),
  )

  queue.handle(watch, ({ root }, context) => run(context, process.execPath, [script('watch'), root]))
}

/** The scripts are programs of their own, beside this file's folder. */
const script = (name: string): string => fileURLToPath(new URL(`../scripts/${name}.js`, import.meta.url))

const paths = (files: readonly TextFile[]): string[] => files.map(({ path }) => path)

/** Runs a process for a command and gives what it printed; a process that fails is a failed attempt. */
const runner =
  (memory: Memory) =>
  async (context: CommandContext, command: string, args: readonly string[]): Promise<string> => {
    try {
      const { code, stdout, stderr } = await runProcess(command, args, { signal: context.signal })
      if (code !== 0) throw new Error(stderr.trim().split('\n').at(-1) || `exit code ${code}`)
      return stdout
    } catch (error) {
      // no such program: trying again will not help
      if ((error as NodeJS.ErrnoException).code === 'ENOENT')
        throw new UnrecoverableError(`${command} is not installed`, { cause: error })
      throw error
    } finally {
      memory.bodyEnded(context.id, 'process')
    }
  }
