/**
 * Bugs that the tests of this folder have to catch, each as an exact replacement of text in src. When src changes and a
 * text is not found any more, `npm run planted` fails: put the bug into the new code, do not drop it.
 */

/**
 * @typedef {object} PlantedBug
 * @property {string} name      what is wrong then
 * @property {string} file      below src
 * @property {string} find      stands in the file exactly `times` times
 * @property {string} replace
 * @property {number} [times]   default 1
 */

/** @type {PlantedBug[]} */
export const plantedBugs = [
  {
    name: 'a lane runs one more than its maximum',
    file: 'core/scheduler.ts',
    find: 'lane.held >= lane.limits.max',
    replace: 'lane.held > lane.limits.max',
  },
  {
    name: 'the queue runs one more than its cap',
    file: 'core/scheduler.ts',
    find: 'if (this.held >= this.#cap) return',
    replace: 'if (this.held > this.#cap) return',
  },
  {
    name: 'reserved slots give a lane no better standing',
    file: 'core/scheduler.ts',
    find: 'lane.held < lane.reserved ? lane.rankBelowReserve : lane.rankServed\n    if',
    replace: 'lane.rankServed\n    if',
  },
  {
    name: 'slots that are not lent are taken by others',
    file: 'core/scheduler.ts',
    find: 'return this.#heldBackFromFixed === 0 ||',
    replace: 'return this.#heldBackFromFixed >= 0 ||',
  },
  {
    name: 'the lowest lane goes first',
    file: 'core/scheduler.ts',
    find: 'const order = effectivePriority * 2 +',
    replace: 'const order = (255 - effectivePriority) * 2 +',
  },
  {
    name: 'a protected lane goes last among equals',
    file: 'core/scheduler.ts',
    find: '(limits.protected ? 0 : 1)',
    replace: '(limits.protected ? 1 : 0)',
  },
  {
    name: 'equal lanes take no turns',
    file: 'core/scheduler.ts',
    find: '      this.#rings[rank] = lane.after\n',
    replace: '',
  },
  {
    name: 'a lane that was passed over loses its turn',
    file: 'core/scheduler.ts',
    find: '    this.#leave(lane)\n    this.#enter(lane, rank)\n  }\n',
    replace: '    this.#rings[rank] = lane.after\n  }\n',
  },
  {
    name: 'a paused lane starts work',
    file: 'core/lane.ts',
    find: '(!this.paused && !this.shut && !this.isStuck)',
    replace: '(!this.shut && !this.isStuck)',
  },
  {
    name: 'the worst command priority goes first',
    file: 'core/backlog.ts',
    find: 'a.priority < b.priority',
    replace: 'a.priority > b.priority',
  },
  {
    name: 'returned commands come in the reverse order',
    file: 'core/bucket.ts',
    find: 'new Heap(this.#lifo ? newestFirst : oldestFirst)',
    replace: 'new Heap(this.#lifo ? oldestFirst : newestFirst)',
  },
  {
    name: 'a chunk of the backlog is searched for commands of the next one',
    file: 'core/bucket.ts',
    find: 'chunk.next.firstSeq <= seq',
    replace: 'chunk.next.firstSeq < seq',
  },
  {
    name: 'a retry goes to the back of its lane',
    file: 'core/outcomes.ts',
    find: 'lane.backlog.putBack(entry)',
    replace: 'entry.place = Number.MAX_SAFE_INTEGER\n    lane.backlog.putBack(entry)',
  },
  {
    name: 'a retry leaks its slot',
    file: 'core/outcomes.ts',
    find: 'const attempt = ++entry.more.retries',
    replace: 'const attempt = ++entry.more.retries\n    core.scheduler.acquire(entry.lane)',
  },
  {
    name: 'one retry too many',
    file: 'policy/retry.ts',
    find: 'return retries < this.maxRetries',
    replace: 'return retries <= this.maxRetries',
  },
  {
    name: 'deferrals are not counted',
    file: 'core/outcomes.ts',
    find: 'entry.more.deferrals++',
    replace: 'void entry.more.deferrals',
  },
  {
    name: 'a command runs beside its own timed-out body',
    file: 'core/outcomes.ts',
    find: 'if (entry.slot === undefined) this.#toPending(entry)',
    replace: 'this.#toPending(entry)',
  },
  {
    name: 'the slot is freed at the timeout while the body runs',
    file: 'core/attempts.ts',
    find: '    this.orphan(entry)\n',
    replace: '    this.orphan(entry)\n    this.#free(slot, entry, false)\n',
  },
  {
    name: 'a late value is taken for an outcome',
    file: 'core/attempts.ts',
    find: 'const { zombie: isLate, stopAt } = slot\n',
    replace: 'const { stopAt } = slot\n    const isLate = false as boolean\n',
  },
  {
    name: 'the body of a cancelled command never gives its slot back',
    file: 'core/attempts.ts',
    find: 'const { zombie: isLate, stopAt } = slot\n',
    replace: 'const { zombie: isLate, stopAt } = slot\n    if (isLate) return\n',
  },
  {
    name: 'the timeout of an attempt goes off after its end',
    file: 'core/attempts.ts',
    find: 'if (slot.timeout !== undefined) this.#core.alarms.clear(slot.timeout)',
    replace: '',
  },
  {
    name: 'zombies are never given up',
    file: 'core/attempts.ts',
    find: 'core.alarms.set(now + graceMs',
    replace: 'core.alarms.set(now + graceMs + 1e9',
  },
  {
    name: 'a handler that was given up settles its next user',
    file: 'core/attempts.ts',
    find: 'if (isReusable && ',
    replace: 'if (',
  },
  {
    name: 'an event after the end',
    file: 'core/outcomes.ts',
    find: '  bodyGone(entry: Entry): void {\n',
    replace:
      "  bodyGone(entry: Entry): void {\n    if (isFinal(entry.run.state)) this.#core.emit('queue.command.completed', { lane_id: entry.lane.id, command_id: entry.run.id })\n",
  },
  {
    name: 'children live on when their parent is cancelled',
    file: 'core/outcomes.ts',
    find: '    for (const child of [...(details?.children ?? [])]) this.cancel(child, error.reason, cancelled)\n',
    replace: '',
  },
  {
    name: 'the signal does not abort when a command is cancelled',
    file: 'core/outcomes.ts',
    find: 'context?.abort(error)\n',
    replace: '',
    times: 3,
  },
  {
    name: 'drain forgets delayed commands',
    file: 'core/core.ts',
    find: 'return this.unsettled === 0 ||',
    replace: 'return [...this.lanes.values()].every(({ backlog }) => backlog.size === 0) ||',
  },
  {
    name: 'a queue is complete while zombies run',
    file: 'core/core.ts',
    find: '    if (this.scheduler.held > 0) return false\n',
    replace: '',
  },
  {
    name: 'each submit starts at once, before the next is seen',
    file: 'core/core.ts',
    find: 'settledPromise.then(this.#pass)',
    replace: 'this.#pass()',
  },
  {
    name: 'pressure is told again and again',
    file: 'core/core.ts',
    find: 'if (!lane.underPressure && ',
    replace: 'if (',
  },
  {
    name: 'one command more than the capacity',
    file: 'core/admission.ts',
    find: 'lane.arriving < limits.capacity',
    replace: 'lane.arriving <= limits.capacity',
  },
  {
    name: 'the exception of a listener breaks the loop',
    file: 'core/event-stream.ts',
    find: '      this.#onFilterFault(error)\n      return false\n',
    replace: '      throw error\n',
  },
  {
    name: 'the lent place under the cap is not given back',
    file: 'core/lending.ts',
    find: 'scheduler.releaseUnderCap()',
    replace: 'void scheduler',
  },
  {
    name: 'the place that a child took in its lane is not given back',
    file: 'core/lending.ts',
    find: 'scheduler.releaseInLane(lane)',
    replace: 'void scheduler',
  },
  {
    name: 'a lane filled by lending stays ready',
    file: 'core/lending.ts',
    find: '      if (refusal === undefined) starter.start(entry, loan)\n      else refuser.cannotRun(entry, refusal)\n      this.#core.backlogShrank(lane)\n',
    replace: '      this.#core.backlogShrank(lane)\n      if (refusal === undefined) starter.start(entry, loan)\n',
  },
  {
    name: 'a body counts as waiting for what an earlier one waited for',
    file: 'core/attempts.ts',
    find: '    slot.waiting = 0\n',
    replace: '',
  },
  {
    name: 'a parent goes on while its places are lent',
    file: 'core/children.ts',
    find: '        await placesReturned(slot)\n',
    replace: '',
  },
  {
    name: 'a redrive forgets the options of the command',
    file: 'core/burial.ts',
    find: 'options: more.own ?? {}',
    replace: 'options: {}',
  },
  {
    name: 'places are lent twice',
    file: 'core/lending.ts',
    find: ' && slot.laneTo === undefined',
    replace: '',
  },
  {
    name: 'an idle queue holds a timer',
    file: 'core/alarms.ts',
    find: '      if (this.#timer !== undefined) this.#clock.clearTimer(this.#timer)\n',
    replace: '',
  },
  {
    name: 'alarms of one instant go off in the reverse order',
    file: 'core/alarms.ts',
    find: 'a.order < b.order',
    replace: 'a.order > b.order',
  },
  {
    name: 'a heap loses its order when an item is taken out of the middle',
    file: 'core/heap.ts',
    find: '    this.#rise(last)\n',
    replace: '',
  },
  {
    name: 'a full channel drops what is new',
    file: 'core/channel.ts',
    find: '      this.#head = (this.#head + 1) % this.#capacity\n      this.#size--\n      this.#dropped++\n',
    replace: '      this.#dropped++\n      return\n',
  },
  {
    name: 'a reader is forgotten when another stops waiting',
    file: 'core/channel.ts',
    find: 'filter((one) => one !== onItem)',
    replace: 'filter((one) => one === onItem)',
  },
]
