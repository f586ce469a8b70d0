/** The four lanes of a session, and which tool goes where. */
import { configInvalid } from '../core/index.js'

/** A lane of a session queue: `control` goes first, `generate` last. */
export type SessionLane = 'control' | 'query' | 'execute' | 'generate'

/** The lanes in the order of their priority, 0 to 3. */
export const SESSION_LANES: readonly SessionLane[] = ['control', 'query', 'execute', 'generate']

const BY_NAME = new Map<unknown, SessionLane>(
  SESSION_LANES.flatMap((lane) => [
    [lane, lane],
    [lane.charAt(0).toUpperCase() + lane.slice(1), lane],
  ]),
)

/** The lane of this name, `Execute` as well as `execute`. `CONFIG_INVALID` names the four. */
export function sessionLane(option: string, value: unknown): SessionLane {
  const lane = BY_NAME.get(value)
  if (lane === undefined) throw configInvalid(option, `one of ${SESSION_LANES.join(', ')}`, value)
  return lane
}

const LANE_OF_TOOL: ReadonlyMap<string, SessionLane> = new Map([
  ...['read', 'glob', 'ls', 'grep', 'list_files', 'search', 'web_fetch', 'web_search'].map(
    (name): [string, SessionLane] => [name, 'query'],
  ),
  ...['pause', 'resume', 'cancel'].map((name): [string, SessionLane] => [name, 'control']),
])

/**
 * The lane of a tool, by its exact name: `query` for the tools that only look (`read`, `grep`, `web_fetch`, …), `control`
 * for `pause`, `resume` and `cancel`, `execute` for every other, unknown names included.
 */
export const laneForTool = (name: string): SessionLane => LANE_OF_TOOL.get(name) ?? 'execute'

/** Whether a command of this type only looks, so that trying it again changes nothing. */
export const isQueryTool = (name: string): boolean => laneForTool(name) === 'query'
