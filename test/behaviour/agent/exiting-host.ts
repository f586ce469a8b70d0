/** A program that exits while a command of its runs: `argv[2]` is the folder. */

import { DEFAULT_TOOL_LIMITS } from '../../../src/agent/tools/index.js'
import { ShellCommand } from '../../../src/agent/tools/shell-command.js'
import { systemClock } from '../../../src/core/index.js'

const folder = process.argv[2] as string
const command = 'sleep 60 & setsid sleep 60 & echo $$ $(jobs -p) > pids; echo up; wait'
const env = { PATH: process.env['PATH'] ?? '' }

function output(): void {
  process.stdout.write('exits')
  process.exit()
}

const running = new ShellCommand(
  { shell: '/bin/bash', command, folder, env },
  { limits: DEFAULT_TOOL_LIMITS, output, clock: systemClock },
)
await running.run(60_000, new AbortController().signal)
