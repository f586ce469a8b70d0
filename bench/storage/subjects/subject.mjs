// @ts-check
/** What the suite `storage` drives: something that keeps commands on the disk. One file each beside this one. */

/**
 * @typedef {object} Place
 * @property {string} path  of the file, in a folder of the process's own
 * @property {boolean} isSynced  whether a commit survives a power loss (an fsync at every commit), or only a crash of the process
 * @property {number} inFlight  commands under way at the same time
 */

/**
 * @typedef {object} Opened
 * @property {(count: number) => Promise<unknown>} run  so many commands, from their submit to their recorded result
 */

/**
 * @typedef {object} StorageSubject
 * @property {string} name
 * @property {(place: Place) => Promise<Opened> | Opened} open
 * @property {(path: string, waiting: number) => Promise<void>} [fill]  a file in which so many commands wait
 * @property {(path: string) => Promise<void>} [firstStart]  opens such a file; back when the body of the first command has begun
 * @property {(place: Place, count: number) => Promise<void>} [accept]  submits so many at once; back when all are accepted
 */

/** The payload of every command of every subject, and its result. */
export const PAYLOAD = { topic: 'lanes', words: 40 }

export const PAYLOAD_TEXT = JSON.stringify(PAYLOAD)

/** What a body returns that has nothing more to do: the measurement ends with its process. @returns {Promise<never>} */
export const never = () => new Promise(() => undefined)
