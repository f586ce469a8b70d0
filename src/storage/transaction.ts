/** A function in a transaction: all that it has written, or nothing of it. Says how far it came when it fails. */
import { errorText } from '../core/index.js'
import type { Database } from './driver.js'
import type { FailurePhase } from './failure.js'

/** Why a transaction failed, and where. */
export class TransactionFailure extends Error {
  readonly phase: FailurePhase

  constructor(phase: FailurePhase, cause: unknown) {
    super(errorText(cause), { cause })
    this.phase = phase
  }
}

export function inTransaction<T>(database: Database, work: () => T): T {
  let phase: FailurePhase = 'before commit'
  try {
    database.begin('write')
    const result = work()
    phase = 'commit'
    database.commit()
    return result
  } catch (error) {
    database.rollBack()
    // biome-ignore lint/style/useErrorCause: it is the second argument of a TransactionFailure
    throw new TransactionFailure(phase, error)
  }
}
