/** What a tool could not do, as one sentence for the model. It becomes an error result, never a failed command. */
export class ToolError extends Error {
  override readonly name: string = 'ToolError'
}

/** Sentences for what operating systems say by code. `what` names the file as the caller wrote it. */
const sentences: Readonly<Record<string, (what: string) => string>> = {
  ENOENT: (what) => `${what} does not exist`,
  ENOTDIR: (what) => `${what} leads through a file, not a folder`,
  EISDIR: (what) => `${what} is a folder, not a file`,
  EEXIST: (what) => `${what} exists already`,
  ENOTEMPTY: (what) => `${what} is a folder that is not empty`,
  EACCES: (what) => `${what} may not be accessed: permission denied`,
  EPERM: (what) => `${what} may not be changed: the operation is not permitted`,
  EROFS: (what) => `${what} is on a read-only file system`,
  ENOSPC: (what) => `${what} could not be written: the disk is full`,
  EDQUOT: (what) => `${what} could not be written: the disk quota is used up`,
  ENAMETOOLONG: (what) => `${what} is too long a name`,
  ELOOP: (what) => `${what} leads through a link that changed, or through too many links`,
  EXDEV: (what) => `${what} is on another file system: copy it, then delete it`,
  EINVAL: (what) => `${what} cannot be used for this`,
  ENXIO: (what) => `${what} is not a regular file`,
  EMFILE: (what) => `${what} could not be opened: too many files are open`,
  EBUSY: (what) => `${what} is in use`,
  ETXTBSY: (what) => `${what} is a program that runs`,
}

/** An error of the operating system as a sentence; any other error as it came. */
export function told(error: unknown, what: string): unknown {
  const code = codeOf(error)
  const sentence = code === undefined ? undefined : sentences[code]
  if (sentence !== undefined) return new ToolError(sentence(what), { cause: error })
  return isSystemError(error)
    ? new ToolError(`${what} could not be used: ${code ?? 'unknown error'}`, { cause: error })
    : error
}

/** Runs what touches a file; what the operating system says about it is told by the file's name. */
export async function about<T>(what: string, body: () => Promise<T>): Promise<T> {
  try {
    return await body()
  } catch (error) {
    throw told(error, what)
  }
}

export function codeOf(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | null | undefined)?.code
  return typeof code === 'string' ? code : undefined
}

const isSystemError = (error: unknown): boolean =>
  error instanceof Error && 'syscall' in error && codeOf(error) !== undefined
