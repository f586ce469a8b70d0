// @ts-check

/** Exit codes: something went wrong while measuring, or the command line was. */
export const FAILED = 1
export const USAGE = 2

/** Ends the benchmark with one clear sentence instead of a stack. */
export class BenchError extends Error {
  /**
   * @param {string} message
   * @param {{ exitCode: number, cause?: unknown }} details
   */
  constructor(message, { exitCode, cause }) {
    super(message, { cause })
    this.name = 'BenchError'
    this.exitCode = exitCode
  }
}
