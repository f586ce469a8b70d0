/** The journal's other side. */
import type { Entry } from './entry.js'
import type { LaneError } from './errors.js'

/** Whoever takes in what was written, or hears that it was not. */
export interface JournalHost {
  /** The submit of this command is written: it is accepted. */
  accepted(entry: Entry): void
  /** The submit of this command could not be written. */
  refused(entry: Entry, error: LaneError): void
}
