/** A script, and what of the queue it shows: without those events it would not be worth its name. */
import type { EventKey } from '@a3s-lab/lane'
import type { Stage, StageOptions } from './stage.js'

export type Scenario = {
  readonly name: string
  /** Made for each case: objects in it may keep state. */
  readonly options: () => StageOptions
  /** Events that the script has to bring about when nothing fails. */
  readonly shows: readonly EventKey[]
  /** Survives that any call of it fails. Hands everything that it submits to the stage. */
  play(stage: Stage): Promise<void>
}
