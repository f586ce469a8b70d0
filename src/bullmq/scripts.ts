/**
 * The scripts that this adapter runs: BullMQ's own, each wrapped in a function, with what it lacks around them, so that a
 * step of ours is one step of the server and the data is as BullMQ leaves it. Two scripts for the plain commands of one
 * turn (`laneAddMany`, `laneTurn`) write the same fields themselves, once for many commands.
 *
 * BullMQ registers its scripts on the client that it is given. They are taken from there, in the version that is
 * installed, and refused when they take other keys or arguments than these here were written for.
 */
import type { RedisConnection } from 'bullmq'
import type { Redis } from 'ioredis'
import { LaneError } from '../core/index.js'
import * as lua from './lua/index.js'

/** The script of BullMQ's, the number of its keys, and the highest argument that it reads. */
const THEIRS = {
  addPrioritizedJob: [9, 3],
  addDelayedJob: [6, 3],
  moveToActive: [11, 3],
  moveToFinished: [14, 9],
  moveToDelayed: [11, 9],
  moveJobFromActiveToWait: [9, 3],
  moveStalledJobsToWait: [9, 4],
  changePriority: [7, 4],
  updateProgress: [3, 2],
  pause: [7, 2],
} as const

type Theirs = keyof typeof THEIRS

/** A script of BullMQ's as it is registered. */
export type Registered = { readonly lua: string; readonly numberOfKeys: number }

/** Our scripts by name. */
export type ScriptName =
  | 'laneAdd'
  | 'laneAddMany'
  | 'laneTurn'
  | 'laneClaim'
  | 'laneSettle'
  | 'laneReturn'
  | 'laneRenew'
  | 'laneSave'
  | 'laneCharge'
  | 'laneSweep'
  | 'laneCancel'
  | 'laneOpen'
  | 'lanePause'
  | 'laneHold'
  | 'laneRemoveLetters'
  | 'laneFind'
  | 'laneList'

type Source = { readonly theirs?: readonly Theirs[]; readonly ours: readonly string[]; readonly body: string }

const { WAKE, ENQUEUE, DEDUPE, CANCEL, AWAIT, PRUNE, ANNOUNCE } = lua.SHARED

const SOURCES: Readonly<Record<ScriptName, Source>> = {
  laneAdd: {
    theirs: ['addPrioritizedJob', 'addDelayedJob'],
    ours: [WAKE, ENQUEUE, DEDUPE, CANCEL, AWAIT, lua.ADD],
    body: lua.ADD_BODY,
  },
  laneAddMany: { ours: [], body: lua.ADD_MANY_BODY },
  laneTurn: { theirs: ['moveToActive'], ours: [WAKE, PRUNE, lua.RATE, lua.CLAIM, lua.TURN], body: lua.TURN_BODY },
  laneClaim: { theirs: ['moveToActive'], ours: [lua.RATE, lua.CLAIM], body: lua.CLAIM_BODY },
  laneSettle: {
    theirs: ['moveToActive', 'moveToFinished'],
    ours: [WAKE, ENQUEUE, DEDUPE, lua.RATE, lua.CLAIM, lua.AGAIN, lua.END],
    body: lua.SETTLE_BODY,
  },
  laneReturn: {
    theirs: ['moveToActive', 'moveToDelayed', 'moveJobFromActiveToWait'],
    ours: [WAKE, lua.RATE, lua.CLAIM, lua.AGAIN, lua.END],
    body: lua.RETURN_BODY,
  },
  laneRenew: { ours: [], body: lua.RENEW_BODY },
  laneSave: { ours: [], body: lua.SAVE_BODY },
  laneCharge: { ours: [WAKE, lua.RATE, lua.CHARGE], body: lua.CHARGE_BODY },
  laneSweep: {
    theirs: ['moveStalledJobsToWait', 'changePriority'],
    ours: [WAKE, PRUNE, lua.AGAIN],
    body: lua.SWEEP_BODY,
  },
  laneCancel: { ours: [WAKE, ENQUEUE, DEDUPE, CANCEL], body: lua.CANCEL_BODY },
  laneOpen: { ours: [WAKE, ANNOUNCE], body: lua.OPEN_BODY },
  lanePause: { theirs: ['pause'], ours: [ANNOUNCE], body: lua.PAUSE_BODY },
  laneHold: { ours: [], body: lua.HOLD_BODY },
  laneRemoveLetters: { ours: [], body: lua.REMOVE_LETTERS_BODY },
  laneFind: { ours: [], body: lua.FIND_BODY },
  laneList: { ours: [], body: lua.LIST_BODY },
}

/** Every script of ours needs the lane's prefix and the namespace's. */
const OUR_KEYS = 2

/**
 * Defines all scripts on a client that is connected. Theirs are read while they are
 * defined on the same client, and stay there under the names that BullMQ gives them.
 */
export async function defineScripts(client: Redis, Connection: typeof RedisConnection): Promise<void> {
  const theirs = new Map<string, Registered>()
  const define = client.defineCommand.bind(client)
  client.defineCommand = (name, definition) => {
    theirs.set(name.split(':')[0] ?? name, { lua: definition.lua, numberOfKeys: definition.numberOfKeys ?? 0 })
    return define(name, definition)
  }
  try {
    const connection = new Connection(client, { shared: true, blocking: false, skipVersionCheck: true })
    connection.on('error', () => undefined) // told by the client, too
    await connection.client
    await connection.close()
  } finally {
    client.defineCommand = define
  }
  for (const [name, text] of Object.entries(composedScripts(theirs))) {
    define(name, { lua: text, numberOfKeys: OUR_KEYS })
  }
  define('lane:updateProgress', checked(theirs, 'updateProgress'))
}

/** The texts of our scripts around BullMQ's. `CONFIG_INVALID` when those are none that they were written for. */
export function composedScripts(theirs: ReadonlyMap<string, Registered>): Readonly<Record<ScriptName, string>> {
  const texts = Object.entries(SOURCES).map(([name, source]) => {
    const wrapped = (source.theirs ?? []).map((their) => inFunction(their, checked(theirs, their).lua))
    return [name, [lua.PREFIXES, ...wrapped, ...source.ours, source.body].join('\n')]
  })
  return Object.fromEntries(texts) as Record<ScriptName, string>
}

function checked(theirs: ReadonlyMap<string, Registered>, name: Theirs): Registered {
  const script = theirs.get(name)
  const [keys, args] = THEIRS[name]
  if (script !== undefined && script.numberOfKeys === keys && highestArgument(script.lua) === args) return script
  throw new LaneError(
    'CONFIG_INVALID',
    `The installed version of bullmq is not supported: its script ${name} is not the one of 6.7. npm install bullmq@6.7.0`,
    { fields: { package: 'bullmq' } },
  )
}

const highestArgument = (text: string): number =>
  Math.max(0, ...[...text.matchAll(/\bARGV\[(\d+)\]/g)].map(([, index]) => Number(index)))

/** Called with a third argument, it calls the server by that. */
const inFunction = (name: string, text: string): string =>
  `local function ${name}(KEYS, ARGV, instead)\nlocal redis = instead or redis\n${text}\nend`
