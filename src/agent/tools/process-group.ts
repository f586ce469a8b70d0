/**
 * A command in a process group of its own, and its end: everything it has started ends with it, also what left the group.
 * Whatever has left is found by a mark in its environment, or as a descendant while its parents live. What wiped its
 * environment and outlived its parents before the end began is not found; nothing short of a container finds that.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { default as own, pid as ownPid } from 'node:process'
import { systemRandom } from '../../core/index.js'
import { endFamily, type GroupEnd, killFamilies } from './process-ending.js'
import { isGroupThere, type ProcessFamily } from './process-table.js'

const MARKER = 'LANE_TOOL_CALL'

export type GroupOptions = {
  readonly shell: string
  readonly command: string
  readonly folder: string
  readonly env: Readonly<Record<string, string>>
}

/** What runs: it does not outlive this process when it exits. */
const running = new Set<ProcessFamily>()
let isWatching = false

export class ProcessGroup {
  readonly process: ChildProcess
  readonly #family: ProcessFamily | undefined

  constructor({ shell, command, folder, env }: GroupOptions) {
    const mark = `${ownPid}-${systemRandom.next().toString(36).slice(2)}`
    // one pipe for both streams, so that what the command writes stays in order
    this.process = spawn('/bin/sh', ['-c', 'exec "$0" -c "$1" 2>&1', shell, command], {
      cwd: folder,
      env: { ...env, [MARKER]: mark },
      detached: true,
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    const { pid } = this.process
    if (pid === undefined) return
    this.#family = { pid, marker: `${MARKER}=${mark}`, known: new Map() }
    running.add(this.#family)
    watchExit()
  }

  /** Whether anything of the group is there. What has left it is looked for at the end only. */
  get isThere(): boolean {
    return this.#family !== undefined && isGroupThere(this.#family.pid)
  }

  /** Ends all of it. */
  async end(): Promise<GroupEnd> {
    if (this.#family === undefined) return { wasLeft: false, isGone: true }
    const { pid, marker } = this.#family
    const end = await endFamily(pid, marker)
    running.delete(this.#family)
    return end
  }
}

/** One listener for all groups. It runs when this process ends by itself, not when it is killed. */
function watchExit(): void {
  if (isWatching) return
  isWatching = true
  own.on('exit', () => killFamilies([...running]))
}
