/** One pass: everything that may start is started, best first. */
import type { Attempts } from './attempts.js'
import type { QueueCore } from './core.js'
import type { Entry } from './entry.js'
import { type Interruption, mayStartNext } from './interruption.js'
import type { LaneState } from './lane.js'
import type { Lending } from './lending.js'
import type { Outcomes } from './outcomes.js'

/** The parts of a queue that a pass needs. */
export type PassParts = {
  readonly core: QueueCore
  readonly attempts: Attempts
  readonly outcomes: Outcomes
  readonly lending: Lending
  readonly interruption: Interruption
}

export function runPass({ core, attempts, outcomes, lending, interruption }: PassParts): void {
  startAll(core, attempts, outcomes)
  attempts.runBegun()
  // It takes nothing from anybody, and whoever has a slot of its own goes before.
  const hasServed = lending.serve(attempts, outcomes)
  attempts.runBegun()
  interruption.countYielded()
  const hasAsked = interruption.askForSlots()
  // Handlers and listeners to an abort were called: what they have submitted came after everything had started.
  if (hasServed || hasAsked) core.askForPass()
}

function startAll(core: QueueCore, attempts: Attempts, outcomes: Outcomes): void {
  const { scheduler } = core
  for (let lane = scheduler.next(); lane !== undefined; lane = scheduler.next()) {
    // A lane of which nobody has told may go before what this process has itself.
    if (lane.backlog.hasNext && core.link?.looksAbove() === true) continue
    if (!lane.backlog.hasNext) {
      // What the next command costs is not known before it is claimed; that is the engine's to count.
      if (lane.policies === undefined || lane.policies.mayStart(undefined)) core.link?.claim(lane)
      continue
    }
    if (lane.policies !== undefined && !mayStartNext(lane)) {
      failIfNeverGranted(lane, outcomes)
      continue
    }
    const hasOvertaken = lane.observer !== undefined && scheduler.overtakes(lane)
    attempts.startOrGoOn(lane.backlog.take() as Entry)
    core.backlogShrank(lane)
    if (hasOvertaken) lane.observer?.('overtook', 0, 0)
  }
}

/** A lane that is shut because its limits were lowered below what its next command costs would stay shut for ever. */
function failIfNeverGranted(lane: LaneState, outcomes: Outcomes): void {
  const { backlog, policies } = lane
  const refusal = policies?.refusal(backlog.nextCost())
  if (refusal === undefined) return
  outcomes.cannotRun(backlog.take() as Entry, refusal)
  policies?.askAgain()
}
