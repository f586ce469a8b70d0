/**
 * Bugs that the simulation has to catch, each as an exact replacement of text in src. When src changes and a text is not
 * found any more, `npm run sim -- --planted` fails: put the bug into the new code, do not drop it.
 */

/**
 * @typedef {object} PlantedBug
 * @property {string} name       what is wrong then
 * @property {string} file       below src
 * @property {string} find       stands in the file exactly `times` times
 * @property {string} replace
 * @property {number} [times]    default 1
 * @property {number} [commands] per seed, for a bug that needs a long backlog to show
 * @property {string[]} by       invariants that may catch it: by any other it would be caught for a wrong reason
 */

/** @type {PlantedBug[]} */
export const plantedBugs = [
  // limits and order
  {
    name: 'a lane runs one more than its maximum',
    file: 'core/scheduler.ts',
    find: 'lane.held >= lane.limits.max',
    replace: 'lane.held > lane.limits.max',
    by: ['I1'],
  },
  {
    name: 'the queue runs one more than its cap',
    file: 'core/scheduler.ts',
    find: 'if (this.held >= this.#cap) return',
    replace: 'if (this.held > this.#cap) return',
    by: ['I2'],
  },
  {
    name: 'reserved slots give a lane no better standing',
    file: 'core/scheduler.ts',
    find: 'lane.held < lane.reserved ? lane.rankBelowReserve : lane.rankServed\n    if',
    replace: 'lane.rankServed\n    if',
    by: ['I3'],
  },
  {
    name: 'slots that are not lent are taken by others',
    file: 'core/scheduler.ts',
    find: 'return this.#heldBackFromFixed === 0 ||',
    replace: 'return this.#heldBackFromFixed >= 0 ||',
    by: ['I3', 'I31'],
  },
  {
    name: 'the lowest lane goes first',
    file: 'core/scheduler.ts',
    find: 'effectivePriority * 2 +',
    replace: '(255 - effectivePriority) * 2 +',
    by: ['I3', 'I4', 'I31'],
  },
  {
    name: 'equal lanes take no turns',
    file: 'core/scheduler.ts',
    find: '      this.#rings[rank] = lane.after\n',
    replace: '',
    by: ['I4'],
  },
  {
    name: 'a paused lane starts work',
    file: 'core/lane.ts',
    find: '!this.paused',
    replace: '(this.paused || !this.paused)',
    by: ['I17'],
  },
  {
    name: 'command priorities are turned round',
    file: 'core/backlog.ts',
    find: 'a.priority < b.priority',
    replace: 'a.priority > b.priority',
    by: ['I4', 'I5'],
  },
  {
    name: 'arrival order by timestamp',
    file: 'core/bucket.ts',
    find: 'a.entry.place < b.entry.place',
    replace: '(a.entry.startedAt ?? 0) < (b.entry.startedAt ?? 0)',
    by: ['I5'],
  },
  {
    name: 'each submit starts at once, before the next is seen',
    file: 'core/admission.ts',
    find: '    core.backlogGrew(lane)\n    return run\n',
    replace: '    core.backlogGrew(lane)\n    if (core.started && !core.stopped) core.onPass()\n    return run\n',
    by: ['I4'],
  },
  // attempts, timeouts, slots
  {
    name: 'a retry leaks its slot',
    file: 'core/outcomes.ts',
    find: 'const attempt = ++entry.more.retries',
    replace: 'const attempt = ++entry.more.retries\n    core.scheduler.acquire(entry.lane)',
    by: ['I7', 'I15'],
  },
  {
    name: 'one retry too many',
    file: 'policy/retry.ts',
    find: 'return retries < this.maxRetries',
    replace: 'return retries <= this.maxRetries',
    by: ['I10'],
  },
  {
    name: 'a retry spends no delay',
    file: 'policy/retry.ts',
    find: "if (this.jitter === 'none') return delay",
    replace: "if (this.jitter === 'none') return delay / 2",
    by: ['I11'],
  },
  {
    name: 'deferrals are not counted',
    file: 'core/outcomes.ts',
    find: 'entry.more.deferrals++',
    replace: 'void entry.more.deferrals',
    by: ['I10', 'I8'],
  },
  {
    name: 'the slot is freed at the timeout while the body runs',
    file: 'core/attempts.ts',
    find: '    this.orphan(entry)\n    this.#outcomes',
    replace: '    this.orphan(entry)\n    this.#free(slot, entry, false)\n    this.#outcomes',
    by: ['I1', 'I2', 'I7', 'I12', 'I28'],
  },
  {
    name: 'a late value is taken for an outcome',
    file: 'core/attempts.ts',
    find: 'const isLate = slot.zombie',
    replace: 'const isLate = false',
    by: ['I9', 'I19', 'I22', 'I28', 'I18', 'I7', 'I8'],
  },
  {
    name: 'a timeout reaches its command and not its body',
    file: 'core/attempts.ts',
    find: '    this.#outcomes.timedOut(entry, error)\n    context.abort(error)\n',
    replace: '    this.#outcomes.timedOut(entry, error)\n',
    by: ['I12'],
  },
  {
    name: 'zombies are never given up',
    file: 'core/attempts.ts',
    find: 'core.clock.now() + graceMs',
    replace: 'core.clock.now() + graceMs + 1e9',
    by: ['I12', 'I8'],
  },
  {
    name: 'a command runs beside its own timed-out body',
    file: 'core/outcomes.ts',
    find: 'if (entry.slot === undefined) this.#toPending(entry)',
    replace: 'this.#toPending(entry)',
    by: ['I28', 'I7', 'I12'],
  },
  {
    name: 'an event after the end',
    file: 'core/outcomes.ts',
    find: '  bodyGone(entry: Entry): void {\n',
    replace:
      "  bodyGone(entry: Entry): void {\n    if (isFinal(entry.run.state)) this.#core.emit('queue.command.completed', { lane_id: entry.lane.id, command_id: entry.run.id })\n",
    by: ['I19'],
  },
  {
    name: 'a cancelled body does not hear of it',
    file: 'core/outcomes.ts',
    find: '    context?.abort(error)\n',
    replace: '',
    times: 2,
    by: ['I18', 'I12'],
  },
  {
    name: 'the ring of dead letters holds one too many',
    file: 'core/dead-letters.ts',
    find: 'if (this.#letters.size === this.capacity) this.pop()',
    replace: 'if (this.#letters.size > this.capacity) this.pop()',
    by: ['I13'],
  },
  // the end
  {
    name: 'drain forgets delayed commands',
    file: 'core/lifecycle.ts',
    find: 'return this.#core.unsettled === 0 &&',
    replace: 'return [...this.#core.lanes.values()].every(({ backlog }) => backlog.size === 0) &&',
    by: ['I16'],
  },
  {
    name: 'a queue is complete while zombies run',
    file: 'core/core.ts',
    find: 'if (this.scheduler.held === 0 && ',
    replace: 'if (',
    by: ['I16', 'I19'],
  },
  {
    name: 'an idle queue holds a timer',
    file: 'core/alarms.ts',
    find: '      if (this.#timer !== undefined) this.#clock.clearTimer(this.#timer)\n',
    replace: '',
    by: ['I23'],
  },
  // those who listen
  {
    name: 'the exception of a listener breaks the loop',
    file: 'core/event-stream.ts',
    find: '      this.#onFilterFault(error)\n      return false\n',
    replace: '      throw error\n',
    by: ['I22', 'I7', 'I8', 'I9', 'I15', 'I19'],
  },
  {
    name: 'a slow reader is not told what it lost',
    file: 'core/channel.ts',
    find: '      this.#dropped++\n',
    replace: '',
    by: ['I22'],
  },
  {
    name: 'pressure is told again and again',
    file: 'core/core.ts',
    find: 'if (!lane.underPressure && ',
    replace: 'if (',
    by: ['I20'],
  },
  // rate limits
  {
    name: 'a bucket that refills at twice its rate',
    file: 'policy/token-bucket.ts',
    find: '((level - this.#level) * this.#windowMs) / this.#maxCommands',
    replace: '((level - this.#level) * this.#windowMs) / (2 * this.#maxCommands)',
    by: ['I6'],
  },
  {
    name: 'a bucket where the window was promised',
    file: 'policy/sliding-window.ts',
    find: 'return instantAfter(at, this.#windowMs)',
    replace: 'return instantAfter(at, this.#windowMs / 2)',
    by: ['I6'],
  },
  {
    name: 'what an attempt cost beyond its estimate is forgotten',
    file: 'policy/rate-gate.ts',
    find: 'if (difference === 0 ||',
    replace: 'if (difference >= 0 ||',
    by: ['I6'],
  },
  {
    name: 'a group that every lane has for itself',
    file: 'policy/rate-gate.ts',
    find: 'const counted = group === undefined ?',
    replace: 'const counted = group !== null ?',
    by: ['I6'],
  },
  {
    name: 'rate taken before anything can start',
    file: 'core/lane-policies.ts',
    find: 'if (at > now) closedUntil = at',
    replace: 'gate.started(ask, now)\n        if (at > now) closedUntil = at',
    by: ['I15', 'I8'],
  },
  {
    name: 'a provider that asks for a pause is not heard',
    file: 'core/outcomes.ts',
    find: 'if (closesLane) this',
    replace: 'if (closesLane && delayMs < 0) this',
    by: ['I6'],
  },
  {
    name: 'a breaker that opens for no time',
    file: 'policy/breaker.ts',
    find: 'return this.#openedAt + this.#limits.openMs',
    replace: 'return this.#openedAt',
    by: ['I6'],
  },
  {
    name: 'a breaker never half-opens',
    file: 'policy/breaker.ts',
    find: "if (this.#state === 'open') return Math.max(now, this.#openUntil)",
    replace: "if (this.#state === 'open') return Number.POSITIVE_INFINITY",
    by: ['I8', 'I16', 'I23'],
  },
  {
    name: 'a half-open breaker lets one too many through',
    file: 'policy/breaker.ts',
    find: 'return this.#trials + this.#succeeded < this.#limits.halfOpen',
    replace: 'return this.#trials + this.#succeeded <= this.#limits.halfOpen',
    by: ['I6'],
  },
  // keys
  {
    name: 'one more of a key than its limit',
    file: 'core/lane-limits.ts',
    find: 'limit: keyConcurrency ?? Number.POSITIVE_INFINITY }',
    replace: 'limit: (keyConcurrency ?? Number.POSITIVE_INFINITY) + 1 }',
    by: ['I1'],
  },
  {
    name: 'turns by key without their weight',
    file: 'policy/fairness.ts',
    find: 'turn.credit += this.#quantum * turn.weight',
    replace: 'turn.credit += this.#quantum',
    commands: 500,
    by: ['I5'],
  },
  // boost
  {
    name: 'a boost above a protected lane',
    file: 'core/scheduler.ts',
    find: 'Math.max(lane.priority - lane.lift, lane.ceiling)',
    replace: 'Math.max(lane.priority - lane.lift, 0)',
    times: 2,
    by: ['I31'],
  },
  {
    name: 'a boost that no timer renews',
    file: 'core/urgency.ts',
    find: 'const ring = isOwn ? (): void => this.#lookAt(urgent) : this.#lookAtOldest',
    replace: 'const ring = (): void => void isOwn',
    by: ['I14'],
  },
  // preemption
  {
    name: 'the oldest victim first',
    file: 'core/interruption.ts',
    find: 'let slot = this.lane.newest\n',
    replace: 'let slot = this.lane.newest\n    while (slot?.older !== undefined) slot = slot.older\n',
    by: ['I29'],
  },
  {
    name: 'a victim out of the reserve of its lane',
    file: 'core/interruption.ts',
    find: 'return this.lane.held - this.lane.reserved - this.lane.givingUp',
    replace: 'return this.lane.held - this.lane.givingUp',
    by: ['I29'],
  },
  {
    name: 'a victim of a better lane',
    file: 'policy/preemption.ts',
    find: 'if (donor.priority <= takerPriority || donor.priority < lowest ||',
    replace: 'if (donor.priority < lowest ||',
    by: ['I29'],
  },
  {
    name: 'a preemption spends an attempt',
    file: 'core/attempts.ts',
    find: 'if (!isResumed) entry.attempt++',
    replace: 'entry.attempt++',
    by: ['I25', 'I10'],
  },
  {
    name: 'a preempted command goes to the tail',
    file: 'core/outcomes.ts',
    find: 'lane.backlog.putFirst(entry, core.seqOfEntry(entry), false)',
    replace: 'entry.place = Number.MAX_SAFE_INTEGER\n    lane.backlog.putBack(entry)',
    by: ['I27', 'I5', 'I4'],
  },
  {
    name: 'a preempted command starts again while its body runs',
    file: 'core/interruption.ts',
    find: '    ;(entry.context as Context).abort(error)\n',
    replace:
      '    ;(entry.context as Context).abort(error)\n    this.#leaveSlot(slot, entry)\n    lane.backlog.putFirst(entry, core.seqOfEntry(entry), false)\n    core.scheduler.update(lane)\n',
    by: ['I28', 'I7', 'I29', 'I22', 'I19', 'I10', 'I30', 'I9'],
  },
  {
    name: 'the slot of a victim goes to whoever is first',
    file: 'core/scheduler.ts',
    find: 'this.#owed.push(lane)',
    replace: 'void lane',
    by: ['I29', 'I4', 'I3', 'I31'],
  },
  {
    name: 'an older checkpoint is restored',
    file: 'core/children.ts',
    find: 'entry.traits.checkpoint = text',
    replace: 'entry.traits.checkpoint ??= text',
    by: ['I26'],
  },
  // yield
  {
    name: 'a yield keeps its slot while others wait',
    file: 'core/interruption.ts',
    find: '    core.scheduler.release(lane)\n    transition(run',
    replace: '    transition(run',
    by: ['I7', 'I15', 'I30'],
  },
  {
    name: 'a body in a yield does not hear of its cancellation',
    file: 'core/outcomes.ts',
    find: 'entry.details?.traits?.goOn?.(error)\n',
    replace: '',
    times: 2,
    by: ['I30', 'I12'],
  },
  // dedupe
  {
    name: 'the window of a dedupe id is ignored',
    file: 'policy/dedupe.ts',
    find: 'if (hold.expiresAt > now) this.#pushWindow(hold)\n      else this.#holds.delete(id)',
    replace: 'this.#holds.delete(id)',
    by: ['I21'],
  },
  {
    name: 'a duplicate replaces a started owner',
    file: 'core/deduplication.ts',
    find: "const isReplaced = dedupe.mode === 'replace' && !this.#hasStarted(owner)",
    replace: "const isReplaced = dedupe.mode === 'replace'",
    by: ['I21'],
  },
  {
    name: 'preempted commands go on before those that yielded',
    file: 'core/front.ts',
    find: 'a.seq < b.seq : a.isYielded',
    replace: 'a.seq < b.seq : b.isYielded',
    by: ['I30', 'I27'],
  },
  {
    name: 'an id that is known is accepted again',
    file: 'core/admission.ts',
    find: 'id === undefined ? undefined : this.#knownRun(id, parsed)',
    replace: 'undefined',
    by: ['I21', 'I7', 'I9', 'I19'],
  },
]
