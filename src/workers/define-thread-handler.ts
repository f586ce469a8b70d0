import type { ThreadHandler } from './thread-context.js'

/** Gives types to the default export of a worker file: `export default defineThreadHandler<Photo, Size>((photo, ctx) => …)`. */
export const defineThreadHandler = <P = unknown, R = unknown>(handler: ThreadHandler<P, R>): ThreadHandler<P, R> =>
  handler
