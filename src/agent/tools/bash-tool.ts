import { type Clock, systemClock } from '../../core/index.js'
import { refuseOtherThanFolder } from './glob-tool.js'
import type { ToolLimits } from './limits.js'
import { environmentOf, shellOf } from './shell.js'
import { type CommandEnd, ShellCommand } from './shell-command.js'
import { defineTool, type Tool } from './tool.js'
import { Workspace } from './workspace.js'

export type BashOptions = {
  /** Variables that commands get beside the few that they always have. */
  readonly env?: Readonly<Record<string, string>> | undefined
  /** Measures time limits. Default the machine's. */
  readonly clock?: Clock | undefined
}

/** An argument of a process may have about 128 KiB. */
const LONGEST_COMMAND = 100_000
const TIMEOUT_EXIT_CODE = 124

export const bashTool = (limits: ToolLimits, { env, clock = systemClock }: BashOptions = {}): Tool =>
  defineTool({
    name: 'bash',
    description: `Runs a shell command in the workspace folder, without input. Gives its output, standard error included, and its exit code. Ended with everything it has started after ${limits.bashTimeoutMs} ms unless timeout_ms says otherwise. When the shell ends, whatever it left in the background is ended too. At most ${limits.outputChars} characters of output are kept, from its beginning and its end. It has PATH, HOME and the like in its environment, and no keys.`,
    parameters: (z) =>
      z.strictObject({
        command: z
          .string()
          .min(1)
          .max(LONGEST_COMMAND)
          .refine((text) => !text.includes('\0'), 'holds a NUL character')
          .describe('The command, as for bash -c'),
        timeout_ms: z
          .int()
          .min(1)
          .max(limits.bashLongestMs)
          .optional()
          .describe(`Milliseconds it may take; ${limits.bashTimeoutMs} by default`),
        working_dir: z.string().optional().describe('The folder to run it in; the workspace folder by default'),
      }),
    run: async ({ command, timeout_ms: timeoutMs = limits.bashTimeoutMs, working_dir: path = '.' }, context) => {
      const place = await context.workspace.locate(path)
      refuseOtherThanFolder(place)
      const environment = environmentOf(env)
      const running = new ShellCommand(
        {
          shell: shellOf(environment),
          command,
          folder: context.workspace.real(place.names),
          env: environment,
        },
        { limits, output: context.output, clock },
      )
      const end = await running.run(timeoutMs, context.signal)
      return {
        output: [end.text, ...notesOf(end, timeoutMs, limits)].filter((part) => part !== '').join('\n'),
        exit_code: exitCodeOf(end),
        metadata: {
          working_dir: Workspace.relative(place),
          duration_ms: end.durationMs,
          signal: end.signal,
          timed_out: end.why === 'timeout',
          left_out_chars: end.leftOut,
        },
      }
    },
  })

function exitCodeOf(end: CommandEnd): number {
  if (end.why === 'timeout') return TIMEOUT_EXIT_CODE
  return end.exitCode
}

function notesOf(end: CommandEnd, timeoutMs: number, limits: ToolLimits): string[] {
  const notes: string[] = []
  if (end.why === 'timeout') notes.push(`(ended: it took longer than ${timeoutMs} ms)`)
  if (end.why === 'flood') notes.push(`(ended: it wrote more than ${limits.floodBytes} bytes)`)
  if (end.why === 'shell' && end.signal !== undefined) notes.push(`(ended by ${end.signal})`)
  if (end.endedBackground) notes.push('(what it left running in the background was ended)')
  if (!end.isGone) notes.push('(something that it started could not be ended)')
  return notes
}
