import type { Handler } from '../core/index.js'
import type { ThreadPoolOptions } from './thread-options.js'
import { ThreadPool } from './thread-pool.js'

/** A handler that runs on threads, with the threads it runs on. */
export type HandlerOnThreads<P = unknown, R = unknown> = Handler<P, R> & {
  /** Its threads: to look at, and to close when it is used no more. */
  readonly pool: ThreadPool
}

/**
 * A handler for CPU-bound work: `queue.handle('resize', threadHandler(new URL('./resize.js', import.meta.url)))`. The
 * file's default export is called with the payload and a `ThreadContext`, in one of this handler's own threads; to share
 * threads between handlers, make a `ThreadPool`. `file` is a URL, a path, or a path relative to the folder of the process.
 * `CONFIG_INVALID` when there is no such file, or for an option that is wrong.
 */
export function threadHandler<P = unknown, R = unknown>(
  file: URL | string,
  options: ThreadPoolOptions = {},
): HandlerOnThreads<P, R> {
  const pool = new ThreadPool(options)
  return Object.assign(pool.handler<P, R>(file), { pool })
}
